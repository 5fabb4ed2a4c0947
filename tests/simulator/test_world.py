"""The simulated world as a whole."""

import random
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.clients import Client, generation_body
from tests.simulator.worlds import DEADLINE, client_of
from trioqueue.simulator import (
    GatewayFault,
    Latency,
    ModelFault,
    Rule,
    SimulatorError,
    SplitShape,
    World,
    WorldSettings,
    serve,
    simulated_world,
)

SECONDS = st.floats(0, 10)


async def calls_in_order(client: Client, count: int) -> list[str | None]:
    """Make calls and sends one after the other, and say what each one met."""
    for number in range(count):
        for request in (client.complete, client.send):
            try:
                await request()
            except httpx.TransportError:
                continue
        assert len(client.world.calls) == number + 1
    met: list[str | None] = [call.fault for call in client.world.calls]
    met.extend(send.fault for send in client.world.sends)
    return met


async def test_seed():
    """The same seed brings the same faults to the same requests, another seed brings others."""
    chances = {
        "model_chances": {ModelFault.RATE_LIMITED: 0.2, ModelFault.RESET: 0.2, ModelFault.LENGTH: 0.2},
        "gateway_chances": {GatewayFault.CONFLICT: 0.3, GatewayFault.ACCEPT_THEN_CLOSE: 0.3},
    }
    met = []
    for seed, jitter in ((1, 0.0), (1, 0.001), (2, 0.0)):
        async with client_of(seed=seed, model_latency=Latency(jitter=jitter), **chances) as client:
            met.append(await calls_in_order(client, 20))

    assert met[0] == met[1] != met[2]
    assert {None, ModelFault.RATE_LIMITED, GatewayFault.CONFLICT} <= set(met[0])


async def test_script():
    """A script can say that the third message meets a 429 that asks for two seconds."""
    rule = Rule(ModelFault.RATE_LIMITED, nth=3, retry_after=2)
    async with client_of(model_script=[rule]) as client:
        responses = [await client.complete() for _ in range(4)]

    assert [response.status_code for response in responses] == [200, 200, 429, 200]
    assert responses[2].headers["retry-after"] == "2"


async def test_callable_script():
    """A callable can let every lead's first attempt fail."""
    async with client_of(
        model_script=lambda seen: ModelFault.UNAVAILABLE if seen.attempt == 1 else None,
        gateway_script=lambda seen: GatewayFault.CONFLICT if seen.conversation_id == "c-2" else None,
    ) as client:
        leads = [generation_body({"client_name": name}) for name in ("Ana", "Bia", "Ana", "Bia")]
        written = [(await client.complete(lead)).status_code for lead in leads]
        sent = [(await client.send(conversation=name)).status_code for name in ("c-1", "c-2")]

    assert written == [503, 503, 200, 200]
    assert sent == [200, 409]


async def test_shape_for_a_message():
    """A script that names a shape of split answers for a message is ignored there."""
    async with client_of(model_script=lambda _: SplitShape.REFUSAL_IN_PROSE) as client:
        response = await client.complete()

    assert response.status_code == 200
    assert client.world.calls[0].fault is None


async def test_statistics():
    """The statistics count calls, refusals, connections, deliveries and tokens."""
    async with client_of(gateway_script=[Rule(GatewayFault.CONFLICT, nth=2)]) as client:
        response = await client.complete()
        await client.send()
        await client.send()
        await client.http.get(client.world.gateway_url)
        statistics = client.world.statistics()

    assert (statistics.model.calls, statistics.model.connections, statistics.model.faults) == (1, 1, {})
    assert (statistics.gateway.calls, statistics.gateway.refused, statistics.gateway.open_connections) == (2, 1, 1)
    assert statistics.gateway.faults == {"conflict": 1}
    assert statistics.deliveries == 1
    assert statistics.tokens == response.json()["usage"]["total_tokens"]
    assert statistics.model.most_in_flight == 1
    assert statistics.model.in_flight == 0


