"""The main job as bootstrap.py wires it: real PostgreSQL, real HTTP, a simulated model and gateway."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
from typed_settings import Secret

from trioqueue.bootstrap import Database, make_worker, open_database, open_gateway, open_lookup, open_model
from trioqueue.ports import Gateway, Lookup, Model
from trioqueue.settings import Settings
from trioqueue.simulator import World, WorldSettings, simulated_world
from trioqueue.worker.supervisor import Worker


@attrs.frozen(eq=False)
class MainJob:
    """A database, a world, and what makes workers for them."""

    world: World
    database: Database
    model: Model
    gateway: Gateway
    lookup: Lookup | None

    def worker(self) -> Worker:
        """A worker with an incarnation of its own."""
        return make_worker(self.database, self.model, self.gateway, self.lookup)

    def delivered(self) -> dict[str, list[str]]:
        """The texts that arrived, by conversation, in the order of their arrival."""
        texts: dict[str, list[str]] = defaultdict(list)
        for delivery in self.world.deliveries:
            texts[delivery.conversation_id].append(delivery.text)
        return texts


@asynccontextmanager
async def main_job(url: str, world_settings: WorldSettings | None = None, **changes: Any) -> AsyncIterator[MainJob]:
    """Everything but a worker, on a migrated database.

    `changes` are settings, and `looks_up` says whether the gateway is asked about parts of unknown fate.
    """
    looks_up = changes.pop("looks_up", False)
    async with simulated_world(world_settings) as world:
        settings = Settings(
            database_url=Secret(url),
            openrouter_url=world.model_url,
            openrouter_api_key=Secret(world.model_key),
            gateway_url=world.gateway_url,
            gateway_key=Secret(world.gateway_key),
            gateway_lookup_url=world.lookup_url if looks_up else None,
            **changes,
        )
        async with (
            open_model(settings) as model,
            open_gateway(settings) as gateway,
            open_lookup(settings) as lookup,
            open_database(settings) as database,
        ):
            yield MainJob(world, database, model, gateway, lookup)
