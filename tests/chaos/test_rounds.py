"""Short rounds of what scripts/chaos does for minutes."""

from collections import Counter
from pathlib import Path

from tests.support.chaos.round import Plan, Round
from tests.support.chaos.schedule import FaultKind, restarts
from tests.support.chaos.server import Server
from trioqueue.domain.states import MessageStatus


async def test_a_short_round(server: Server, tmp_path: Path) -> None:
    """Workers, network and database die for some seconds; then nothing is lost and nothing has left twice."""
    outcome = await Round(server, tmp_path, Plan(seed=1, seconds=12, workers=4, messages=60)).run()

    assert list(outcome.violations) == []
    assert sum(outcome.faults.values()) > 5
    assert len(outcome.evidence.messages) == 60


async def test_restarts_of_the_database_cost_nothing(server: Server, tmp_path: Path) -> None:
    """While PostgreSQL is restarted and crashes, a run completes: all is sent, once, and no text is paid for twice."""
    plan = Plan(
        seed=1, seconds=60, workers=2, messages=60, latency=0.4, world_faults=False, schedule=restarts(1.5, count=40)
    )
    outcome = await Round(server, tmp_path, plan).run()

    assert list(outcome.violations) == []
    assert min(outcome.faults[FaultKind.RESTART_SERVER], outcome.faults[FaultKind.CRASH_SERVER]) >= 1
    assert Counter(message.status for message in outcome.evidence.messages) == {MessageStatus.SENT: 60}
    assert outcome.left == 0
