"""Brings a schema to the version that this code was written for.

Migrations are the files of schema/migrations, forward only. Each is applied in a transaction of its own that also
holds an advisory lock and records its checksum: two `trioqueue migrate` at once wait for each other, and one that dies
leaves whole migrations. Transaction-level locks work behind PgBouncer, session-level ones do not.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import attrs
import psycopg
import psycopg.errors
from psycopg.sql import SQL, Identifier

from trioqueue.domain.errors import TrioqueueError
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import is_away

LOCK_TIMEOUT: Final = "10s"
"""How long a migration waits for a table that others use: a waiting ALTER TABLE holds up every query behind it."""

_LEDGER_OF_MIGRATIONS: Final = """
create table {}.schema_migrations (
  version integer primary key,
  name text not null,
  checksum text not null,
  applied_at timestamptz not null default now()
)
"""

_FILE_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class MigrationError(TrioqueueError):
    """The schema cannot be migrated; nothing of the failing migration was applied."""


class SchemaOutdated(TrioqueueError):
    """The schema is not at the version that this code was written for."""


@attrs.frozen
class Migration:
    """One file of schema/migrations."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text; recorded, so that a file changed after it was applied is refused."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def schema_directory() -> Path:
    """Where schema/ is: inside the installed package, or at the top of a working copy."""
    packaged = Path(str(files("trioqueue"))) / "schema"
    return packaged if packaged.is_dir() else packaged.parents[1] / "schema"


def load_migrations(directory: Path | None = None) -> tuple[Migration, ...]:
    """The migrations in the order of their versions.

    Raises:
        MigrationError: A file's name is not NNNN_name.sql, or a version is missing or there twice.
    """
    migrations = []
    for path in sorted((directory or schema_directory() / "migrations").glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: a migration is named NNNN_name.sql")
        migrations.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    versions = [migration.version for migration in migrations]
    if versions != list(range(1, len(versions) + 1)):
        raise MigrationError(
            f"the versions of schema/migrations are not 1 to {len(versions)} without a gap: {versions}"
        )
    return tuple(migrations)


def outstanding(migrations: Sequence[Migration], applied: Mapping[int, str]) -> tuple[Migration, ...]:
    """The migrations that are still to be applied.

    Args:
        migrations: All of them.
        applied: Version and checksum of those that a schema has.

    Raises:
        MigrationError: The schema has a migration that is not known here, or that has been changed since.
    """
    unknown = sorted(set(applied) - {migration.version for migration in migrations})
    if unknown:
        raise MigrationError(
            f"the schema has migration {unknown[-1]:04}, which this version does not know: upgrade trioqueue"
        )
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"{migration.version:04}_{migration.name}.sql has been changed since it was applied: "
                "restore the file and put the change into a new migration"
            )
    missing = [migration for migration in migrations if migration.version not in applied]
    if missing and applied and missing[0].version < max(applied):
        raise MigrationError(f"migration {missing[0].version:04} was never applied, but later ones were")
    return tuple(missing)


async def migrate(connection: TrioConnection, schema: str) -> tuple[Migration, ...]:
    """Apply what is outstanding, and say what it was.

    Raises:
        MigrationError: The files and the schema do not fit together, or a migration failed.
    """
    migrations = load_migrations()
    applied = []
    while (migration := await _apply_next(connection, schema, migrations)) is not None:
        applied.append(migration)
    return tuple(applied)


async def _apply_next(connection: TrioConnection, schema: str, migrations: Sequence[Migration]) -> Migration | None:
    try:
        async with connection.transaction():
            await connection.execute("select set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            await connection.execute("set local statement_timeout = 0")
            await connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"trioqueue {schema}"])
            await _prepare_schema(connection, schema)
            missing = outstanding(migrations, await _applied(connection, schema))
            if not missing:
                return None
            await connection.execute(SQL("set local search_path to {}, pg_temp").format(Identifier(schema)))
            await _apply(connection, schema, missing[0])
            await connection.execute(
                "insert into schema_migrations (version, name, checksum) values (%s, %s, %s)",
                [missing[0].version, missing[0].name, missing[0].checksum],
            )
    except psycopg.errors.LockNotAvailable as error:
        raise MigrationError(
            f"schema {schema!r}: a table, or another migration, was busy for {LOCK_TIMEOUT}: try again later"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(f"schema {schema!r}: the database refuses: {error.diag.message_primary}") from error
    return missing[0]


async def _apply(connection: TrioConnection, schema: str, migration: Migration) -> None:
    try:
        await connection.execute(migration.sql.encode())
    except psycopg.Error as error:
        known = (psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientPrivilege)
        if isinstance(error, known) or is_away(error):
            raise
        raise MigrationError(
            f"schema {schema!r}: {migration.version:04}_{migration.name} cannot be applied, and nothing of it was: "
            f"{error.diag.message_primary}"
        ) from error


async def _prepare_schema(connection: TrioConnection, schema: str) -> None:
    # Asked first, because `create ... if not exists` wants the right to create also where there is nothing to do.
    if not await _exists(connection, schema):
        await connection.execute(SQL("create schema if not exists {}").format(Identifier(schema)))
        await connection.execute(SQL(_LEDGER_OF_MIGRATIONS).format(Identifier(schema)))


async def _exists(connection: TrioConnection, schema: str) -> bool:
    name = Identifier(schema, "schema_migrations").as_string()
    cursor = await connection.execute("select to_regclass(%s) is not null", [name])
    return bool((await cursor.fetchall())[0][0])


async def _applied(connection: TrioConnection, schema: str) -> dict[int, str]:
    query = SQL("select version, checksum from {}.schema_migrations").format(Identifier(schema))
    return dict(await (await connection.execute(query)).fetchall())


async def check_schema(connection: TrioConnection, schema: str) -> None:
    """Make sure that the schema is at this code's version.

    Raises:
        SchemaOutdated: It is older, or was never migrated.
        MigrationError: It is newer, or its files have been changed.
    """
    applied = await _applied(connection, schema) if await _exists(connection, schema) else {}
    missing = outstanding(load_migrations(), applied)
    if missing:
        at = f"at version {max(applied):04}" if applied else "empty"
        raise SchemaOutdated(
            f"the schema {schema!r} is {at} and must be at {missing[-1].version:04}: run `trioqueue migrate`"
        )
