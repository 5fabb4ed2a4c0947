"""A PostgreSQL server for the tests of a session, and a database of its own for each test."""

from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql


class Cluster:
    """A server on which databases are created and dropped.

    Attributes:
        url: The URL of a database on it, whose role may create databases.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        """Close the connection to the server."""
        self._connection.close()

    def create_database(self, template: str | None = None) -> str:
        """Create a database, empty or as a copy, and return its URL.

        Args:
            template: The URL of a database of this server, to which nobody may be connected.
        """
        name = f"trioqueue_test_{uuid4().hex}"
        source = "template1" if template is None else _name(template)
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._connection.execute(statement.format(sql.Identifier(name), sql.Identifier(source)))
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop_database(self, url: str) -> None:
        """Drop a database, closing its connections."""
        statement = sql.SQL("DROP DATABASE {} WITH (FORCE)")
        self._connection.execute(statement.format(sql.Identifier(_name(url))))


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
