"""The role of a worker that can do just what a worker does."""

import psycopg.errors
from psycopg.sql import SQL, Identifier

from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.migrations import MigrationError, schema_directory


async def grant_to_worker(connection: TrioConnection, schema: str, role: str) -> bool:
    """Grant a role what a worker needs in a schema, and make the role if there is none; it has no password then.

    Returns:
        Whether the role was made.

    Raises:
        MigrationError: Whoever is connected may not make roles, or does not own the schema.
    """
    grants = SQL((schema_directory() / "worker_role.sql").read_text(encoding="utf-8"))
    try:
        async with connection.transaction():
            cursor = await connection.execute("select from pg_roles where rolname = %s", [role])
            made = not await cursor.fetchall()
            if made:
                await connection.execute(SQL("create role {} login").format(Identifier(role)))
            await connection.execute(grants.format(schema=Identifier(schema), role=Identifier(role)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"schema {schema!r}: nothing was granted to {role!r}: {error.diag.message_primary}. Who grants owns the "
            "schema, and may make roles where this one is not there"
        ) from error
    return made
