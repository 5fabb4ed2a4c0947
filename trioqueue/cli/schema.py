"""`trioqueue migrate`."""

from trioqueue.bootstrap import open_database
from trioqueue.cli.output import say
from trioqueue.cli.prepare import prepare


async def migrate() -> None:
    """Bring the schema of the database up to date. Safe to call at any time, by several at once."""
    settings = prepare()
    async with open_database(settings) as database:
        applied = await database.migrate()
    for migration in applied:
        say(f"applied {migration.version:04}_{migration.name}")
    if not applied:
        say(f"the schema {settings.schema!r} is up to date")
