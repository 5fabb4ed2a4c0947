"""Builds the adapters from the settings and wires them: the only place that knows all of them."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import uuid4

import attrs

from trioqueue.domain.messages import Incarnation
from trioqueue.gateways.http_lookup import HttpLookup
from trioqueue.gateways.internal import InternalGateway
from trioqueue.http.proxies import transport_for
from trioqueue.openrouter.client import OpenRouter
from trioqueue.ports import Gateway, Lookup, Model, Store
from trioqueue.postgres.batches import FactBatches, execute_all
from trioqueue.postgres.connect import connect
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.embedded import EmbeddedPostgresError, EmbeddedServer, embedded_postgres
from trioqueue.postgres.errors import DatabaseUnavailable, translated
from trioqueue.postgres.listener import listen, wakeup_channel
from trioqueue.postgres.migrations import Migration, check_schema, migrate
from trioqueue.postgres.pool import Pool
from trioqueue.postgres.roles import grant_to_worker
from trioqueue.postgres.store import PostgresStore
from trioqueue.settings import SETTINGS, Settings, SettingsError
from trioqueue.worker.shards import Shards
from trioqueue.worker.supervisor import Worker, WorkerSettings

if TYPE_CHECKING:
    from trioqueue.postgres.campaigns import Campaigns
    from trioqueue.postgres.messages import Messages

PREPARE_AFTER: Final = 5
"""Executions of a statement on one connection until it is prepared there: psycopg's own default."""

ANSWER_MARGIN: Final = 5.0
"""Seconds beyond the server's own time-out that a call of the store may take."""


Connect: TypeAlias = Callable[[], Awaitable[TrioConnection]]


