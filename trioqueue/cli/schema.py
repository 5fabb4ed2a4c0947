"""`trioqueue migrate`."""

from typing import Annotated

from cyclopts import Parameter

from trioqueue.bootstrap import open_database
from trioqueue.cli.output import say
from trioqueue.cli.prepare import prepare


async def migrate(
    *,
    worker_role: Annotated[
        str | None, Parameter(help="A role that may do just what a worker does from then on; made if there is none.")
    ] = None,
) -> None:
    """Bring the schema of the database, or all that are served, up to date.

    Safe to call at any time, by several at once.
    """
    settings = prepare()
    async with open_database(settings) as database:
        applied = await database.migrate()
        for schema, migrations in applied.items():
            where = f" to the schema {schema!r}" if len(applied) > 1 else ""
            for migration in migrations:
                say(f"applied {migration.version:04}_{migration.name}{where}")
            if not migrations:
                say(f"the schema {schema!r} is up to date")
        if worker_role is not None:
            made = await database.grant_to_worker(worker_role)
            say(f"the role {worker_role!r} may do what a worker does" + (" (made, without a password)" if made else ""))
