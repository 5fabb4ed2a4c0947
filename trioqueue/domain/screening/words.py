"""Words as texts are compared by: names, and passages that two texts have in common."""

import re
from collections.abc import Iterator
from typing import Final

_WORD: Final = re.compile(r"\w+")

SHORTEST_PASSAGE: Final = 7
"""Words in a row that are no coincidence."""


def word_set(words: str) -> frozenset[str]:
    """A set of words that are written with white space between."""
    return frozenset(words.split())


def words_of(text: str) -> list[str]:
    """The words of a text, for comparison."""
    return _WORD.findall(text.casefold())


def joined(words: list[str]) -> str:
    """Words in one text, to look for others in it."""
    return f" {' '.join(words)} "


def passages_of(words: list[str]) -> Iterator[str]:
    """Every seven words in a row."""
    for start in range(len(words) - SHORTEST_PASSAGE + 1):
        yield " ".join(words[start : start + SHORTEST_PASSAGE])
