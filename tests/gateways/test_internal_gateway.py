"""The internal-send-ai-message gateway against a scripted server, and what each of its answers means."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.gateway_conformance import LONG, GatewayConformance, GatewaySituation, MeetGateway, part
from tests.support.scripted_server import (
    Peer,
    Script,
    answering,
    http_answer,
    read_and_close,
    read_and_hang,
    refusing_port,
    scripted_server,
)
from trioqueue.domain.sends import NotSent, Rejected, SenderAtFault, SendOutcome, Sent, Unknown
from trioqueue.gateways.internal import RATE_LIMIT_WAIT, InternalGateway, read_outcome
from trioqueue.http.answers import Answer
from trioqueue.http.transport import HttpTransport
from trioqueue.ports import Gateway

KEY = "service-role-0123456789abcdef"
NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
ACCEPTED = json.dumps({"success": True, "provider_response": {"key": {"id": "3EB0C767D097"}}}).encode()

SCRIPTS: dict[GatewaySituation, Script] = {
    GatewaySituation.ACCEPTS: answering(http_answer(ACCEPTED)),
    GatewaySituation.REFUSES: answering(http_answer(b'{"error": "no such conversation"}', 400)),
    GatewaySituation.LIMITS_RATE: answering(http_answer(b"", 429, "Retry-After: 7")),
    GatewaySituation.DENIES_KEY: answering(http_answer(b"", 401)),
    GatewaySituation.IS_DOWN: answering(http_answer(b"", 500)),
    GatewaySituation.LOSES_CONNECTIONS: read_and_close,
    GatewaySituation.IS_SILENT: read_and_hang,
}


@asynccontextmanager
async def open_gateway(situation: GatewaySituation) -> AsyncIterator[Gateway]:
    """The gateway at an address where the situation is met."""
    async with HttpTransport() as transport:
        if situation is GatewaySituation.IS_UNREACHABLE:
            with refusing_port() as port:
                yield InternalGateway(f"http://127.0.0.1:{port}/", KEY, transport)
        else:
            async with scripted_server(SCRIPTS[situation]) as server:
                yield InternalGateway(f"{server.url}/functions/v1/internal-send-ai-message", KEY, transport)


class TestConformance(GatewayConformance):
    @pytest.fixture
    def meet(self) -> MeetGateway:
        return open_gateway


async def test_part_is_posted_with_key_and_idempotency_key():
    """The part goes out as the endpoint wants it, under the keys of the service and of the part."""
    async with HttpTransport() as transport, scripted_server(answering(http_answer(ACCEPTED))) as server:
        gateway = InternalGateway(f"{server.url}/functions/v1/internal-send-ai-message", KEY, transport)
        outcome = await gateway.send(part(), timeout=LONG)

        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert outcome == Sent("3EB0C767D097")
        assert head.startswith(b"POST /functions/v1/internal-send-ai-message HTTP/1.1\r\n")
        assert {f"X-Service-Role-Key: {KEY}".encode(), f"Idempotency-Key: {part().idempotency_key}".encode()} <= set(
            head.split(b"\r\n")
        )
        assert json.loads(body) == {"conversationId": str(part().conversation_id), "text": part().text}


@pytest.mark.parametrize("idempotent", [True, False])
def test_idempotence_is_what_was_declared(idempotent: bool):
    """Whether a part may be sent twice is the operator's word, and no by default."""
    transport = HttpTransport()

    gateway = InternalGateway("http://127.0.0.1/", KEY, transport, idempotent=idempotent)
    assert gateway.idempotent is idempotent
    assert InternalGateway("http://127.0.0.1/", KEY, transport).idempotent is False


