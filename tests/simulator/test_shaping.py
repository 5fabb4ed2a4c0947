"""The answers to split requests: well cut, or of every other shape."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.clients import TEXT
from trioqueue.simulator import ModelFault, SplitShape
from trioqueue.simulator.shaping import MEGABYTE, OPEN_BRACKETS, shaped, well_cut

UNFAITHFUL = (
    SplitShape.COUNTERS,
    SplitShape.NUMBER_CHANGED,
    SplitShape.WORD_DROPPED,
    SplitShape.END_MISSING,
    SplitShape.PART_REPEATED,
    SplitShape.PARTS_MOVED,
    SplitShape.TRANSLATED,
    SplitShape.IMPROVED,
)
FAITHFUL = (SplitShape.PLAIN, SplitShape.TOO_MANY, SplitShape.CUT_IN_WORD, SplitShape.CUT_IN_BOLD)
NOT_JSON = (
    SplitShape.FENCED,
    SplitShape.PROSE_AROUND,
    SplitShape.EXAMPLE_FIRST,
    SplitShape.TWO_OBJECTS,
    SplitShape.THINKING,
    SplitShape.UNCLOSED_THINKING,
    SplitShape.TRUNCATED,
    SplitShape.ENDS_IN_ESCAPE,
    SplitShape.RAW_NEWLINE,
    SplitShape.UNESCAPED_QUOTES,
    SplitShape.CURLY_QUOTES,
    SplitShape.SINGLE_QUOTES,
    SplitShape.TRAILING_COMMA,
    SplitShape.MISSING_COMMA,
    SplitShape.INVISIBLE_PREFIX,
    SplitShape.PROSE,
    SplitShape.OPEN_BRACKETS,
    SplitShape.MEGABYTE,
    SplitShape.REFUSAL_IN_PROSE,
)
WORDS = st.builds(
    lambda words, joint: joint.join(words),
    st.lists(st.sampled_from(["oi", "bom", "não", "dia", "R$ 1.500", "casa.", "aí?"]), min_size=2, unique=True),
    st.sampled_from([" ", "\n"]),
)


def answer(shape: SplitShape, text: str = TEXT, max_parts: int = 3) -> str:
    """The content of an answer."""
    return shaped(shape, well_cut(text, max_parts))


def dense(text: str) -> str:
    """A text without its white space."""
    return re.sub(r"\s", "", text)


@given(st.text(), st.integers(1, 5))
def test_well_cut(text: str, max_parts: int):
    """A text is cut at white space into at most the parts allowed, and nothing of it is lost."""
    parts = well_cut(text, max_parts).parts

    assert 1 <= len(parts) <= max_parts
    assert dense("".join(parts)) == dense(text)


def test_sentences():
    """A text of several sentences is cut at their ends, not in an amount or an address."""
    parts = well_cut(TEXT, 3).parts

    assert len(parts) == 3
    assert all(part in TEXT for part in parts)
    assert all(part[-1] in ".?!" for part in parts[:-1])


@pytest.mark.parametrize("shape", SplitShape)
@given(text=st.text(min_size=1), max_parts=st.integers(1, 5))
def test_any_text(shape: SplitShape, text: str, max_parts: int):
    """Every shape can be made of every text, and goes through UTF-8."""
    made = answer(shape, text.encode(errors="ignore").decode() or "x", max_parts)

    assert made.encode().decode() == made


@pytest.mark.parametrize("shape", [shape for shape in SplitShape if shape is not SplitShape.PLAIN])
def test_distinct(shape: SplitShape):
    """Every shape differs from the right answer."""
    assert answer(shape) != answer(SplitShape.PLAIN)


@pytest.mark.parametrize("shape", NOT_JSON)
def test_not_json(shape: SplitShape):
    """What is no JSON is no JSON."""
    with pytest.raises((json.JSONDecodeError, RecursionError)):
        json.loads(answer(shape))


@pytest.mark.parametrize("shape", set(SplitShape) - set(NOT_JSON))
def test_json(shape: SplitShape):
    """All the other shapes are JSON of another kind or with other contents."""
    assert isinstance(json.loads(answer(shape)), dict | list | str)


@pytest.mark.parametrize("shape", UNFAITHFUL)
@given(text=WORDS)
def test_unfaithful(shape: SplitShape, text: str):
    """The parts of an unfaithful answer are never the text."""
    parts = json.loads(answer(shape, text))["messages"]

    assert dense("".join(parts)) != dense(text)


@pytest.mark.parametrize("shape", FAITHFUL)
def test_faithful(shape: SplitShape):
    """The parts of a faithful answer are the text, wherever it is cut."""
    parts = json.loads(answer(shape))["messages"]

    assert dense("".join(parts)) == dense(TEXT)


def test_details():
    """Shapes have what their names say."""
    assert "https://exemplo.com" in json.loads(answer(SplitShape.CUT_IN_WORD))["messages"][0]
    assert "https://exemplo.com.br/resumo" not in json.loads(answer(SplitShape.CUT_IN_WORD))["messages"][0]
    assert json.loads(answer(SplitShape.CUT_IN_BOLD))["messages"][0].endswith("*resumo")
    assert "R$ 1500,00" in answer(SplitShape.NUMBER_CHANGED)
    assert "não" not in answer(SplitShape.WORD_DROPPED)
    assert answer(SplitShape.END_MISSING).endswith('você?"]}')
    assert answer(SplitShape.ENDS_IN_ESCAPE).endswith("\\")
    assert len(answer(SplitShape.OPEN_BRACKETS)) == OPEN_BRACKETS
    assert len(answer(SplitShape.MEGABYTE)) == MEGABYTE


def test_names():
    """A fault and a shape never share a name: they are keys of the same mappings."""
    assert not {fault.value for fault in ModelFault} & {shape.value for shape in SplitShape}
