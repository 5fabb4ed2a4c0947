"""Migrations: applied once, in order, by one at a time; changed or missing files are refused."""

from pathlib import Path

import attrs
import pytest
import trio

from tests.support.backends import value
from trioqueue.postgres.connect import connect
from trioqueue.postgres.migrations import (
    Migration,
    MigrationError,
    SchemaOutdated,
    check_schema,
    load_migrations,
    migrate,
    outstanding,
)

ALL = load_migrations()
APPLIED = {migration.version: migration.checksum for migration in ALL}


async def test_an_empty_database_is_brought_up_to_date_once(database_url: str) -> None:
    """Every migration is applied the first time and none the second."""
    async with await connect(database_url) as connection:
        first = await migrate(connection, "trioqueue")
        second = await migrate(connection, "trioqueue")

    assert first == ALL
    assert second == ()


async def test_the_schema_can_have_any_name(database_url: str) -> None:
    """Nothing hard-codes a schema: an odd name holds everything, and `public` stays empty."""
    name = 'Odd "name" of a schema'
    async with await connect(database_url) as connection:
        await migrate(connection, name)
        await check_schema(connection, name)
        tables = "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = %s"
        there = await value(connection, tables, name)
        in_public = await value(connection, tables, "public")
        paths = await value(
            connection,
            "select count(*) from pg_proc p join pg_namespace n on n.oid = pronamespace"
            " where nspname = %s and (proconfig is null or array_to_string(proconfig, ',') not like '%%Odd%%pg_temp')",
            name,
        )

    assert there > 10
    assert in_public == 0
    assert paths == 0


async def test_two_at_once_apply_each_migration_once(database_url: str) -> None:
    """Two `migrate` at the same time wait for each other; together they apply every migration once."""
    applied: list[Migration] = []

    async def migrate_once() -> None:
        async with await connect(database_url) as connection:
            applied.extend(await migrate(connection, "trioqueue"))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(migrate_once)

    assert sorted(migration.version for migration in applied) == [migration.version for migration in ALL]


async def test_an_outdated_schema_is_told_with_what_to_do(database_url: str) -> None:
    """A schema that was never migrated is refused with the command that helps."""
    async with await connect(database_url) as connection:
        with pytest.raises(SchemaOutdated, match="trioqueue migrate"):
            await check_schema(connection, "trioqueue")


async def test_a_failed_migration_leaves_nothing(database_url: str) -> None:
    """A migration that fails half way is rolled back with its record."""
    async with await connect(database_url) as connection:
        await connection.execute("create schema trioqueue")
        await connection.execute("create table trioqueue.campaign_logs (id integer)")
        with pytest.raises(MigrationError, match=r"0001_initial cannot be applied.*campaign_logs"):
            await migrate(connection, "trioqueue")

        assert await value(connection, "select to_regclass('trioqueue.leads') is null")


async def test_a_busy_table_is_not_waited_for_without_end(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration gives up after lock_timeout and says that it can be tried again."""
    monkeypatch.setattr("trioqueue.postgres.migrations.LOCK_TIMEOUT", "50ms")
    lock = "select pg_advisory_xact_lock(hashtextextended('trioqueue trioqueue', 0))"
    async with await connect(database_url) as holder, await connect(database_url) as connection, holder.transaction():
        await holder.execute(lock)
        with pytest.raises(MigrationError, match="try again later"):
            await migrate(connection, "trioqueue")


async def test_a_role_without_the_right_to_create_is_refused(database_url: str) -> None:
    """A role that may not create schemas gets the database's own reason, and migrates nothing."""
    async with await connect(database_url) as connection:
        await connection.execute("drop role if exists trioqueue_nobody")
        await connection.execute("create role trioqueue_nobody")
        try:
            await connection.execute("set role trioqueue_nobody")
            with pytest.raises(MigrationError, match="permission denied"):
                await migrate(connection, "trioqueue")
        finally:
            await connection.execute("reset role")
            await connection.execute("drop role trioqueue_nobody")


def test_a_changed_file_is_refused() -> None:
    """A file that was changed after it was applied is named, with what to do."""
    changed = (attrs.evolve(ALL[0], sql=ALL[0].sql + "\n-- more"), *ALL[1:])

    with pytest.raises(MigrationError, match="has been changed since it was applied"):
        outstanding(changed, APPLIED)


def test_a_migration_from_the_future_is_refused() -> None:
    """A schema that a newer version has migrated is not touched."""
    with pytest.raises(MigrationError, match="upgrade trioqueue"):
        outstanding(ALL, {**APPLIED, len(ALL) + 1: "checksum"})


def test_a_hole_among_the_applied_is_refused() -> None:
    """A migration that was left out while later ones were applied is not applied out of turn."""
    later = (*ALL, attrs.evolve(ALL[-1], version=len(ALL) + 1, name="later"))

    with pytest.raises(MigrationError, match="was never applied"):
        outstanding(later, {later[-1].version: later[-1].checksum})


@pytest.mark.parametrize(
    "names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"], ["1_a.sql"]]
)
def test_names_of_files_are_checked(tmp_path: Path, names: list[str]) -> None:
    """A file with another kind of name, a missing version and a version that is there twice are refused."""
    for name in names:
        (tmp_path / name).write_text("select 1")

    with pytest.raises(MigrationError):
        load_migrations(tmp_path)
