"""Which of the possible cuts are made: natural ones first, into parts of similar length.

The cheapest choice is found by dynamic programming over (number of parts, last cut). A part costs the square of its
length relative to the ideal one, and a cut costs by its rank: a good place makes up for somewhat uneven parts.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import Final, TypeAlias

from trioqueue.domain.splitting.cuts import Cut, Rank
from trioqueue.domain.splitting.limits import MAX_PART_LENGTH, MIN_LENGTH_TO_SPLIT

_MOST_WEIGHED: Final = 100
"""Cuts that are weighed against each other. An ordinary text has a few dozen; the cost grows with the square."""

_COST: Final = {
    Rank.PARAGRAPHS: -0.5,
    Rank.LINES: 0.0,
    Rank.SENTENCES: 0.5,
    Rank.ITEMS: 50.0,
    Rank.CLAUSES: 250.0,
    Rank.WORDS: 1250.0,
    Rank.GRAPHEMES: 6250.0,
}
"""What a cut costs. A paragraph is worth cutting at for its own sake: whoever wrote it wanted a pause there.

Five parts have four cuts, and lengths that cost 25 at the very most. So from ITEMS on, a single cut costs more than
all better ones could save: it is made only where the length demands it.
"""

_Choice: TypeAlias = tuple[float, tuple[Cut, ...]]


def best_cuts(length: int, cuts: Sequence[Cut], max_parts: int) -> Sequence[Cut] | None:
    """The cuts that make the best parts of a text; None when no choice keeps every part within its limit.

    Args:
        length: Characters of the text.
        cuts: Where it may be cut, in order.
        max_parts: The most parts, 1 to 5.
    """
    for weakest in (Rank.SENTENCES, Rank.ITEMS, Rank.CLAUSES, Rank.WORDS, Rank.GRAPHEMES):
        usable = [cut for cut in cuts if cut.rank >= weakest]
        fewest = _fewest_cuts(length, usable)
        if fewest is not None and len(fewest) < max_parts:
            count = max(len(fewest) + 1, min(max_parts, _count_wanted(length, usable)))
            weighed = sorted({*_strongest(length, usable), *fewest}, key=lambda cut: cut.start)
            return _cheapest(length, weighed, count)
    return None


def _count_wanted(length: int, cuts: Iterable[Cut]) -> int:
    """As many parts as there are paragraphs, or more for long ones: what is worth splitting is worth typing in bits."""
    if length < MIN_LENGTH_TO_SPLIT:
        return 1
    paragraphs = 1 + sum(cut.rank is Rank.PARAGRAPHS for cut in cuts)
    return max(paragraphs, 1 + length // MIN_LENGTH_TO_SPLIT)


def _fewest_cuts(length: int, cuts: Iterable[Cut]) -> list[Cut] | None:
    """Each part filled as far as it goes; None when even neighbouring cuts are too far apart."""
    made: list[Cut] = []
    begin = 0
    furthest: Cut | None = None
    for cut in (*cuts, _end_of(length)):
        if cut.end - begin > MAX_PART_LENGTH:
            if furthest is None or cut.end - furthest.start > MAX_PART_LENGTH:
                return None
            made.append(furthest)
            begin = furthest.start
        furthest = cut
    return made


def _strongest(length: int, cuts: Sequence[Cut]) -> Sequence[Cut]:
    """At most _MOST_WEIGHED of the cuts, spread over the text: of each stretch of it the one of the highest rank."""
    if len(cuts) <= _MOST_WEIGHED:
        return cuts
    strongest: dict[int, Cut] = {}
    for cut in cuts:
        stretch = cut.start * _MOST_WEIGHED // length
        if stretch not in strongest or cut.rank > strongest[stretch].rank:
            strongest[stretch] = cut
    return list(strongest.values())


def _cheapest(length: int, cuts: Sequence[Cut], count: int) -> Sequence[Cut]:
    """The cheapest choice of cuts for at most `count` parts, of which there is at least one."""
    ideal = length / count
    places = [*cuts, _end_of(length)]
    best: dict[int, _Choice] = {-1: (0.0, ())}  # by the place where the last part ends, -1 before the first part
    whole: _Choice = (inf, ())
    for _ in range(count):
        longer: dict[int, _Choice] = {}
        for last, (cost, made) in best.items():
            begin = places[last].start if last >= 0 else 0
            for number in range(last + 1, len(places)):
                cut = places[number]
                if cut.end - begin > MAX_PART_LENGTH:
                    break
                total = cost + ((cut.end - begin) / ideal) ** 2 + _COST[cut.rank]
                if number not in longer or total < longer[number][0]:
                    longer[number] = (total, (*made, cut))
        whole = min(whole, longer.pop(len(cuts), whole), key=lambda choice: choice[0])
        best = longer
    return whole[1][:-1]


def _end_of(length: int) -> Cut:
    return Cut(length, length, Rank.PARAGRAPHS)
