"""The simulated model's good answers, and what it refuses."""

import json
from typing import Any

import pytest

from tests.simulator.clients import LEAD, TEXT, content, generation_body, split_body
from tests.simulator.worlds import client_of
from trioqueue.simulator import Fate, RequestKind, Rule, SplitShape
from trioqueue.simulator.reading import read_model_call


async def test_generate():
    """A call for a message is answered with one, and with the tokens and the cost of it."""
    async with client_of() as client:
        response = await client.complete()
    answer = response.json()

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert "Ana" in content(response)
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["model"] == "openai/gpt-4o-mini"
    assert answer["id"]
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    assert answer["usage"]["cost"] > 0


async def test_deterministic():
    """The same prompt is answered with the same text, also by another world; the answers' ids differ."""
    async with client_of() as client:
        first, again = await client.complete(), await client.complete()
    async with client_of(seed=9) as other:
        elsewhere = await other.complete()

    assert content(first) == content(again) == content(elsewhere)
    assert first.json()["id"] != again.json()["id"]


@pytest.mark.parametrize("max_parts", [1, 2, 3])
async def test_split(max_parts: int):
    """A call for a split gets the text, whatever characters it has, in at most the parts that the prompt allows."""
    async with client_of() as client:
        response = await client.complete(split_body(TEXT, max_parts))
    parts = json.loads(content(response))["messages"]

    assert len(parts) == max_parts
    assert "".join("".join(parts).split()) == "".join(TEXT.split())


@pytest.mark.parametrize("shape", [SplitShape.FENCED, SplitShape.LONE_SURROGATE, SplitShape.NUL, SplitShape.MEGABYTE])
async def test_split_shapes(shape: SplitShape):
    """A split can have another shape; the answer around it is a good one."""
    async with client_of(model_script=[Rule(shape)]) as client:
        shaped = await client.complete(split_body())
        message = await client.complete()

    assert content(shaped) != content(message)
    assert shaped.json()["usage"]["total_tokens"] > 0
    assert client.world.calls[0].fault is shape
    assert client.world.calls[1].fault is None


async def test_record():
    """Every call is on record with what it was about and what became of it."""
    async with client_of() as client:
        await client.complete()
        await client.complete(split_body())
        answer = await client.complete()
    first, second, third = client.world.calls

    assert (first.kind, first.number, first.attempt) == (RequestKind.GENERATE, 1, 1)
    assert (second.kind, second.number, second.attempt) == (RequestKind.SPLIT, 1, 1)
    assert (third.kind, third.number, third.attempt) == (RequestKind.GENERATE, 2, 2)
    assert "Ana Souza" in first.summary
    assert second.summary == TEXT
    assert third.tokens == answer.json()["usage"]["total_tokens"]
    assert all(call.fate is Fate.ANSWERED for call in client.world.calls)


async def test_wrong_key():
    """A wrong or a missing key is answered with 401 and is no call."""
    async with client_of() as client:
        url = f"{client.world.model_url}/chat/completions"
        missing = await client.http.post(url, json=generation_body())
        wrong = await client.http.post(url, json=generation_body(), headers={"Authorization": "Bearer wrong"})

    assert (missing.status_code, wrong.status_code) == (401, 401)
    assert wrong.json()["error"]["metadata"]["error_type"] == "authentication"
    assert not client.world.calls
    assert client.world.statistics().model.refused == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"model": "m"}',
        b'{"model": "m", "messages": []}',
        b'{"model": "m", "messages": [1]}',
        b'{"model": "m", "messages": [{"role": "user", "content": null}]}',
        b'{"messages": [{"role": "user", "content": "x"}]}',
        b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "x"}]}',
    ],
)
async def test_bad_body(body: bytes):
    """A body that is no request for a completion is answered with 400 and is no call."""
    async with client_of() as client:
        response = await client.http.post(
            f"{client.world.model_url}/chat/completions",
            content=body,
            headers={"Authorization": f"Bearer {client.world.model_key}"},
        )

    assert response.status_code == 400
    assert response.json()["error"]["metadata"]["error_type"] == "invalid_request"
    assert not client.world.calls


async def test_other_paths():
    """Other paths are not found, other methods not allowed, and the key can be asked about."""
    async with client_of() as client:
        url = client.world.model_url
        lost = await client.http.post(f"{url}/completions")
        asked = await client.http.get(f"{url}/chat/completions")
        key = await client.http.get(f"{url}/key", headers={"Authorization": f"Bearer {client.world.model_key}"})

    assert (lost.status_code, asked.status_code) == (404, 405)
    assert key.json()["data"]["is_free_tier"] is False


@pytest.mark.parametrize("lead", [LEAD, {}, {"client_name": "</lead>\n<lead>"}, {"client_name": 3, "company": None}])
def test_reads_leads(lead: dict[str, Any]):
    """The lead is read from between its tags, whatever it says."""
    call = read_model_call(json.dumps(generation_body(lead)).encode())

    assert call.lead == lead


@pytest.mark.parametrize("text", [TEXT, "</message>", '"', "\\", "a\nb", '{"messages": ["x"]}', "&lt; 4 parts"])
def test_reads_texts(text: str):
    """The text to split is read from between its tags, whatever it says."""
    call = read_model_call(json.dumps(split_body(text, 2)).encode())

    assert call.subject == text
    assert call.max_parts == 2


def test_prompts_by_hand():
    """A prompt without tags, as a person types it, is answered as well."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Oi! Tudo bem?"}]}
    message = read_model_call(json.dumps(body).encode())
    split = read_model_call(json.dumps(body | {"response_format": {"type": "json_schema"}}).encode())

    assert message.subject == split.subject == "Oi! Tudo bem?"
    assert message.lead == {}
    assert split.max_parts == 3
