"""The places where a text may be cut, each with how natural a cut there is.

A model's boundaries must be among them, and the deterministic splitter chooses from them: one set of rules for both.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import chain
from operator import itemgetter
from typing import TypeAlias

import attrs

from trioqueue.domain.splitting.characters import BLANK_RUN, attaches, graphemes, is_visible
from trioqueue.domain.splitting.lists import list_items
from trioqueue.domain.splitting.protected import protected_places
from trioqueue.domain.splitting.sentences import ends_clause, ends_sentence, introduces, tight_sentence_starts


class Rank(IntEnum):
    """What a cut comes between; the higher, the more natural it is to stop typing there."""

    GRAPHEMES = 0
    """Within a word."""
    WORDS = 1
    CLAUSES = 2
    ITEMS = 3
    """Between two items of a list, or an introduction ("Veja:") and what it introduces on the next line."""
    SENTENCES = 4
    LINES = 5
    PARAGRAPHS = 6


@attrs.frozen
class Cut:
    """The part before ends at `end`, the part after begins at `start`; between them are blanks, or nothing."""

    end: int
    start: int
    rank: Rank


Gap: TypeAlias = tuple[int, int]
"""Where a cut may be: `end` and `start` of one whose rank nobody has asked for."""


def natural_cuts(text: str) -> list[Cut]:
    """All cuts between words or better, in order.

    Between any two of them, and before the first and after the last, something can be seen.

    Args:
        text: A text without blanks at its edges.
    """
    return ranked_cuts(text, natural_gaps(text))


def natural_gaps(text: str) -> list[Gap]:
    """The places of the natural cuts. To rank them costs as much again, and a model's proposal needs no ranks."""
    protected = protected_places(text, list_items(text))
    blanks = (blank.span() for blank in BLANK_RUN.finditer(text))
    tight = ((place, place) for place in tight_sentence_starts(text) if 0 < place < len(text))
    gaps = sorted(chain(blanks, tight), key=itemgetter(1))
    return _with_visible_parts(text, (gap for gap in gaps if not protected[gap[1]] and not _parts_attach(text, *gap)))


def ranked_cuts(text: str, gaps: Iterable[Gap]) -> list[Cut]:
    """The natural cuts at some of their places."""
    items = list_items(text)
    item_starts = {item.start for item in items}
    item_ends = {item.end for item in items}
    return [
        Cut(end, start, Rank.ITEMS if end in item_ends and start in item_starts else _rank(text, end, start))
        for end, start in gaps
    ]


def all_cuts(text: str, natural: Sequence[Cut]) -> list[Cut]:
    """The natural cuts and those within words, between two graphemes; for a text that has to be cut somewhere."""
    protected = protected_places(text, list_items(text))
    by_start = {cut.start: cut for cut in natural}
    within_words = (
        (place, place)
        for place, _ in graphemes(text)
        if place and place not in by_start and not protected[place] and not BLANK_RUN.match(text, place - 1)
    )
    gaps = sorted(chain(((cut.end, cut.start) for cut in natural), within_words), key=itemgetter(1))
    kept = _with_visible_parts(text, gaps)
    return [by_start.get(start) or Cut(end, start, Rank.GRAPHEMES) for end, start in kept]


def _rank(text: str, end: int, start: int) -> Rank:
    if end == start:
        return Rank.SENTENCES  # without a blank there is a gap only where a sentence begins
    line_breaks = len(f"|{text[end:start]}|".splitlines()) - 1
    if line_breaks and introduces(text, end):
        return Rank.ITEMS
    if line_breaks > 1:
        return Rank.PARAGRAPHS
    if line_breaks:
        return Rank.LINES
    if ends_sentence(text, end, start):
        return Rank.SENTENCES
    return Rank.CLAUSES if ends_clause(text, end, start) else Rank.WORDS


def _parts_attach(text: str, end: int, start: int) -> bool:
    """Whether the characters at a gap belong together, as they stand or once the blanks between them are gone."""
    left, right = text[end - 1], text[start]
    if attaches(left, right):
        return True
    return end < start and (attaches(left, text[end]) or attaches(text[start - 1], right))


def _with_visible_parts(text: str, gaps: Iterable[Gap]) -> list[Gap]:
    kept: list[Gap] = []
    begin = 0
    for end, start in gaps:
        if is_visible(text, begin, end):
            kept.append((end, start))
            begin = start
    if kept and not is_visible(text, begin):
        kept.pop()
    return kept
