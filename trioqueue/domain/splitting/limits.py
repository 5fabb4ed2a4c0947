"""The numbers that a split keeps to, and what is raised for a text that cannot."""

from typing import Final

from trioqueue.domain.errors import TrioqueueError

MIN_LENGTH_TO_SPLIT: Final = 150
"""Characters; a shorter text is one part (SPEC section 5)."""

MAX_PART_LENGTH: Final = 1000
"""Characters of a part, counted as Python does: code points (SPEC R11)."""

MOST_PARTS: Final = 5
"""The most parts that may be allowed (SPEC R11)."""


class TextTooLong(TrioqueueError):
    """A text does not go into the parts allowed without cutting what must not be cut.

    Either it has more characters than they hold, or too little freedom: three list items of 600 characters do not go
    into two parts, and a single grapheme of more than 1,000 code points goes into none. Have a shorter one written.
    """


class NothingVisible(TrioqueueError):
    """A text has no character that a person would see. Have it written again."""
