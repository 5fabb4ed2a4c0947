"""The simulated gateway: what it delivers, what it answers, and each of its faults."""

import httpx
import pytest
import trio

from tests.simulator.clients import Client
from tests.simulator.worlds import client_of
from trioqueue.simulator import Fate, GatewayFault, RequestKind, Rule

REFUSED = {
    GatewayFault.BAD_REQUEST: 400,
    GatewayFault.UNAUTHORIZED: 401,
    GatewayFault.FORBIDDEN: 403,
    GatewayFault.NOT_FOUND: 404,
    GatewayFault.CONFLICT: 409,
    GatewayFault.UNPROCESSABLE: 422,
    GatewayFault.RATE_LIMITED: 429,
    GatewayFault.RATE_LIMITED_WITHOUT_WAIT: 429,
    GatewayFault.SERVER_ERROR: 500,
    GatewayFault.BAD_GATEWAY_HTML: 502,
    GatewayFault.UNAVAILABLE: 503,
    GatewayFault.GATEWAY_TIMEOUT: 504,
}
DELIVERED = {
    GatewayFault.ACCEPT_THEN_SERVER_ERROR: (500, '"success":false'),
    GatewayFault.ACCEPT_THEN_GATEWAY_TIMEOUT: (504, '"success":false'),
    GatewayFault.SLOW: (200, "provider_response"),
    GatewayFault.WITHOUT_ID: (200, '{"success":true}'),
    GatewayFault.STRANGE_ID: (200, '"id":42'),
    GatewayFault.EMPTY_BODY: (200, ""),
    GatewayFault.STRANGE_BODY: (200, "OK"),
    GatewayFault.STRANGE_JSON: (200, "["),
}
BROKEN = {
    GatewayFault.RESET: httpx.ReadError,
    GatewayFault.OUTAGE: httpx.ReadError,
    GatewayFault.ACCEPT_THEN_RESET: httpx.ReadError,
    GatewayFault.ACCEPT_THEN_CLOSE: httpx.RemoteProtocolError,
    GatewayFault.ACCEPT_THEN_CUT_OFF: httpx.RemoteProtocolError,
}
ENDLESS = (GatewayFault.HANG, GatewayFault.ACCEPT_THEN_HANG, GatewayFault.ACCEPT_THEN_DRIP_FOREVER)


def provider_id(response: httpx.Response) -> str:
    """The gateway's id of the part."""
    key = response.json()["provider_response"]["key"]["id"]
    assert isinstance(key, str)
    return key


def test_every_fault_is_tried():
    """No fault is missing here."""
    assert set(GatewayFault) == {*REFUSED, *DELIVERED, *BROKEN, *ENDLESS, GatewayFault.ACCEPT_THEN_HOLD}


async def test_deliveries():
    """Parts are delivered in the order of arrival, each with an id of its own, and the answer names it."""
    async with client_of() as client:
        first = await client.send("Oi!", conversation="c-1", key="m:1")
        second = await client.send("Oi!", conversation="c-2", key="m:1")
    one, two = client.world.deliveries

    assert (one.number, one.conversation_id, one.text, one.idempotency_key) == (1, "c-1", "Oi!", "m:1")
    assert (two.number, two.conversation_id) == (2, "c-2")
    assert provider_id(first) == one.provider_id != two.provider_id == provider_id(second)


async def test_idempotent():
    """An idempotent gateway delivers a key once, answers the same again, and tells parts without a key apart."""
    async with client_of(idempotent=True) as client:
        answers = [await client.send(key="m:1"), await client.send(key="m:1"), await client.send(key="m:2")]
        await client.send()
        await client.send()

    assert provider_id(answers[0]) == provider_id(answers[1]) != provider_id(answers[2])
    assert [delivery.idempotency_key for delivery in client.world.deliveries] == ["m:1", "m:2", None, None]
    assert [send.attempt for send in client.world.sends] == [1, 2, 1, 1, 2]


