"""Splitting a message text into the parts in which a person would type it (SPEC section 5).

A model proposes where to cut, the operator's text is what is sent: a proposal counts only when its parts, joined, are
the text, and it cuts where a person might. Without such a proposal the text is cut at its paragraph and sentence
ends. Nothing here does I/O, and every step is linear in its input or capped.
"""

from trioqueue.domain.splitting.faithfulness import normalise
from trioqueue.domain.splitting.limits import (
    MAX_PART_LENGTH,
    MIN_LENGTH_TO_SPLIT,
    MOST_PARTS,
    NothingVisible,
    TextTooLong,
)
from trioqueue.domain.splitting.split import (
    Split,
    SplitOrigin,
    needs_splitting,
    split_by_answer,
    split_deterministically,
)

__all__ = [
    "MAX_PART_LENGTH",
    "MIN_LENGTH_TO_SPLIT",
    "MOST_PARTS",
    "NothingVisible",
    "Split",
    "SplitOrigin",
    "TextTooLong",
    "needs_splitting",
    "normalise",
    "split_by_answer",
    "split_deterministically",
]
