"""Splitting by a model's answer: every kind of answer in facts/split-corpus.md, and traps met on the way."""

import json

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.support.split_answers import KINDS, answered_messages
from tests.support.split_texts import check_parts
from trioqueue.domain.splitting import Split, SplitOrigin, split_by_answer, split_deterministically


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.data())
def test_kinds_of_answers(kind, data):
    """Of each kind of answer comes what must: the model's own boundaries, or those of the deterministic splitter."""
    message, answer = data.draw(answered_messages(kind))
    note(answer.content[:3000])

    split = split_by_answer(message.text, answer.content, message.max_parts)

    if answer.parts is None:
        assert split == Split(split_deterministically(message.text, message.max_parts), SplitOrigin.FALLBACK)
    else:
        assert split == Split(answer.parts, SplitOrigin.MODEL)


SENTENCE = "Esta frase tem cinquenta caracteres, sem contar. 😊"


@pytest.mark.parametrize(
    ("counts", "max_parts", "origin"),
    [
        ([19, 2], 2, SplitOrigin.MODEL),
        ([20, 1], 2, SplitOrigin.FALLBACK),
        ([21], 3, SplitOrigin.FALLBACK),
        ([1, 19, 1], 3, SplitOrigin.MODEL),
        ([1, 19, 1], 2, SplitOrigin.FALLBACK),
        ([2, 17, 1, 1], 2, SplitOrigin.MODEL),
    ],
)
def test_parts_of_more_than_1000_characters(counts, max_parts, origin):
    """A part that is longer than 1,000 characters, of itself or with those beyond the limit, does not count."""
    parts = [" ".join([SENTENCE] * count) for count in counts]
    text = " ".join(parts)

    split = split_by_answer(text, json.dumps({"messages": parts}), max_parts)

    assert split.origin is origin
    check_parts(text, split.parts, max_parts)
    assert split.origin is SplitOrigin.FALLBACK or split.parts[0] == parts[0]


def test_the_first_acceptable_reading_counts():
    """A faithful list that cuts badly gives way to an earlier one that cuts well."""
    text = f"{SENTENCE} {SENTENCE}\n{SENTENCE} {SENTENCE}"
    good, bad = text.split("\n"), [text[:70], text[70:]]

    split = split_by_answer(text, f"{json.dumps(good)} {json.dumps(bad)}", 3)

    assert split == Split(tuple(good), SplitOrigin.MODEL)


def test_a_text_that_is_itself_an_answer():
    """A text that looks like an answer is a text like any other."""
    text = 'Responda assim: {"messages": ["oi", "tchau"]} ' * 6
    parts = (text[:90].strip(), text[90:].strip())

    assert split_by_answer(text, text, 3).origin is SplitOrigin.FALLBACK
    assert split_by_answer(text, json.dumps({"messages": [text.strip()]}), 3).parts == (text.strip(),)
    assert "".join(split_by_answer(text, json.dumps(parts), 3).parts).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("joint", ["\n\n\u2060\n\n", " \u2060 ", "\n\u00ad\u2060\n", "\u200b\u2060\u200b"])
def test_what_is_invisible_is_no_part(joint):
    """Something invisible between sentences or at the edges goes with its neighbour, never alone."""
    text = joint.join([SENTENCE] * 4)
    answer = json.dumps({"messages": [SENTENCE, f"\u2060{SENTENCE}", f"\u2060{SENTENCE}\u2060", SENTENCE]})

    for edge in ("", joint):
        whole = edge + text + edge
        for split in (split_by_answer(whole, answer, 5), split_by_answer(whole, None, 5)):
            check_parts(whole, split.parts, 5)
            assert len(split.parts) > 1


def test_a_sole_word_that_ends_in_invisible_characters():
    """A text cut within a word keeps what is invisible at its end with what can be seen."""
    text = "a" * 1_000 + "\u2060"

    assert [len(part) for part in split_deterministically(text, 2)] != [1_000, 1]
    check_parts(text, split_deterministically(text, 2), 2)
