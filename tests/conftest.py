"""Fixtures of the whole suite: one PostgreSQL server a session, one database a test."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from functools import partial

import hypothesis
import pytest
import trio

from tests.support.cluster import Cluster
from tests.support.database import migrate_database
from trioqueue.postgres import embedded
from trioqueue.postgres.connect import connect
from trioqueue.postgres.pool import Pool

# No deadlines: a busy machine is slow, and a slow example is no failure. HYPOTHESIS_PROFILE=nightly looks longer.
# On a new machine the first example of a text waits for hypothesis to make its tables of characters.
UNHURRIED = hypothesis.settings(deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("ci", UNHURRIED, max_examples=200)
hypothesis.settings.register_profile("nightly", UNHURRIED, max_examples=10_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server: the one that TRIOQUEUE_TEST_DATABASE_URL names, or an embedded one, which loses data in a crash."""
    given = os.environ.get("TRIOQUEUE_TEST_DATABASE_URL")
    if given:
        with closing(Cluster(given)) as cluster:
            yield cluster
        return
    options = {"fsync": "off", "full_page_writes": "off"}
    server = embedded.start(tmp_path_factory.mktemp("cluster"), options=options)
    try:
        with closing(Cluster(server.url)) as cluster:
            yield cluster
    finally:
        server.stop()


@pytest.fixture
def database_url(cluster: Cluster) -> Iterator[str]:
    """The URL of an empty database, dropped afterwards."""
    url = cluster.create_database()
    yield url
    cluster.drop_database(url)


@pytest.fixture(scope="session")
def migrated_template(cluster: Cluster) -> Iterator[str]:
    """The URL of a migrated database, to be copied."""
    url = cluster.create_database()
    trio.run(migrate_database, url)
    yield url
    cluster.drop_database(url)


@pytest.fixture
def migrated_url(cluster: Cluster, migrated_template: str) -> Iterator[str]:
    """The URL of a migrated database without rows, dropped afterwards."""
    url = cluster.create_database(migrated_template)
    yield url
    cluster.drop_database(url)


@pytest.fixture
async def pool(migrated_url: str) -> AsyncIterator[Pool]:
    """A pool of connections to a migrated database without rows."""
    async with Pool(partial(connect, migrated_url), size=4) as pool:
        yield pool
