"""The cool-down of a model is shared by all messages in flight."""

import pytest
import trio

from tests.support.clock import passes, virtual_time
from trioqueue.domain.backoff import LONGEST_WAIT
from trioqueue.worker.cooldown import Cooldowns


@virtual_time
async def test_a_model_without_one_may_be_called() -> None:
    """Nobody waits for a model that has not limited anyone."""
    cooldowns = Cooldowns()
    cooldowns.begin("other", 30.0)

    assert await cooldowns.wait("model") == 0
    assert trio.current_time() == 0.0


@virtual_time
async def test_it_is_waited_out() -> None:
    """Who comes during a cool-down that fits goes on when it is over."""
    cooldowns = Cooldowns()
    cooldowns.begin("model", 12.0)
    await passes(2.0)

    assert cooldowns.remaining("model") == 10.0
    assert await cooldowns.wait("model") == 0
    assert trio.current_time() == 12.0


@virtual_time
async def test_a_later_end_stays() -> None:
    """A second rate limit makes a cool-down longer, never shorter."""
    cooldowns = Cooldowns()
    cooldowns.begin("model", 20.0)
    cooldowns.begin("model", 5.0)

    assert cooldowns.remaining("model") == 20.0
    cooldowns.begin("model", 25.0)

    assert cooldowns.remaining("model") == 25.0


@virtual_time
async def test_one_that_grows_is_waited_out_to_its_end() -> None:
    """Who waits already goes on waiting when the cool-down gets longer meanwhile."""
    cooldowns = Cooldowns()
    cooldowns.begin("model", 10.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cooldowns.wait, "model")
        await passes(5.0)
        cooldowns.begin("model", 30.0)

    assert trio.current_time() == 35.0


@pytest.mark.parametrize(
    ("cooling", "left", "waited"),
    [(LONGEST_WAIT, 100.0, True), (LONGEST_WAIT + 0.1, 100.0, False), (10.0, 10.0, False), (10.0, 10.1, True)],
)
@virtual_time
async def test_one_that_does_not_fit_is_not_begun(cooling: float, left: float, waited: bool) -> None:
    """A cool-down of more than a minute, or that leaves no time for the call, is told to the caller at once."""
    cooldowns = Cooldowns()
    cooldowns.begin("model", cooling)
    with trio.move_on_after(left) as scope:
        told = await cooldowns.wait("model")

    assert not scope.cancelled_caught
    assert told == (0 if waited else cooling)
    assert trio.current_time() == (cooling if waited else 0.0)


@virtual_time
async def test_one_that_outgrows_the_time_left_is_told() -> None:
    """When a cool-down gets too long while it is waited for, the wait ends then and not at the deadline."""
    cooldowns = Cooldowns()
    cooldowns.begin("model", 10.0)
    answers: list[float] = []

    async def wait() -> None:
        with trio.fail_after(30.0):
            answers.append(await cooldowns.wait("model"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await passes(1.0)
        cooldowns.begin("model", 50.0)

    assert answers == [41.0]
    assert trio.current_time() == 10.0
