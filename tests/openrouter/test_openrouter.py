"""OpenRouter's client against a scripted server."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from tests.support.model_conformance import LONG, MeetModel, ModelConformance, ModelSituation, request
from tests.support.scripted_server import (
    Peer,
    Script,
    answering,
    drip,
    http_answer,
    read_and_close,
    read_and_hang,
    refusing_port,
    scripted_server,
)
from trioqueue.domain.completions import AnswerFormat, BadCredentials, Completion, Transient, Usable
from trioqueue.http.posts import UnusableEndpoint
from trioqueue.http.proxies import HttpxTransport
from trioqueue.http.transport import HttpTransport
from trioqueue.openrouter.client import OpenRouter
from trioqueue.ports import Model

KEY = "sk-or-v1-0123456789abcdef"


def completion(text: str = "Oi, Ana!", finish_reason: str = "stop") -> bytes:
    """An answer of the service."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 100, "completion_tokens": 25, "total_tokens": 125, "cost": 0.00015}
    answer = {"id": "gen-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return http_answer(json.dumps(answer | {"usage": usage}).encode())


def error(status: int, *headers: str, error_type: str = "unmapped") -> bytes:
    """An error of the service."""
    body = {"error": {"code": status, "message": "What happened", "metadata": {"error_type": error_type}}}
    return http_answer(json.dumps(body).encode(), status, *headers)


SCRIPTS: dict[ModelSituation, Script] = {
    ModelSituation.ANSWERS: answering(completion()),
    ModelSituation.CUTS_OFF: answering(completion("Oi, A", "length")),
    ModelSituation.REFUSES: answering(error(400, error_type="refusal")),
    ModelSituation.LIMITS_RATE: answering(error(429, "Retry-After: 7")),
    ModelSituation.KNOWS_NO_SUCH_MODEL: answering(error(404, error_type="model_not_found")),
    ModelSituation.DENIES_KEY: answering(error(401)),
    ModelSituation.WANTS_CREDITS: answering(error(402)),
    ModelSituation.IS_DOWN: answering(error(502)),
    ModelSituation.LOSES_CONNECTIONS: read_and_close,
    ModelSituation.IS_SILENT: read_and_hang,
}


@asynccontextmanager
async def open_model(situation: ModelSituation) -> AsyncIterator[Model]:
    """OpenRouter at an address where the situation is met."""
    async with HttpTransport() as transport:
        if situation is ModelSituation.IS_UNREACHABLE:
            with refusing_port() as port:
                yield OpenRouter(f"http://127.0.0.1:{port}/api/v1", KEY, transport)
        else:
            async with scripted_server(SCRIPTS[situation]) as server:
                yield OpenRouter(f"{server.url}/api/v1", KEY, transport)


class TestConformance(ModelConformance):
    @pytest.fixture
    def meet(self) -> MeetModel:
        return open_model


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", ""])
async def test_call_is_posted_with_the_key(path: str):
    """The call goes to chat/completions under the base address, with the key as a bearer token."""
    async with HttpTransport() as transport, scripted_server(answering(completion())) as server:
        await OpenRouter(f"{server.url}{path}", KEY, transport).complete(request(), timeout=LONG)

        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(f"POST {path.rstrip('/')}/chat/completions HTTP/1.1\r\n".encode())
        assert f"Authorization: Bearer {KEY}".encode() in head
        assert json.loads(body)["messages"][1]["content"] == "Nome: Ana"


@pytest.mark.parametrize(
    ("url", "routed"),
    [
        ("https://openrouter.ai/api/v1", True),
        ("https://eu.openrouter.ai/api/v1", True),
        ("http://localhost:11434/v1", False),
        ("https://notopenrouter.ai/api/v1", False),
    ],
)
async def test_only_openrouter_is_told_about_providers(url: str, routed: bool):
    """Routing fields go to OpenRouter alone; LiteLLM, vLLM and Ollama work by a change of the address."""
    bodies: list[bytes] = []

    async def answer(asked: httpx.Request) -> httpx.Response:
        bodies.append(asked.content)
        return httpx.Response(500, stream=httpx.ByteStream(b""))

    model = OpenRouter(url, KEY, HttpxTransport(httpx.MockTransport(answer)))
    await model.complete(request(AnswerFormat.MESSAGE_PARTS), timeout=LONG)

    assert ("provider" in json.loads(bodies[0])) == routed


async def test_connection_closed_between_calls_costs_nothing():
    """Servers that close kept connections at any time do not fail a call: 2,000 of them, 50 at once."""

    async def script(peer: Peer) -> None:
        for _ in range(37):
            await peer.request()
            await peer.send(completion())

    completions: list[Completion] = []

    async def caller(model: Model) -> None:
        completions.extend([await model.complete(request(), timeout=LONG) for _ in range(40)])

    async with HttpTransport() as transport, scripted_server(script) as server, trio.open_nursery() as nursery:
        model = OpenRouter(server.url, KEY, transport)
        for _ in range(50):
            nursery.start_soon(caller, model)

    assert len(completions) == 2000
    assert {type(completion) for completion in completions} == {Usable}


async def test_keep_alives_do_not_hold_the_deadline_off():
    """A service that drips white space is given up at the deadline."""
    async with HttpTransport() as transport, scripted_server(drip) as server:
        with trio.fail_after(LONG):
            completion = await OpenRouter(server.url, KEY, transport).complete(request(), timeout=0.05)

        assert isinstance(completion, Transient)
        assert completion.timed_out
        assert completion.perhaps_paid


async def test_answer_larger_than_any_answer_is_transient():
    """A body without end is not read without end."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer(b" " * 5_000_000))

    async with HttpTransport() as transport, scripted_server(script) as server:
        completion = await OpenRouter(server.url, KEY, transport).complete(request(), timeout=LONG)

        assert isinstance(completion, Transient)
        assert "larger" in completion.reason


async def test_key_is_not_shown():
    """The key is in no representation, and in no reason though the service repeats it."""
    body = json.dumps({"error": {"code": 401, "message": f"Incorrect API key provided: {KEY}"}}).encode()
    async with HttpTransport() as transport, scripted_server(answering(http_answer(body, 401))) as server:
        model = OpenRouter(server.url, KEY, transport)
        completion = await model.complete(request(), timeout=LONG)

        assert completion == BadCredentials("401: Incorrect API key provided: ***")
        assert KEY not in repr(model)


def test_key_from_a_file_with_a_line_end_is_refused():
    """A key that cannot be sent is refused at once, and is not shown."""
    with pytest.raises(UnusableEndpoint, match="Authorization") as caught:
        OpenRouter("https://openrouter.ai/api/v1", f"{KEY}\n", HttpTransport())

    assert KEY not in repr(caught.value)
