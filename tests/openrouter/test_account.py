"""What a service tells of a key and of its models."""

import json
from decimal import Decimal

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.scripted_server import answering, http_answer, refusing_port, scripted_server
from trioqueue.domain.checkup.service import KeyAnswer, KeyFacts, ModelList, Refused, Unreachable, Untold
from trioqueue.http.answers import Answer
from trioqueue.http.transport import HttpTransport
from trioqueue.openrouter.account import Account, read_key, read_models
from trioqueue.simulator import WorldSettings, simulated_world

KEY = "sk-or-s3cret"


async def key_answer(body: bytes, status: int = 200) -> KeyAnswer:
    """What is read from an answer about the key."""
    async with scripted_server(answering(http_answer(body, status))) as server, HttpTransport() as transport:
        answer = await Account(f"{server.url}/v1/", KEY, transport).ask_key(timeout=5)
    [request] = server.requests
    assert request.startswith(b"GET /v1/key HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}".encode() in request
    assert b"Content-Length" not in request
    return answer


async def test_the_simulated_service() -> None:
    """It tells of its key and of its models as OpenRouter does."""
    async with simulated_world(WorldSettings(models=("a/b",))) as world, HttpTransport() as transport:
        good, bad = (Account(world.model_url, key, transport) for key in (world.model_key, KEY))
        answers = [await good.ask_key(timeout=5), await good.ask_models(timeout=5), await bad.ask_key(timeout=5)]
        [key, models, refused] = answers

    assert key == KeyFacts(used_today=Decimal(0))
    assert models == ModelList(frozenset({"a/b"}), complete=True)
    assert isinstance(refused, Refused)
    assert (list(world.calls), world.statistics().model.refused) == ([], 1)


async def test_a_key_with_a_limit() -> None:
    """Amounts are read exactly."""
    data = {"limit": 10, "limit_remaining": 2.1, "usage": 7.9, "usage_daily": 0.3, "is_free_tier": True}

    assert await key_answer(orjson.dumps({"data": data})) == KeyFacts(
        Decimal(10), Decimal("2.1"), Decimal("0.3"), free_tier=True
    )


@pytest.mark.parametrize("status", [200, 301, 404, 405, 429, 500, 503])
async def test_a_service_that_does_not_tell(status: int) -> None:
    """Any other answer tells nothing."""
    assert isinstance(await key_answer(b"<html>", status), Untold)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_not_repeated(status: int) -> None:
    """The service's words are kept, without the key."""
    answer = await key_answer(orjson.dumps({"error": {"message": f"bad key {KEY}\x1b[31m"}}), status)

    assert answer == Refused(f"{status}: bad key *** [31m")


async def test_a_service_that_is_away() -> None:
    """Nobody there is an answer of its own."""
    with refusing_port() as port:
        async with HttpTransport() as transport:
            answer = await Account(f"http://127.0.0.1:{port}", KEY, transport).ask_models(timeout=5)

    assert isinstance(answer, Unreachable)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "canonical_slug", "limit", "limit_remaining", "usage"]), inner)
    ),
    max_leaves=8,
)


@given(status=st.sampled_from([200, 401, 500]), data=JSON, error=JSON)
@example(status=200, data=[{"id": []}], error=None)
def test_any_answer(status: int, data: object, error: object) -> None:
    """Whatever comes is read, or tells nothing; it never raises."""
    body = json.dumps({"data": data, "error": error}).encode()
    for read in (read_key, read_models):
        told = read(Answer(status, {}, body), KEY)

        assert isinstance(told, KeyFacts | ModelList | Refused | Untold)
