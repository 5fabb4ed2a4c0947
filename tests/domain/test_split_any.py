"""Splitting any text by any answer: what holds whatever the two are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.split_texts import answers, check_parts, faithful_answers, places_of, texts
from trioqueue.domain.splitting import (
    MAX_PART_LENGTH,
    MIN_LENGTH_TO_SPLIT,
    NothingVisible,
    Split,
    SplitOrigin,
    TextTooLong,
    needs_splitting,
    normalise,
    split_by_answer,
    split_deterministically,
)

limits = st.integers(1, 5)
texts_with_answers = texts.flatmap(lambda text: st.tuples(st.just(text), answers(text)))
texts_with_faithful_answers = texts.flatmap(lambda text: st.tuples(st.just(text), faithful_answers(text)))


@given(texts_with_answers, limits)
def test_any_text_by_any_answer(text_with_answer, max_parts):
    """Whatever text and answer are, the parts are legal slices of the text, or it is said why there are none."""
    text, answer = text_with_answer
    try:
        split = split_by_answer(text, answer, max_parts)
    except (NothingVisible, TextTooLong):
        with pytest.raises((NothingVisible, TextTooLong)):
            split_deterministically(text, max_parts)
        return

    check_parts(text, split.parts, max_parts)
    assert (split.origin is SplitOrigin.WHOLE) is not needs_splitting(text, max_parts)


@given(texts, limits)
def test_any_text_deterministically(text, max_parts):
    """The deterministic splitter makes legal parts of any text that can be cut, and the same ones every time."""
    try:
        parts = split_deterministically(text, max_parts)
    except (NothingVisible, TextTooLong):
        return

    check_parts(text, parts, max_parts)
    assert split_deterministically(text, max_parts) == parts
    assert split_by_answer(text, None, max_parts).parts == parts


@given(texts_with_faithful_answers, limits)
def test_boundaries_are_taken_or_left(text_with_answer, max_parts):
    """A faithful answer's boundaries are taken as they are, the parts beyond the limit joined, or all are left."""
    text, (answer, named) = text_with_answer
    try:
        split = split_by_answer(text, answer, max_parts)
    except (NothingVisible, TextTooLong):
        return

    if split.origin is SplitOrigin.MODEL:
        expected = [*named[: max_parts - 1], "".join(named[max_parts - 1 :])]
        assert [normalise(part) for part in split.parts] == [normalise(part) for part in expected if part]


@given(texts)
def test_a_text_of_one_part_is_never_too_long(text):
    """A text with something to see in up to 1,000 characters is never refused."""
    text = text[:MAX_PART_LENGTH]
    try:
        parts = split_deterministically(text, 1)
    except NothingVisible:
        return

    assert len(parts) == 1
    assert places_of(text, parts)


@given(st.text("ab cd\n.", min_size=1, max_size=MIN_LENGTH_TO_SPLIT - 1), st.none() | st.just('["a", "b"]'), limits)
def test_short_texts_stay_whole(text, answer, max_parts):
    """A text shorter than 150 characters is one part, whatever the model says."""
    if not text.strip():
        return

    assert not needs_splitting(text, max_parts)
    assert split_by_answer(text, answer, max_parts) == Split((text.strip(),), SplitOrigin.WHOLE)


def test_150_characters_are_worth_a_question():
    """From 150 characters on, not counting blanks at the edges, a model is asked, unless there may be one part only."""
    text = "a" * (MIN_LENGTH_TO_SPLIT - 1)

    assert not needs_splitting(f"  {text}\n\u200b", 3)
    assert needs_splitting(f"{text}b", 3)
    assert needs_splitting(f"{text}b", 2)
    assert not needs_splitting(f"{text}b", 1)


@pytest.mark.parametrize("max_parts", [-1, 0, 6, 1000])
def test_limits_of_the_number_of_parts(max_parts):
    """A number of parts outside 1 to 5 is a mistake of the caller."""
    with pytest.raises(ValueError, match=f"max_parts is {max_parts}, allowed are 1 to 5"):
        needs_splitting("Oi", max_parts)
    with pytest.raises(ValueError, match="max_parts"):
        split_by_answer("Oi", None, max_parts)
    with pytest.raises(ValueError, match="max_parts"):
        split_deterministically("Oi", max_parts)


@pytest.mark.parametrize(
    "text", ["", " \n", "\u200b" * 20, "\u2060\u00ad\ufe0f\u3164", "\0\x1b", "\u2800" * 200, "\ud800"]
)
def test_nothing_to_see(text):
    """A text in which nobody sees anything has no parts, and that is said without repeating it."""
    with pytest.raises(NothingVisible, match=f"a text of {len(text)} character"):
        split_by_answer(text, None, 3)


@pytest.mark.parametrize(
    ("text", "max_parts"),
    [
        ("a" * 3_001, 3),
        ("a" * 1_001, 1),
        ("palavra " * 700, 5),
        ("a" + "\u0301" * 1_000, 5),
        ("\n".join("- " + "item " * 118 for _ in range(3)), 2),
        (" ".join("https://exemplo.com/" + "a" * 580 for _ in range(3)), 2),
    ],
)
def test_texts_too_long(text, max_parts):
    """A text that fits into its parts only by cutting what is never cut is refused with its length and the limits."""
    with pytest.raises(TextTooLong, match=f"{len(text.strip())} characters cannot be cut into {max_parts} parts"):
        split_by_answer(text, None, max_parts)
