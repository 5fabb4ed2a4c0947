"""Splits a text: with the model's proposal where it will do, else at the text's own best places."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from heapq import nlargest

import attrs

from trioqueue.domain.splitting.candidates import candidates
from trioqueue.domain.splitting.characters import BLANK_RUN, BLANKS, stripped
from trioqueue.domain.splitting.choice import best_cuts
from trioqueue.domain.splitting.cuts import Gap, all_cuts, natural_gaps, ranked_cuts
from trioqueue.domain.splitting.faithfulness import Original
from trioqueue.domain.splitting.limits import MAX_PART_LENGTH, MIN_LENGTH_TO_SPLIT, MOST_PARTS, TextTooLong


class SplitOrigin(StrEnum):
    """Who decided where a text was cut."""

    WHOLE = "whole"
    """Nobody: it is shorter than 150 characters, or one part is all that is allowed."""
    MODEL = "model"
    """The model."""
    FALLBACK = "fallback"
    """The deterministic splitter."""


@attrs.frozen
class Split:
    """The parts of a text, in order, each a slice of it, and who decided where to cut."""

    parts: tuple[str, ...]
    origin: SplitOrigin


def needs_splitting(text: str, max_parts: int) -> bool:
    """Whether it is worth asking a model where to cut: the text is long enough, and may have several parts.

    Raises:
        ValueError: max_parts is not 1 to 5.
    """
    _check(max_parts)
    return max_parts > 1 and len(text.strip(BLANKS)) >= MIN_LENGTH_TO_SPLIT


def split_by_answer(text: str, answer: str | None, max_parts: int) -> Split:
    """Split a text where a model's answer says, if that is acceptable, and deterministically otherwise.

    An answer is acceptable when parts can be read from it that are the text (see `normalise`), when each boundary is
    a place between words and outside of what is never cut, and when no part is longer than 1,000 characters once all
    parts beyond `max_parts` are joined to the last one allowed. Whatever is sent is cut from `text`.

    Args:
        text: The operator's text.
        answer: The content of the model's answer, any string whatsoever; None when there is none.
        max_parts: The most parts, 1 to 5.

    Raises:
        ValueError: max_parts is not 1 to 5.
        NothingVisible: The text has no visible character.
        TextTooLong: The text cannot be cut into so few parts.
    """
    text = _prepared(text, max_parts)
    gaps = natural_gaps(text)
    if not needs_splitting(text, max_parts):
        return Split(_best_parts(text, gaps, max_parts), SplitOrigin.WHOLE)
    parts = _proposed_parts(text, answer, gaps, max_parts) if answer is not None else None
    if parts is not None:
        return Split(parts, SplitOrigin.MODEL)
    return Split(_best_parts(text, gaps, max_parts), SplitOrigin.FALLBACK)


def split_deterministically(text: str, max_parts: int) -> tuple[str, ...]:
    """Cut a text as a person would type it: at paragraphs and sentence ends, into parts of similar length.

    Weaker places (between list items, clauses, words, in the end within a word) are used only where parts would be
    longer than 1,000 characters without. Graphemes are never cut; URLs, e-mail addresses, numbers, amounts of money,
    list items, *emphasis*, code and short asides in parentheses only when one alone is longer than 1,000 characters.

    Args:
        text: The text; blanks at its edges and where it is cut are left out.
        max_parts: The most parts, 1 to 5. A text shorter than 150 characters is one part in any case.

    Returns:
        1 to `max_parts` slices of the text, each of 1 to 1,000 characters (code points), with something to see in it
        and no blanks at its edges.

    Raises:
        ValueError: max_parts is not 1 to 5.
        NothingVisible: The text has no visible character.
        TextTooLong: The text cannot be cut into so few parts.
    """
    text = _prepared(text, max_parts)
    return _best_parts(text, natural_gaps(text), max_parts)


def _check(max_parts: int) -> None:
    if not 1 <= max_parts <= MOST_PARTS:
        raise ValueError(f"max_parts is {max_parts}, allowed are 1 to {MOST_PARTS}")


def _prepared(text: str, max_parts: int) -> str:
    """The text as it is cut.

    It would go into its parts if the longest blanks were where it is cut; that bounds all further work.
    """
    _check(max_parts)
    text = stripped(text)
    if len(text) <= max_parts * MAX_PART_LENGTH:
        return text
    longest = nlargest(max_parts - 1, (blank.end() - blank.start() for blank in BLANK_RUN.finditer(text)))
    if len(text) - sum(longest) > max_parts * MAX_PART_LENGTH:
        raise _too_long(text, max_parts)
    return text


def _best_parts(text: str, gaps: Sequence[Gap], max_parts: int) -> tuple[str, ...]:
    cuts = ranked_cuts(text, gaps)
    chosen = best_cuts(len(text), cuts, max_parts)
    if chosen is None:
        chosen = best_cuts(len(text), all_cuts(text, cuts), max_parts)
    if chosen is None:
        raise _too_long(text, max_parts)
    return _parts(text, [(cut.end, cut.start) for cut in chosen])


def _too_long(text: str, max_parts: int) -> TextTooLong:
    return TextTooLong(
        f"a text of {len(text)} characters cannot be cut into {max_parts} parts of at most {MAX_PART_LENGTH}; "
        "have a shorter one written or allow more parts"
    )


def _proposed_parts(text: str, answer: str, gaps: Iterable[Gap], max_parts: int) -> tuple[str, ...] | None:
    """The parts that the answer proposes, None when no reading of it is acceptable."""
    original = Original.of(text)
    gaps_by_start = {start: (end, start) for end, start in gaps}
    for proposed in candidates(answer):
        ends = original.ends_of(proposed)
        if ends is None:
            continue
        boundaries = ends[:-1][: max_parts - 1]  # without the others, their parts are joined to the last
        made = [gaps_by_start.get(original.places.get(end, -1)) for end in boundaries]
        known = [gap for gap in made if gap is not None]
        if len(known) == len(made):
            parts = _parts(text, known)
            if max(map(len, parts)) <= MAX_PART_LENGTH:
                return parts
    return None


def _parts(text: str, gaps: Sequence[Gap]) -> tuple[str, ...]:
    starts = (0, *(start for _, start in gaps))
    ends = (*(end for end, _ in gaps), len(text))
    return tuple(text[start:end] for start, end in zip(starts, ends, strict=True))
