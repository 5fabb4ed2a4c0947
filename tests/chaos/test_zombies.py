"""A worker that wakes up after its lease has run out and its messages were done by another."""

from pathlib import Path

import pytest

from tests.support.chaos.server import Server
from tests.support.chaos.zombie import Stage, wake_zombie


@pytest.mark.parametrize("stage", Stage, ids=lambda stage: stage.name.lower())
@pytest.mark.parametrize("idempotent", [False, True], ids=["", "idempotent"])
async def test_a_zombie_sends_nothing(server: Server, tmp_path: Path, stage: Stage, idempotent: bool) -> None:
    """It has the answer that it waited for, and writes, splits and sends nothing of what it held before."""
    awakening = await wake_zombie(server, tmp_path, stage, idempotent=idempotent)

    assert list(awakening.violations) == []
    assert awakening.sends_after == awakening.sends > 0
    assert awakening.code == 0