@attrs.frozen(eq=False)
class Database:
    """A database and the schemas that trioqueue uses in it."""

    connect: Connect
    pool: Pool
    heartbeats: Pool
    settings: Settings

    @property
    def campaigns(self) -> "Campaigns":
        """The campaigns of the schema."""
        from trioqueue.postgres.campaigns import Campaigns  # which a worker does not need

        return Campaigns(self.pool, self.settings.schema)

    @property
    def messages(self) -> "Messages":
        """The messages of the schema."""
        from trioqueue.postgres.messages import Messages  # which a worker does not need

        return Messages(self.pool, self.settings.schema)

    async def migrate(self) -> Mapping[str, tuple[Migration, ...]]:
        """Bring the schemas that are served up to date, and say what was applied to each.

        Raises:
            MigrationError: It cannot be.
            DatabaseError: The database refused or was away.
        """
        async with translated(), self.pool.connection() as connection:
            return {schema: await migrate(connection, schema) for schema in self.settings.served_schemas}

    async def grant_to_worker(self, role: str) -> bool:
        """Let a role do what a worker does in the schemas that are served, and say whether it was made.

        Raises:
            MigrationError: Whoever is connected may not grant that.
            DatabaseError: The database refused or was away.
        """
        async with translated(), self.pool.connection() as connection:
            return any([await grant_to_worker(connection, schema, role) for schema in self.settings.served_schemas])

    async def check(self, schemas: Iterable[str] = ()) -> None:
        """Make sure that the schema, or others that are named, are up to date.

        Raises:
            SchemaOutdated: It is not.
            DatabaseError: The database refused or was away.
        """
        async with translated(), self.pool.connection() as connection:
            for schema in schemas or (self.settings.schema,):
                await check_schema(connection, schema)

    async def try_writing(self) -> None:
        """Make sure that a worker may tell what its calls come to, before it pays for one. Writes nothing.

        Raises:
            DatabaseUnfit: It may not.
            DatabaseError: The database refused or was away.
        """
        async with translated(), self.pool.connection() as connection:
            for schema in self.settings.served_schemas:
                async with connection.pipeline():
                    await execute_all(connection, FactBatches(schema, self.settings.daily_limits).without_rows())


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database of the settings; an embedded one, started and stopped here, when none is set.

    Raises:
        EmbeddedPostgresError: The embedded server cannot be started.
        SettingsError: There is neither a database nor a directory for an embedded one.
    """
    if settings.database_url is not None:
        async with _pool(_connector(settings.database_url.get_secret_value(), settings), settings) as database:
            yield database
    elif settings.data_dir is None:
        raise SettingsError(
            "this account has no home directory for an embedded PostgreSQL: set TRIOQUEUE_DATABASE_URL to the URL of a "
            "server, or TRIOQUEUE_DATA_DIR to a directory"
        )
    else:
        async with (
            embedded_postgres(settings.data_dir, bin_dir=settings.pg_bin) as server,
            _pool(_reviving_connector(server, settings), settings) as database,
        ):
            yield database


@asynccontextmanager
async def _pool(connect: Connect, settings: Settings) -> AsyncIterator[Database]:
    async with Pool(connect, size=settings.pool_size) as pool, Pool(connect, size=1) as heartbeats:
        yield Database(connect, pool, heartbeats, settings)


def _reviving_connector(server: EmbeddedServer, settings: Settings) -> Connect:
    async def open_connection() -> TrioConnection:
        try:
            return await _connector(server.url, settings)()
        except DatabaseUnavailable:
            # Nobody else would start it again.
            try:
                await server.revive()
            except EmbeddedPostgresError as error:
                raise DatabaseUnavailable(str(error)) from error
            return await _connector(server.url, settings)()

    return open_connection


def _connector(url: str, settings: Settings) -> Connect:
    limits = settings.statement_timeout if settings.prepared_statements else None

    async def open_connection() -> TrioConnection:
        return await connect(
            url,
            statement_timeout=limits,
            idle_in_transaction_timeout=limits,
            prepare_threshold=PREPARE_AFTER if settings.prepared_statements else None,
        )

    return open_connection


@asynccontextmanager
async def open_model(settings: Settings) -> AsyncIterator[Model]:
    """The language model of the settings.

    Raises:
        SettingsError: Its key is not set.
    """
    if settings.openrouter_api_key is None:
        raise SettingsError(_unset("openrouter_api_key"))
    async with transport_for(settings.openrouter_url) as transport:
        yield OpenRouter(settings.openrouter_url, settings.openrouter_api_key.get_secret_value(), transport)


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """The messaging gateway of the settings.

    Raises:
        SettingsError: Its address or its key is not set.
    """
    problems = [_unset(name) for name in ("gateway_url", "gateway_key") if getattr(settings, name) is None]
    if settings.gateway_url is None or settings.gateway_key is None:
        raise SettingsError(*problems)
    key = settings.gateway_key.get_secret_value()
    async with transport_for(settings.gateway_url) as transport:
        yield InternalGateway(settings.gateway_url, key, transport, idempotent=settings.gateway_idempotent)


@asynccontextmanager
async def open_lookup(settings: Settings) -> AsyncIterator[Lookup | None]:
    """What can be asked about parts with an unknown outcome; None where the settings name nothing."""
    if settings.gateway_lookup_url is None or settings.gateway_key is None:
        yield None
        return
    async with transport_for(settings.gateway_lookup_url) as transport:
        yield HttpLookup(settings.gateway_lookup_url, settings.gateway_key.get_secret_value(), transport)


def _unset(name: str) -> str:
    setting = SETTINGS[name]
    return f"{setting.variable} is not set: {setting.help}"


def make_worker(database: Database, model: Model, gateway: Gateway, lookup: Lookup | None = None) -> Worker:
    """A worker of this process, as a new incarnation."""
    settings = database.settings
    return Worker(
        store=_open_store(database),
        model=model,
        gateway=gateway,
        lookup=lookup,
        incarnation=Incarnation(uuid4(), socket.gethostname(), os.getpid(), settings.lease),
        settings=WorkerSettings(
            **{field.name: getattr(settings, field.name) for field in attrs.fields(WorkerSettings)}
        ),
        wakeups=partial(_hear_wakeups, database) if settings.listen else None,
    )


def _open_store(database: Database) -> Store:
    settings = database.settings
    stores = [
        PostgresStore(
            database.pool,
            schema,
            timeout=settings.statement_timeout + ANSWER_MARGIN,
            heartbeats=database.heartbeats,
            fallback_models=settings.fallback_models,
            daily=settings.daily_limits,
        )
        for schema in settings.served_schemas
    ]
    return stores[0] if len(stores) == 1 else Shards(stores)


async def _hear_wakeups(database: Database, wake: Callable[[], None]) -> None:
    await listen(database.connect, [wakeup_channel(schema) for schema in database.settings.served_schemas], wake)


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncIterator[Worker]:
    """A worker with the database, the model and the gateway of the settings; what is missing is said first.

    Raises:
        SettingsError: An address or a key is not set.
        SchemaOutdated: A schema is not up to date.
        DatabaseError: The database refused or was away.
    """
    async with (
        open_model(settings) as model,
        open_gateway(settings) as gateway,
        open_lookup(settings) as lookup,
        open_database(settings) as database,
    ):
        await database.check(settings.served_schemas)
        await database.try_writing()
        yield make_worker(database, model, gateway, lookup)
