"""Whether a generated text may go out as a message (SPEC R10)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.message_check import LONGEST_UNSPLIT, SHORTEST_MESSAGE, UnfitMessage, checked_message
from trioqueue.domain.splitting import MAX_PART_LENGTH, normalise, split_deterministically

anything = st.text(st.characters(codec=None), max_size=3_000)
part_limits = st.none() | st.integers(1, 5)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t\u3000", "123456789", "  123456789  ", "\0" * 20, "\ud800" * 20, "1234567\0\ud83d89"]
)
@pytest.mark.parametrize("max_parts", [None, 3])
def test_too_short(text: str, max_parts: int | None) -> None:
    """Fewer than ten characters, after stripping and without what cannot be stored, are no message."""
    with pytest.raises(UnfitMessage):
        checked_message(text, max_parts)


@pytest.mark.parametrize("text", ["\u200b" * 20, "\ufeff\u2060\u200b" * 10, "\u2800" * 12, "\u00ad" * 15])
@pytest.mark.parametrize("max_parts", [None, 3])
def test_nothing_to_see(text: str, max_parts: int | None) -> None:
    """A text of which nobody sees anything is no message, however long it is."""
    with pytest.raises(UnfitMessage):
        checked_message(text, max_parts)


@pytest.mark.parametrize("text", ["1234567890", "\n 1234567890 \n", "Olá, Ana!!", "  1234\x00567890\ud83d "])
@pytest.mark.parametrize("max_parts", [None, 1, 5])
def test_ten_characters_are_enough(text: str, max_parts: int | None) -> None:
    """Ten characters are a message; it is stripped, and NUL and lone surrogates are taken out of it."""
    assert len(checked_message(text, max_parts)) == SHORTEST_MESSAGE


@given(anything, part_limits)
def test_what_passes_can_be_stored_and_sent(text: str, max_parts: int | None) -> None:
    """A text that passes is stripped, long enough, storable, and goes into its parts; checked again it is the same."""
    try:
        message = checked_message(text, max_parts)
    except UnfitMessage:
        return

    assert message == message.strip()
    assert len(message) >= SHORTEST_MESSAGE
    assert b"\0" not in message.encode()
    assert checked_message(message, max_parts) == message
    if max_parts is None:
        assert len(message) <= LONGEST_UNSPLIT
    else:
        parts = split_deterministically(message, max_parts)

        assert normalise("".join(parts)) == normalise(message)


@given(st.text(st.characters(categories=("L", "N", "P"), codec="utf-8"), min_size=10, max_size=500), part_limits)
def test_ordinary_text_is_not_changed(text: str, max_parts: int | None) -> None:
    """Nothing is taken out of a text that a person could have written."""
    assert checked_message(text, max_parts) == text


@pytest.mark.parametrize("max_parts", [1, 3, 5])
def test_too_long_for_its_parts(max_parts: int) -> None:
    """A text that its parts cannot hold is refused before it is stored, for it would never be written again."""
    most = ("uma frase curta. " * 1_000)[: max_parts * MAX_PART_LENGTH // 2]

    assert checked_message(most, max_parts) == most.strip()
    with pytest.raises(UnfitMessage):
        checked_message("a" * (max_parts * MAX_PART_LENGTH + 1), max_parts)


def test_a_whole_message_has_its_own_limit() -> None:
    """A message that is not split may be as long as the gateway takes, and no longer."""
    assert len(checked_message("a" * LONGEST_UNSPLIT, None)) == LONGEST_UNSPLIT
    with pytest.raises(UnfitMessage, match=str(LONGEST_UNSPLIT)):
        checked_message("a" * (LONGEST_UNSPLIT + 1), None)
