"""Answers that nobody documents: any bytes, damaged answers, texts that do harm where they are shown."""

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.openrouter_answers import KEY, completion, error, read
from trioqueue.domain.completions import Completion, Truncated, Usable
from trioqueue.openrouter.protocol import HIGHEST_COST, MOST_TOKENS, read_usage

HOSTILE_TEXTS = [
    "x" * 1_000_000,
    "line\r\nline\x1b[2J\x00\u202e\u200b",
    f"Incorrect API key provided: {KEY}. " * 20,
    "\ud800",
]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=["long", "controls", "key", "surrogate"])
@pytest.mark.parametrize("status", [200, 401, 429, 500])
def test_reason_is_short_and_harmless(text: str, status: int):
    """An error's words become one line of 200 characters at most, without control characters, and without the key."""
    failed = read({"error": {"code": status, "message": text, "metadata": {"error_type": text}}}, status)

    assert not isinstance(failed, Usable | Truncated)
    assert len(failed.reason) <= 200
    assert failed.reason.isprintable()
    assert KEY not in failed.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


STATUSES = st.integers(100, 599) | st.sampled_from([200, 200, 200, 400, 402, 403, 429, 503])
HEADERS = st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=20))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in inner for found in paths(child, (*path, key)))]


@st.composite
def mutated_answers(draw: st.DrawFn) -> Any:
    """An answer or an error with up to three values replaced or removed."""
    answer = json.loads(json.dumps(draw(st.sampled_from([completion(), error(403, "permission_denied", reasons=[])]))))
    answer["choices"] = completion()["choices"] if draw(st.booleans()) else answer.get("choices")
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([path for path in paths(answer) if path]))
        parent = answer
        for key in way:
            parent = parent[key]
        if draw(st.booleans()):
            parent[last] = draw(JSON)
        else:
            del parent[last]
        if not answer:
            break
    return answer


def check_sane(completion: Completion) -> None:
    """What holds for every outcome: it can be stored, and a text that is used is one."""
    assert 0 <= completion.usage.tokens <= 2 * MOST_TOKENS
    assert 0 <= completion.usage.cost_usd <= HIGHEST_COST
    for text in attrs.astuple(completion, recurse=False):
        if isinstance(text, str):
            assert "\0" not in text
            text.encode("utf-8")
    if isinstance(completion, Usable):
        assert completion.text.strip()


@given(STATUSES, HEADERS, st.binary(max_size=300))
def test_any_bytes_have_a_meaning(status: int, headers: dict[str, str], body: bytes):
    """No bytes raise, and bytes at random are never a text for a lead."""
    meaning = read(body, status, headers)

    check_sane(meaning)
    assert not isinstance(meaning, Usable)


@given(STATUSES, HEADERS, mutated_answers())
def test_any_damaged_answer_has_a_meaning(status: int, headers: dict[str, str], answer: Any):
    """An answer in which anything is replaced or missing does not raise, and an error status is never a text."""
    meaning = read(answer, status, headers)

    check_sane(meaning)
    assert 200 <= status < 300 or not isinstance(meaning, Usable)


@given(JSON)
def test_any_usage_is_a_cost(usage: Any):
    """No value in the place of the usage raises."""
    check_sane(Truncated(read_usage(usage)))


def test_text_is_cleaned_of_what_cannot_be_stored():
    """NUL and lone surrogates go; a pair of surrogates is one character and stays, as does everything else."""
    body = json.dumps(completion("@")).replace('"@"', r'"Oi\u0000 \ud83d Ana \ud83d\ude00\n"').encode()
    usable = read(body)

    assert isinstance(usable, Usable)
    assert usable.text == "Oi  Ana \U0001f600\n"
