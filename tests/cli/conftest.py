"""Fixtures for the command line: a process as a user starts it, and a world for it to work in."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.command import Command
from trioqueue.simulator import World, WorldSettings, simulated_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A simulated model and gateway that answer at once."""
    async with simulated_world(WorldSettings()) as world:
        yield world


@pytest.fixture
def command(migrated_url: str, world: World, tmp_path: Path) -> Command:
    """The command line in an empty directory, with the variables of a migrated database and the world."""
    return Command(
        directory=tmp_path,
        variables={
            "TRIOQUEUE_DATABASE_URL": migrated_url,
            "TRIOQUEUE_OPENROUTER_URL": world.model_url,
            "OPENROUTER_API_KEY": world.model_key,
            "TRIOQUEUE_GATEWAY_URL": world.gateway_url,
            "TRIOQUEUE_GATEWAY_KEY": world.gateway_key,
        },
    )


@pytest.fixture
def leads_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CSV file of leads."""

    def write(*rows: str, header: str = "client_name,primary_phone,cidade") -> Path:
        path = tmp_path / "leads.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return write
