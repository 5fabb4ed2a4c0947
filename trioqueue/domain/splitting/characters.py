"""Which characters are blank, which are seen, and which belong to the one before them.

The rest of the package asks here, so that what faithfulness ignores is exactly what the edges of parts are stripped of.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Final

import regex

from trioqueue.domain.splitting.limits import NothingVisible
from trioqueue.domain.words import counted

BLANKS: Final = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"  # all that str.isspace() holds for
    "\u200b\ufeff"  # zero-width space and byte-order mark; models add and lose them
)

BLANK_RUN: Final = regex.compile(f"[{BLANKS}]+")
_NO_BLANK_RUN: Final = regex.compile(f"[^{BLANKS}]+")

_VISIBLE: Final = regex.compile(rf"[^{BLANKS}\p{{Cc}}\p{{Cf}}\p{{Cs}}\p{{Default_Ignorable_Code_Point}}\u2800]")
"""U+2800 is the empty Braille pattern: no format character, and nothing to see."""

_GRAPHEME: Final = regex.compile(r"\X")

_FIRST_COMBINING: Final = "\u0300"
"""Of the characters before it (ASCII, and the letters of Western Europe) each is a grapheme by itself and what it
normalises to; but for CR LF, and blanks are not looked at."""


def stripped(text: str) -> str:
    """The text without blanks at its edges.

    Raises:
        NothingVisible: Nothing that a person would see is left.
    """
    if not is_visible(text):
        raise NothingVisible(
            f"a text of {counted(len(text), 'character')} has none that can be seen; have it written again"
        )
    return text.strip(BLANKS)


def is_visible(text: str, start: int = 0, end: int | None = None) -> bool:
    """Whether a person sees anything of text[start:end]."""
    if "!" <= text[start : start + 1] <= "~" and (end is None or start < end):
        return True  # as most stretches of a text begin
    return _VISIBLE.search(text, start, end) is not None


def attaches(left: str, right: str) -> bool:
    """Whether two characters are one grapheme when they stand side by side."""
    if left < _FIRST_COMBINING and right < _FIRST_COMBINING:
        return left == "\r" and right == "\n"
    return _GRAPHEME.fullmatch(left + right) is not None


def is_plain(text: str) -> bool:
    """Whether each character of a text without blanks is a grapheme that stays as it is when it is normalised."""
    return text.isascii() or max(text) < _FIRST_COMBINING


def words(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch without blanks."""
    return (run.span() for run in _NO_BLANK_RUN.finditer(text))


def graphemes(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each grapheme between blanks; blanks, of which a text may have any number, are passed over."""
    return chain.from_iterable(graphemes_of(text, *word) for word in words(text))


def graphemes_of(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of each grapheme of text[start:end]."""
    return (grapheme.span() for grapheme in _GRAPHEME.finditer(text, start, end))
