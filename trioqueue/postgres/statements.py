"""The named SQL statements of queries/, read once for a schema.

Names are qualified, never left to search_path: a statement then means the same on every connection, also behind a
pooler that hands connections from one client to another, and one process can serve several schemas.
"""

from functools import cache
from importlib.resources import files

from psycopg.sql import Identifier

from trioqueue.domain.errors import TrioqueueError


class NoSuchStatement(TrioqueueError):
    """The code names a statement that queries/ does not have."""


@cache
def statement(name: str, schema: str) -> bytes:
    """The statement `name` for the tables of `schema`, ready to be executed with named parameters.

    Args:
        name: The name of its file in queries/, without `.sql`.
        schema: The schema's name; quoted here.

    Raises:
        NoSuchStatement: There is no such file.
    """
    file = files("trioqueue.postgres") / "queries" / f"{name}.sql"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoSuchStatement(f"trioqueue/postgres/queries has no statement {name!r}") from None
    return text.replace("{schema}", Identifier(schema).as_string()).encode()


def statement_names() -> tuple[str, ...]:
    """The names of all statements, in order."""
    directory = files("trioqueue.postgres") / "queries"
    return tuple(sorted(file.name.removesuffix(".sql") for file in directory.iterdir() if file.name.endswith(".sql")))
