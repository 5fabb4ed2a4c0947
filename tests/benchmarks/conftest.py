"""The short forms run on a server of their own, which logs statements and loses data in a crash."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.benchmarks.course import Course
from tests.benchmarks.idle import SERVER
from tests.support.cluster import Cluster
from trioqueue.postgres import embedded
from trioqueue.postgres.folder import DataFolder


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """What contestants run on."""
    directory = tmp_path_factory.mktemp("course")
    server = embedded.start(directory, options={"fsync": "off", **SERVER})
    try:
        with closing(Cluster(server.url)) as cluster, psycopg.connect(server.url, autocommit=True) as connection:
            yield Course(cluster, DataFolder(directory).log, connection)
    finally:
        server.stop()
