"""Hidden characters: found and taken out wherever they are, and what people see is left alone."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.hidden_characters import hidden_character, without_hidden

SEEN: Final = (
    "👩‍👩‍👧‍👦 ❤️ 👍🏽 🇧🇷 🏳️‍🌈 1️⃣ ⌚︎ ™️",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿🏴󠁧󠁢󠁳󠁣󠁴󠁿🏴󠁧󠁢󠁷󠁬󠁳󠁿!",
    "می‌خواهم",
    "क्‍ष",
    "שלום\u200f!",
    "a\r\n\tb",
    "\u00a0\u202f\u3000",
    "\U0001fadf",
)
PIECES: Final = (
    *("\u200d", "\u200c", "\u200f", "\u061c", "\u180b", "\ufe0f", "\u200b", "\U000e0067", "\U000e007f"),
    *("🏴", "😀", "♥", "ا", "क", "ᠠ", "A", "1"),
)


@pytest.mark.parametrize("text", SEEN)
def test_characters_that_are_needed(text: str) -> None:
    """Emoji, flags, Persian and Hindi joiners, marks of direction in Hebrew and blanks are no hidden characters."""
    assert hidden_character(text) is None
    assert without_hidden(text) == text


@pytest.mark.parametrize(
    "char", "\0\x07\x9b\u00ad\u034f\u200b\u200d\u202e\u2028\u3164\ufe0f\ufeff\ue000\U000e0041\U000e0100"
)
def test_one_among_letters(char: str) -> None:
    """A hidden character is told with its place, and taken out alone."""
    assert hidden_character(f"An{char}a") == (2, char)
    assert without_hidden(f"An{char}a") == "Ana"


@given(st.text(st.characters(codec=None)) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_nothing_hidden_is_left(text: str) -> None:
    """Whatever is taken out, what then stands side by side has nothing hidden either; nothing else is lost."""
    left = without_hidden(text)

    assert hidden_character(left) is None
    assert (hidden_character(text) is None) == (left == text)