async def test_most_in_flight():
    """The most calls that were under way at once are known afterwards."""
    async with client_of(model_script=[Rule(ModelFault.HOLD, nth=range(1, 6))]) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client.complete)
            await client.world.wait_until(lambda world: world.statistics().model.in_flight == 5)
            client.world.release_held()
        await client.complete()

    assert client.world.statistics().model.most_in_flight == 5


async def test_wait_until():
    """Several can wait for different things, and one that already holds is not waited for."""
    async with client_of() as client:
        await client.world.wait_until(lambda world: not world.deliveries)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.world.wait_until, lambda world: len(world.deliveries) == 3)
            nursery.start_soon(client.world.wait_until, lambda world: bool(world.calls))
            for _ in range(3):
                await client.send()
            await client.complete()

    assert len(client.world.deliveries) == 3


@pytest.mark.parametrize("endpoint", ["model", "gateway"])
async def test_outages(endpoint: str):
    """Each endpoint can be away by itself, and comes back at the same address."""
    async with client_of() as client:
        outage = getattr(client.world, f"{endpoint}_outage")
        away, there = (client.complete, client.send) if endpoint == "model" else (client.send, client.complete)
        with outage():
            with pytest.raises(httpx.ConnectError):
                await away()
            meanwhile = await there()
        after = await away()

    assert (meanwhile.status_code, after.status_code) == (200, 200)


async def test_latency():
    """An answer takes as long as its endpoint's latency."""
    async with client_of(model_latency=Latency(0.03), gateway_latency=Latency(0.02)) as client:
        began = trio.current_time()
        await client.complete()
        written = trio.current_time()
        await client.send()
        sent = trio.current_time()

    assert written - began >= 0.03
    assert sent - written >= 0.02


@given(SECONDS, SECONDS, st.integers())
def test_jitter(seconds: float, jitter: float, seed: int):
    """A latency lies within its jitter and is never negative."""
    drawn = Latency(seconds, jitter).draw(random.Random(seed))

    assert max(0, seconds - jitter) <= drawn <= seconds + jitter


@pytest.mark.parametrize("name", ["retry_after", "slow", "drip_interval", "outage"])
def test_negative_seconds(name: str):
    """Negative seconds are refused by the setting's name."""
    changed: dict[str, Any] = {name: -1}
    with pytest.raises(SimulatorError, match=name):
        WorldSettings(**changed)
    with pytest.raises(SimulatorError, match="jitter"):
        Latency(1, -1)


def test_keys_are_not_shown():
    """The keys do not show when settings are printed."""
    settings = WorldSettings(model_key="key-of-the-model", gateway_key="key-of-the-gateway")

    assert "key-of" not in repr(settings)


async def test_given_ports_and_keys():
    """Ports and keys can be chosen; a port that is taken is refused."""
    async with simulated_world() as first:
        port = httpx.URL(first.model_url).port or 0
        with pytest.raises(SimulatorError, match=str(port)):
            async with simulated_world(gateway_port=port):
                pass
    async with simulated_world(WorldSettings(model_key="k"), model_port=port) as second:
        assert second.model_url == first.model_url
        assert second.model_key == "k"


async def test_exceptions_are_not_grouped():
    """An exception of the block comes out as it is."""
    with pytest.raises(LookupError):
        async with simulated_world():
            raise LookupError


async def test_cancelled_block():
    """A world inside a scope that is cancelled ends with it."""
    with trio.move_on_after(DEADLINE) as scope:
        async with simulated_world():
            scope.cancel()
            await trio.sleep_forever()

    assert scope.cancelled_caught


async def test_defect_of_a_script():
    """An error in a script ends the world and comes out."""

    def broken(seen: object) -> None:
        raise LookupError

    with pytest.raises(ExceptionGroup) as raised:
        async with client_of(model_script=broken) as client:
            await client.complete()

    assert raised.group_contains(LookupError)


async def test_serve():
    """`serve` reports the world once it accepts connections, and runs until it is cancelled."""
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery, httpx.AsyncClient() as http:
            world: World = await nursery.start(serve, WorldSettings())
            response = await Client(world, http).complete()
            nursery.cancel_scope.cancel()

    assert response.status_code == 200
    assert len(world.calls) == 1
