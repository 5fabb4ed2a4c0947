"""Splits a text: with the model's proposal where it will do, else at the text's own best places."""

from collections.abc import Sequence
from enum import StrEnum
from heapq import nlargest
from typing import Final

import attrs

from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.splitting.candidates import Parts, candidates
from trioqueue.domain.splitting.characters import BLANK_RUN, BLANKS, stripped
from trioqueue.domain.splitting.choice import MAX_PART_LENGTH, MIN_LENGTH_TO_SPLIT, best_cuts
from trioqueue.domain.splitting.cuts import Cut, all_cuts, natural_cuts
from trioqueue.domain.splitting.faithfulness import Original

MOST_PARTS: Final = 5
DEFAULT_MAX_PARTS: Final = 3
"""Parts of a message: 1 to 5 allowed, 3 unless a campaign says otherwise (SPEC R11)."""


class TextTooLong(TrioqueueError):
    """A text does not go into the parts allowed without cutting what must not be cut."""


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

    parts: Parts
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
    text = stripped(text)
    if not needs_splitting(text, max_parts):
        return Split(split_deterministically(text, max_parts), SplitOrigin.WHOLE)
    parts = _proposed_parts(text, answer, max_parts) if answer is not None and _may_fit(text, max_parts) else None
    if parts is not None:
        return Split(parts, SplitOrigin.MODEL)
    return Split(split_deterministically(text, max_parts), SplitOrigin.FALLBACK)


def split_deterministically(text: str, max_parts: int) -> Parts:
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
    _check(max_parts)
    text = stripped(text)
    if len(text) <= MAX_PART_LENGTH and not needs_splitting(text, max_parts):
        return (text,)
    chosen = None
    if _may_fit(text, max_parts):
        chosen = best_cuts(len(text), natural_cuts(text, MAX_PART_LENGTH), max_parts)
        if chosen is None:
            chosen = best_cuts(len(text), all_cuts(text, MAX_PART_LENGTH), max_parts)
    if chosen is None:
        raise TextTooLong(
            f"a text of {len(text)} characters cannot be cut into {max_parts} parts of at most {MAX_PART_LENGTH}; "
            "have a shorter one written or allow more parts"
        )
    return _parts(text, chosen)


def _check(max_parts: int) -> None:
    if not 1 <= max_parts <= MOST_PARTS:
        raise ValueError(f"max_parts is {max_parts}, allowed are 1 to {MOST_PARTS}")


def _may_fit(text: str, max_parts: int) -> bool:
    """Whether the text would go into its parts if the longest blanks were where it is cut; bounds all further work."""
    longest = nlargest(max_parts - 1, (blank.end() - blank.start() for blank in BLANK_RUN.finditer(text)))
    return len(text) - sum(longest) <= max_parts * MAX_PART_LENGTH


def _proposed_parts(text: str, answer: str, max_parts: int) -> Parts | None:
    """The parts that the answer proposes, None when no reading of it is acceptable."""
    original = Original.of(text)
    cuts = {cut.start: cut for cut in natural_cuts(text, MAX_PART_LENGTH)}
    cuts_by_end = {end: cuts[place] for end, place in original.places.items() if place in cuts}
    for proposed in candidates(answer):
        ends = original.ends_of(proposed)
        if ends is None:
            continue
        boundaries = ends[:-1][: max_parts - 1]  # without the others, their parts are joined to the last
        if all(end in cuts_by_end for end in boundaries):
            parts = _parts(text, [cuts_by_end[end] for end in boundaries])
            if max(map(len, parts)) <= MAX_PART_LENGTH:
                return parts
    return None


def _parts(text: str, cuts: Sequence[Cut]) -> Parts:
    starts = (0, *(cut.start for cut in cuts))
    ends = (*(cut.end for cut in cuts), len(text))
    return tuple(text[start:end] for start, end in zip(starts, ends, strict=True))
