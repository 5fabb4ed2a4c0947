"""`trioqueue migrate`."""

from trioqueue.bootstrap import open_database
from trioqueue.cli.output import say
from trioqueue.cli.prepare import prepare


async def migrate() -> None:
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
