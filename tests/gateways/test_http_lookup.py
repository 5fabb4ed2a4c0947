"""The look-up of parts against a scripted server, and what each of its answers means."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.scripted_server import (
    Script,
    answering,
    http_answer,
    read_and_close,
    read_and_hang,
    refusing_port,
    scripted_server,
)
from trioqueue.domain.lookups import CannotTell, Delivered, LookedUp, NotDelivered
from trioqueue.domain.sends import OutgoingPart
from trioqueue.gateways.http_lookup import HttpLookup, read_looked_up
from trioqueue.http.answers import Answer
from trioqueue.http.transport import HttpTransport

KEY = "service-role-0123456789abcdef"
LONG = 10.0
SOON = 0.05
INTENDED_AT = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
PART = OutgoingPart(UUID(int=2), "Oi, Ana! 😀", f"{UUID(int=1)}:2")


def answer(told: Any, status: int = 200) -> Answer:
    """An answer with JSON."""
    return Answer(status, {}, json.dumps(told).encode())


async def test_a_part_is_asked_about_with_all_that_is_known_of_it():
    """Key, conversation, text and time of the intent go out, under the key of the service."""
    found = http_answer(b'{"outcome": "delivered", "providerMessageId": "wamid.2"}')
    async with HttpTransport() as transport, scripted_server(answering(found)) as server:
        looked_up = await HttpLookup(f"{server.url}/look-up", KEY, transport).look_up(PART, INTENDED_AT, timeout=LONG)

        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert looked_up == Delivered("wamid.2")
        assert head.startswith(b"POST /look-up HTTP/1.1\r\n")
        assert f"X-Service-Role-Key: {KEY}".encode() in head.split(b"\r\n")
        assert json.loads(body) == {
            "idempotencyKey": PART.idempotency_key,
            "conversationId": str(PART.conversation_id),
            "text": PART.text,
            "intendedAt": "2026-08-01T12:00:00+00:00",
        }


@pytest.mark.parametrize(
    ("told", "looked_up"),
    [
        ({"outcome": "delivered"}, Delivered()),
        ({"outcome": "delivered", "providerMessageId": 42}, Delivered()),
        ({"outcome": "not_delivered"}, NotDelivered()),
        ({"outcome": "unknown"}, CannotTell("it does not know")),
        ({"outcome": "unknown", "reason": "the list is an hour old"}, CannotTell("the list is an hour old")),
        ({"outcome": "NOT_DELIVERED"}, CannotTell("its answer has no outcome that is known: 'NOT_DELIVERED'")),
        ({"outcome": None}, CannotTell("its answer has no outcome that is known: None")),
        ({}, CannotTell("its answer has no outcome that is known: None")),
        ([], CannotTell("its answer has no outcome that is known: None")),
    ],
)
def test_what_an_answer_means(told: Any, looked_up: LookedUp):
    """Two outcomes settle a part; everything else, absence included, tells nothing."""
    assert read_looked_up(answer(told)) == looked_up


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_an_error_tells_nothing(status: int):
    """Whatever stands in an answer that is no success is not believed, and the key is not repeated."""
    looked_up = read_looked_up(answer({"outcome": "not_delivered", "error": f"bad key {KEY}"}, status), key=KEY)

    assert looked_up == CannotTell(f"{status}: bad key ***")


@given(st.integers(100, 599), st.binary())
def test_no_bytes_whatsoever_settle_a_part(status: int, body: bytes):
    """Only JSON with one of the words of the contract does."""
    assert isinstance(read_looked_up(Answer(status, {}, body)), CannotTell)


@pytest.mark.parametrize("script", [read_and_close, read_and_hang], ids=["loses the connection", "is silent"])
async def test_a_fault_tells_nothing(script: Script):
    """A connection that is lost and an endpoint that is silent say nothing of the part."""
    async with HttpTransport() as transport, scripted_server(script) as server:
        lookup = HttpLookup(server.url, KEY, transport)

        assert isinstance(await lookup.look_up(PART, INTENDED_AT, timeout=SOON), CannotTell)


async def test_an_endpoint_that_is_away_tells_nothing():
    """A refused connection says nothing of the part."""
    async with HttpTransport() as transport:
        with refusing_port() as port:
            lookup = HttpLookup(f"http://127.0.0.1:{port}/", KEY, transport)

            assert isinstance(await lookup.look_up(PART, INTENDED_AT, timeout=LONG), CannotTell)
