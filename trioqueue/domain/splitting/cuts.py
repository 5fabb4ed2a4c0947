"""The places where a text may be cut, each with how natural a cut there is.

A model's boundaries must be among them, and the deterministic splitter chooses from them: one set of rules for both.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from itertools import chain
from operator import attrgetter

import attrs

from trioqueue.domain.splitting.characters import BLANK_RUN, attaches, graphemes, is_visible
from trioqueue.domain.splitting.lists import Item, list_items
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


def natural_cuts(text: str) -> list[Cut]:
    """All cuts between words or better, in order.

    Between any two of them, and before the first and after the last, something can be seen.

    Args:
        text: A text without blanks at its edges.
    """
    items = list_items(text)
    protected = protected_places(text, items)
    cuts = sorted(chain(_cuts_at_blanks(text, items), _cuts_between_sentences(text)), key=attrgetter("start"))
    return _with_visible_parts(text, (cut for cut in cuts if not protected[cut.start] and not _parts_attach(text, cut)))


def all_cuts(text: str, natural: Sequence[Cut]) -> list[Cut]:
    """The natural cuts and those within words, between two graphemes; for a text that has to be cut somewhere."""
    protected = protected_places(text, list_items(text))
    known = {0, *(cut.start for cut in natural)}
    within_words = (
        Cut(place, place, Rank.GRAPHEMES)
        for place, _ in graphemes(text)
        if place not in known and not protected[place] and not BLANK_RUN.match(text, place - 1)
    )
    return _with_visible_parts(text, sorted(chain(natural, within_words), key=attrgetter("start")))


def _cuts_at_blanks(text: str, items: Sequence[Item]) -> Iterator[Cut]:
    item_starts = {item.start for item in items}
    item_ends = {item.end for item in items}
    for blank in BLANK_RUN.finditer(text):
        end, start = blank.span()
        between_items = end in item_ends and start in item_starts
        yield Cut(end, start, Rank.ITEMS if between_items else _rank(text, end, start))


def _rank(text: str, end: int, start: int) -> Rank:
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


def _cuts_between_sentences(text: str) -> Iterator[Cut]:
    return (Cut(place, place, Rank.SENTENCES) for place in tight_sentence_starts(text) if 0 < place < len(text))


def _parts_attach(text: str, cut: Cut) -> bool:
    """Whether the characters at a cut belong together, as they stand or once the blanks between them are gone."""
    left, right = text[cut.end - 1], text[cut.start]
    if attaches(left, right):
        return True
    return cut.end < cut.start and (attaches(left, text[cut.end]) or attaches(text[cut.start - 1], right))


def _with_visible_parts(text: str, cuts: Iterable[Cut]) -> list[Cut]:
    kept: list[Cut] = []
    begin = 0
    for cut in cuts:
        if is_visible(text, begin, cut.end):
            kept.append(cut)
            begin = cut.start
    if kept and not is_visible(text, begin):
        kept.pop()
    return kept
