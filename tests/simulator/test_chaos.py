"""Every fault at once: the world goes on, and its record adds up."""

from collections.abc import Mapping
from typing import Any

import httpx
import trio

from tests.simulator.clients import generation_body, split_body
from tests.simulator.worlds import client_of
from trioqueue.simulator import GatewayFault, Latency, ModelFault, SplitShape, World

CLIENTS = 12
ROUNDS = 8
PATIENCE = 0.1

# Reading 32 MiB takes longer than the clients' patience; held calls would need somebody to release them.
MODEL_FAULTS = sorted(set(ModelFault) - {ModelFault.HUGE, ModelFault.HOLD})
GATEWAY_FAULTS = sorted(set(GatewayFault) - {GatewayFault.ACCEPT_THEN_HOLD})


async def test_every_fault_at_once():
    """A part answered with 200 was delivered, one refused with 4xx was not, and no call is left under way."""
    statuses: dict[str, int] = {}
    async with client_of(
        seed=7,
        model_chances={fault: 0.5 / len(MODEL_FAULTS) for fault in MODEL_FAULTS}
        | {shape: 0.3 / len(SplitShape) for shape in SplitShape},
        gateway_chances={fault: 0.8 / len(GATEWAY_FAULTS) for fault in GATEWAY_FAULTS},
        model_latency=Latency(0.002, 0.002),
        slow=0.01,
        drip_interval=0.001,
        outage=0.01,
    ) as client:
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(use, client.world, f"{number}", statuses)
        await client.world.wait_until(lambda world: not world.statistics().model.in_flight)
        await client.world.wait_until(lambda world: not world.statistics().gateway.in_flight)
    delivered = {delivery.idempotency_key for delivery in client.world.deliveries}

    assert {key for key, status in statuses.items() if status == 200} <= delivered
    assert not {key for key, status in statuses.items() if 400 <= status < 500} & delivered
    assert delivered <= {send.idempotency_key for send in client.world.sends}
    assert len(delivered) == len(client.world.deliveries)
    assert {2, 4, 5} <= {status // 100 for status in statuses.values()}


async def use(world: World, name: str, statuses: dict[str, int]) -> None:
    """Write, split and send some times, leave whatever takes too long, and keep what the sends were answered."""
    for number in range(ROUNDS):
        key = f"{name}:{number}"
        for body in (generation_body(), split_body()):
            await post(f"{world.model_url}/chat/completions", {"Authorization": f"Bearer {world.model_key}"}, body)
        headers = {"X-Service-Role-Key": world.gateway_key, "Idempotency-Key": key}
        status = await post(world.gateway_url, headers, {"conversationId": name, "text": key})
        if status is not None:
            statuses[key] = status


async def post(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> int | None:
    """Post JSON on a connection of its own; the answer's status, None when none came in time."""
    request = httpx.Request("POST", url, headers={**headers, "Connection": "close"}, json=dict(body))
    lines = [f"POST {request.url.path} HTTP/1.1", *[f"{name}: {value}" for name, value in request.headers.items()]]
    received = b""
    with trio.move_on_after(PATIENCE) as scope:
        try:
            async with await trio.open_tcp_stream(request.url.host, request.url.port or 0) as stream:
                await stream.send_all("\r\n".join([*lines, "\r\n"]).encode() + request.content)
                async for chunk in stream:
                    received += chunk
        except (OSError, trio.BrokenResourceError):
            return None
    return int(received.split()[1]) if received and not scope.cancelled_caught else None
