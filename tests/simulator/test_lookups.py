"""The simulated gateway's look-up."""

from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from tests.simulator.clients import Client
from tests.simulator.worlds import client_of
from trioqueue.domain.lookups import Delivered, NotDelivered
from trioqueue.domain.sends import OutgoingPart
from trioqueue.gateways.http_lookup import HttpLookup
from trioqueue.http.transport import HttpTransport
from trioqueue.simulator import GatewayFault, Rule


async def ask(client: Client, key: str) -> httpx.Response:
    """Ask what became of a part."""
    return await client.http.post(
        client.world.lookup_url,
        json={"idempotencyKey": key},
        headers={"X-Service-Role-Key": client.world.gateway_key},
    )


async def test_what_became_of_parts():
    """A part that was taken over is found by its key, also when its answer was lost; one that was not is not."""
    script = [Rule(GatewayFault.SERVER_ERROR, about="lost"), Rule(GatewayFault.ACCEPT_THEN_SERVER_ERROR, about="late")]
    async with client_of(gateway_script=script) as client:
        for name in ("found", "late", "lost"):
            await client.send(name, key=name)
        answers = [(await ask(client, name)).json() for name in ("found", "late", "lost", "never sent")]

    ids = [delivery.provider_id for delivery in client.world.deliveries]
    assert answers == [
        {"outcome": "delivered", "providerMessageId": ids[0]},
        {"outcome": "delivered", "providerMessageId": ids[1]},
        {"outcome": "not_delivered"},
        {"outcome": "not_delivered"},
    ]
    assert list(client.world.lookups) == ["found", "late", "lost", "never sent"]
    assert len(client.world.sends) == 3


async def test_the_adapter_understands_it():
    """What trioqueue asks with gets the answers that it knows."""
    part = OutgoingPart(UUID(int=1), "Oi!", "m:1")
    async with client_of() as client, HttpTransport() as transport:
        lookup = HttpLookup(client.world.lookup_url, client.world.gateway_key, transport)
        before = await lookup.look_up(part, datetime(2026, 8, 1, tzinfo=UTC), timeout=10.0)
        await client.send("Oi!", key="m:1")
        after = await lookup.look_up(part, datetime(2026, 8, 1, tzinfo=UTC), timeout=10.0)

    assert before == NotDelivered()
    assert after == Delivered(client.world.deliveries[0].provider_id)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"idempotencyKey": 7}'])
async def test_what_is_no_look_up_is_refused(body: bytes):
    """A wrong key, method or body is refused as by the gateway itself."""
    async with client_of() as client:
        key = {"X-Service-Role-Key": client.world.gateway_key}
        bad = await client.http.post(client.world.lookup_url, content=body, headers=key)
        stranger = await client.http.post(client.world.lookup_url, json={"idempotencyKey": "k"})
        asked = await client.http.get(client.world.lookup_url, headers=key)

    assert (bad.status_code, stranger.status_code, asked.status_code) == (400, 401, 405)
    assert list(client.world.lookups) == []
