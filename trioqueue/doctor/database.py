"""Looks at the database: reads, and writes nothing; a migration is left to `trioqueue migrate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from trioqueue.bootstrap import Database, open_database
from trioqueue.doctor.machine import look_at_folder
from trioqueue.domain.checkup.findings import Check, Finding, failure, ok, warning
from trioqueue.domain.checkup.server import judge_rights, judge_server
from trioqueue.domain.checkup.work import judge_gates, judge_work
from trioqueue.postgres.campaigns import Campaigns
from trioqueue.postgres.checkup import look_at_rights, look_at_server, look_at_work
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.embedded import START_SECONDS, EmbeddedPostgresError
from trioqueue.postgres.errors import DatabaseError, DatabaseUnavailable, InvalidConninfo, translated
from trioqueue.postgres.migrations import MigrationError, SchemaOutdated
from trioqueue.postgres.programs import account_prefix, find_programs
from trioqueue.settings import Settings, SettingsError

Report: TypeAlias = Callable[[Finding], None]
"""Takes a finding."""

_UNREACHABLE_ADVICE: Final = "check TRIOQUEUE_DATABASE_URL, DNS, firewall, and whether the server is up"
_REFUSED_ADVICE: Final = "see whether the tables are those of `trioqueue migrate`, and what the role may do"
_FOLDER_ADVICE: Final = "see the reason, and set TRIOQUEUE_DATA_DIR or TRIOQUEUE_DATABASE_URL if it cannot be helped"

_UNREADABLE: Final = frozenset({"select on schema_migrations"})
"""Rights without which the version of the schema cannot be read, beside the schema's own."""


def database_seconds(settings: Settings, patience: float) -> float:
    """Seconds that looking at the database may take: an embedded server is started first."""
    return patience + (START_SECONDS if settings.database_url is None else 0)


async def look_at_database(settings: Settings, report: Report) -> tuple[str, ...]:
    """Report what the database is like, and return the models that open runs name."""
    try:
        if settings.database_url is None and not _is_made(settings.data_dir, settings.pg_bin, report):
            return ()
        async with (
            open_database(settings) as database,
            translated(),
            await database.connect() as connection,
            await database.connect() as other,
        ):
            return await _look(database, connection, other, report)
    except EmbeddedPostgresError as error:
        report(failure(Check.DATABASE, str(error), _FOLDER_ADVICE))
    except (InvalidConninfo, SettingsError) as error:
        report(failure(Check.SETTINGS, str(error), "set TRIOQUEUE_DATABASE_URL"))
    except DatabaseUnavailable as error:
        report(failure(Check.DATABASE, str(error), _UNREACHABLE_ADVICE))
    except DatabaseError as error:
        report(failure(Check.DATABASE, str(error), _REFUSED_ADVICE))
    return ()


def _is_made(data_dir: Path | None, pg_bin: Path | None, report: Report) -> bool:
    """Whether there is an embedded database, or an error to come; to make one is not a doctor's work."""
    if data_dir is None:
        return True
    try:
        finding, made = look_at_folder(data_dir)
    except OSError as error:
        report(failure(Check.DATA_DIRECTORY, f"{data_dir}: {error.strerror}", _FOLDER_ADVICE))
        return False
    report(finding)
    if not made:
        programs = find_programs(pg_bin, account_prefix(), None)
        found = f"there is none in {data_dir} yet; {programs.folder} has PostgreSQL {programs.major}"
        report(failure(Check.DATABASE, found, "run `trioqueue migrate`, which makes it"))
    return made


async def _look(
    database: Database, connection: TrioConnection, other: TrioConnection, report: Report
) -> tuple[str, ...]:
    settings = database.settings
    facts = await look_at_server(connection, other, embedded=settings.database_url is None)
    # Beside the pool, heartbeats and LISTEN have a connection each.
    needed = settings.pool_size + 1 + settings.listen
    for finding in judge_server(
        facts, needed=needed, prepared_statements=settings.prepared_statements, listen=settings.listen
    ):
        report(finding)
    ready = [
        schema
        for schema in settings.served_schemas
        if await _is_ready(database, connection, schema, _labelled(report, schema, settings))
    ]
    models: set[str] = set()
    for schema in ready:
        work = await look_at_work(connection, schema)
        models.update(work.models)
        for finding in judge_work(work):
            _labelled(report, schema, settings)(finding)
    if settings.served_schemas[0] in ready:  # the one whose gates count
        for finding in judge_gates(await Campaigns(database.pool, settings.served_schemas[0]).gates()):
            report(finding)
    return tuple(models)


def _labelled(report: Report, schema: str, settings: Settings) -> Report:
    """What says of which schema a finding is, where there are several."""
    if len(settings.served_schemas) == 1:
        return report
    return lambda finding: report(attrs.evolve(finding, found=f"schema {schema!r}: {finding.found}"))


async def _is_ready(database: Database, connection: TrioConnection, schema: str, report: Report) -> bool:
    """Whether a worker can work on a schema: it is up to date, and the role may do all that a worker does."""
    missing = await look_at_rights(connection, schema)
    if missing:
        report(judge_rights(missing))
    if any(right in _UNREADABLE or right.startswith("usage on schema") for right in missing):
        report(warning(Check.SCHEMA, "its version could not be read", "grant the role its rights first"))
        return False
    if not await _is_up_to_date(database, schema, report):
        return False
    if not missing:
        report(judge_rights(()))
    return not missing


async def _is_up_to_date(database: Database, schema: str, report: Report) -> bool:
    try:
        await database.check([schema])
    except SchemaOutdated as error:
        report(failure(Check.SCHEMA, str(error), "run `trioqueue migrate`"))
        return False
    except MigrationError as error:
        report(failure(Check.SCHEMA, str(error), "use the version of trioqueue that the schema was made by, or newer"))
        return False
    report(ok(Check.SCHEMA, "it is up to date"))
    return True