async def test_record():
    """Every request to send is on record, delivered or not."""
    async with client_of(gateway_script=[Rule(GatewayFault.CONFLICT, about="c-2")]) as client:
        await client.send("Oi!", conversation="c-1", key="m:1")
        await client.send("Olá!", conversation="c-2")
    one, two = client.world.sends

    assert (one.kind, one.summary, one.conversation_id, one.idempotency_key) == (RequestKind.SEND, "Oi!", "c-1", "m:1")
    assert (one.fault, two.fault) == (None, GatewayFault.CONFLICT)
    assert (one.fate, two.fate) == (Fate.ANSWERED, Fate.ANSWERED)
    assert len(client.world.deliveries) == 1


@pytest.mark.parametrize("fault", REFUSED)
async def test_refused(fault: GatewayFault):
    """What is refused is not delivered."""
    async with client_of(gateway_script=[Rule(fault, nth=1)], retry_after=6.5) as client:
        response = await client.send("first")
        after = await client.send("second")

    assert (response.status_code, after.status_code) == (REFUSED[fault], 200)
    assert response.headers.get("retry-after") == ("7" if fault is GatewayFault.RATE_LIMITED else None)
    assert [delivery.text for delivery in client.world.deliveries] == ["second"]


@pytest.mark.parametrize("fault", DELIVERED)
async def test_delivered(fault: GatewayFault):
    """What is answered strangely is delivered all the same."""
    async with client_of(gateway_script=[Rule(fault)], slow=0.001) as client:
        response = await client.send()
    status, text = DELIVERED[fault]

    assert response.status_code == status
    assert text in response.text
    assert len(client.world.deliveries) == 1


@pytest.mark.parametrize("fault", BROKEN)
async def test_broken(fault: GatewayFault):
    """A connection that breaks looks the same to the client whether the part was delivered or not."""
    async with client_of(gateway_script=[Rule(fault, nth=1)], outage=0.0) as client:
        with pytest.raises(BROKEN[fault]):
            await client.send("first")
        await client.world.wait_until(lambda world: world.sends[0].fate is Fate.BROKEN)
        await client.send("second")

    assert ("first" in [delivery.text for delivery in client.world.deliveries]) == fault.value.startswith("accept")
    assert client.world.deliveries[-1].text == "second"


@pytest.mark.parametrize("fault", ENDLESS)
async def test_endless(fault: GatewayFault):
    """An answer can never come, after the delivery or without one."""
    async with client_of(gateway_script=[Rule(fault)], drip_interval=0.001) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send)
            await client.world.wait_until(lambda world: len(world.sends) == 1)
            nursery.cancel_scope.cancel()
        await client.world.wait_until(lambda world: world.sends[0].fate is Fate.ABANDONED)

    assert len(client.world.deliveries) == fault.value.startswith("accept")


async def test_hold():
    """An answer that is held comes after its delivery, when it is released."""
    async with client_of(gateway_script=[Rule(GatewayFault.ACCEPT_THEN_HOLD)]) as client:
        statuses: list[int] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_status, statuses, client)
            await client.world.wait_until(lambda world: len(world.deliveries) == 1)
            held = list(statuses)
            client.world.release_held()

    assert (held, statuses) == ([], [200])


async def keep_status(statuses: list[int], client: Client) -> None:
    """Send a part and keep the answer's status."""
    statuses.append((await client.send()).status_code)


async def test_wrong_key():
    """A wrong or a missing key is answered with 401, and nothing is delivered."""
    async with client_of() as client:
        url, part = client.world.gateway_url, {"conversationId": "c", "text": "Oi!"}
        missing = await client.http.post(url, json=part)
        wrong = await client.http.post(url, json=part, headers={"X-Service-Role-Key": "wrong"})

    assert (missing.status_code, wrong.status_code) == (401, 401)
    assert not client.world.sends
    assert not client.world.deliveries


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"conversationId": "c"}', b'{"conversationId": "c", "text": " "}']
)
async def test_bad_body(body: bytes):
    """A body that is no request to send is answered with 400, and nothing is delivered."""
    async with client_of() as client:
        response = await client.http.post(
            client.world.gateway_url, content=body, headers={"X-Service-Role-Key": client.world.gateway_key}
        )

    assert response.status_code == 400
    assert not client.world.deliveries


async def test_other_paths():
    """Other paths are not found, other methods not allowed."""
    async with client_of() as client:
        lost = await client.http.post(f"{client.world.gateway_url}/x")
        asked = await client.http.get(client.world.gateway_url)

    assert (lost.status_code, asked.status_code) == (404, 405)