def read(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> SendOutcome:
    """What an answer means."""
    fields = {name.encode(): value.encode() for name, value in (headers or {}).items()}
    return read_outcome(Answer(status, fields, body), now=NOW, key=KEY)


STATUSES = [
    *[(status, Sent) for status in (200, 201, 202, 204, 299)],
    *[(status, SenderAtFault) for status in (401, 403)],
    *[(status, NotSent) for status in (425, 429)],
    *[(status, Rejected) for status in (400, 402, 404, 405, 409, 410, 413, 415, 422, 451, 499)],
    *[(status, Unknown) for status in (100, 101, 199, 300, 301, 302, 304, 307, 308, 408)],
    *[(status, Unknown) for status in (500, 501, 502, 503, 504, 520, 524, 546, 599, 600, 999)],
]


@pytest.mark.parametrize(("status", "outcome"), STATUSES)
def test_status(status: int, outcome: type):
    """2xx is accepted, 4xx is refused before sending, and after anything else the part may have left."""
    assert type(read(status)) is outcome


def test_503_with_retry_after_is_still_unknown():
    """The contract promises nothing for a 5xx, whatever it asks for."""
    assert isinstance(read(503, headers={"Retry-After": "7"}), Unknown)


@pytest.mark.parametrize(
    ("headers", "wait"), [({"Retry-After": "7"}, 7.0), ({"retry-after-ms": "1500"}, 1.5), ({}, RATE_LIMIT_WAIT)]
)
def test_rate_limit(headers: dict[str, str], wait: float | None):
    """A 429 was not sent, and comes back when it says, or after a while: a rate limit is no failed attempt."""
    assert read(429, headers=headers) == NotSent("429: no message", wait)


BODIES: list[tuple[Any, str | None]] = [
    ({"provider_response": {"key": {"id": "3EB0"}}}, "3EB0"),
    ({"provider_response": {"key": {"id": "a\0b\ud800"}}}, "a b"),
    ({"provider_response": {"key": {"id": None}}}, None),
    ({"provider_response": {"key": {"id": ""}}}, None),
    ({"provider_response": {"key": {"id": {}}}}, None),
    ({"provider_response": {"key": "3EB0"}}, None),
    ({"provider_response": None}, None),
    ({}, None),
    ([], None),
    ("3EB0", None),
    (None, None),
]


@pytest.mark.parametrize(("body", "provider_message_id"), BODIES)
def test_accepted_part_needs_no_id(body: Any, provider_message_id: str | None):
    """A 2xx is accepted whatever its body; the id is taken where it is one."""
    assert read(200, json.dumps(body).encode()) == Sent(provider_message_id)


@pytest.mark.parametrize("body", [b"", b"OK", b"<html>", b"\xff", b"{", b"[" * 100_000])
def test_accepted_part_needs_no_json(body: bytes):
    """A 2xx is accepted also when its body is no JSON."""
    assert read(200, body) == Sent(None)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "no such conversation"},
        {"message": "no such conversation"},
        {"error": {"message": "no such conversation"}},
    ],
)
def test_reason_is_the_endpoint_s_own(body: dict[str, Any]):
    """The endpoint's words are kept, wherever it puts them."""
    assert read(400, json.dumps(body).encode()) == Rejected("400: no such conversation")


def test_reason_is_short_and_harmless():
    """The endpoint's words become one short line without control characters and without the key."""
    outcome = read(401, json.dumps({"error": f"\x1b[2J bad key {KEY} " * 1000}).encode())

    assert isinstance(outcome, SenderAtFault)
    assert len(outcome.reason) <= 200
    assert outcome.reason.isprintable()
    assert KEY not in outcome.reason


@given(st.integers(100, 599), st.binary(max_size=200), st.dictionaries(st.just(b"retry-after"), st.binary(max_size=20)))
def test_any_answer_has_an_outcome(status: int, body: bytes, headers: dict[bytes, bytes]):
    """No answer raises, and only a 2xx is sent."""
    outcome = read_outcome(Answer(status, headers, body), now=NOW, key=KEY)

    assert isinstance(outcome, Sent) == (200 <= status < 300)


async def close_at_second_request(peer: Peer) -> None:
    """Accept a part, then take another and close."""
    await peer.request()
    await peer.send(http_answer(ACCEPTED))
    await peer.request()


async def test_part_lost_on_a_kept_connection_is_unknown_and_not_sent_again():
    """A part whose kept connection is closed without an answer may have left: it is not sent a second time."""
    async with HttpTransport() as transport, scripted_server(close_at_second_request) as server:
        gateway = InternalGateway(server.url, KEY, transport)
        await gateway.send(part(1), timeout=LONG)
        outcome = await gateway.send(part(2), timeout=LONG)

        assert isinstance(outcome, Unknown)
        assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [http_answer(ACCEPTED)[:-5], b"HTTP/1.1 200 OK\r\nConte", b"nonsense\r\n\r\n"])
async def test_half_an_answer_is_unknown(answer: bytes):
    """An answer that is cut off, even after a 200, or that is no HTTP, proves nothing."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)

    async with HttpTransport() as transport, scripted_server(script) as server:
        outcome = await InternalGateway(server.url, KEY, transport).send(part(), timeout=LONG)

        assert isinstance(outcome, Unknown)


async def test_deadline_before_the_request_means_not_sent():
    """A deadline that comes in the TLS handshake comes before the part."""
    async with HttpTransport() as transport, scripted_server(Peer.gone) as server:
        gateway = InternalGateway(server.url.replace("http:", "https:"), KEY, transport)
        outcome = await gateway.send(part(), timeout=0.05)

        assert isinstance(outcome, NotSent)


async def test_text_that_is_no_text_is_rejected():
    """A lone surrogate cannot be sent; nothing leaves."""
    async with HttpTransport() as transport, scripted_server(answering(http_answer(ACCEPTED))) as server:
        outcome = await InternalGateway(server.url, KEY, transport).send(part(text="Oi \ud83d"), timeout=LONG)

        assert isinstance(outcome, Rejected)
        assert server.requests == []


def test_key_is_not_shown():
    """The key is not in the gateway's representation."""
    assert KEY not in repr(InternalGateway("http://127.0.0.1/", KEY, HttpTransport()))
