"""A server whose disk, connections and settings may be spoilt, unlike the suite's own."""

from collections.abc import Iterator
from contextlib import closing

import pytest
import trio

from tests.support.cluster import Cluster
from tests.support.database import migrate_database
from trioqueue.postgres import embedded


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server of these tests' own."""
    options = {"fsync": "off", "full_page_writes": "off", "max_connections": "40"}
    server = embedded.start(tmp_path_factory.mktemp("spoilt"), options=options)
    try:
        with closing(Cluster(server.url)) as cluster:
            yield cluster
    finally:
        server.stop()


@pytest.fixture(scope="session")
def migrated_template(cluster: Cluster) -> Iterator[str]:
    """The URL of a migrated database, to be copied."""
    url = cluster.create_database()
    trio.run(migrate_database, url)
    yield url
    cluster.drop_database(url)
