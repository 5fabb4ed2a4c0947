"""Whether a generated text may go out as a message (SPEC R10)."""

from typing import Final

from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.splitting import NothingVisible, TextTooLong, split_deterministically
from trioqueue.domain.splitting.characters import stripped
from trioqueue.domain.splitting.limits import MAX_PART_LENGTH
from trioqueue.domain.words import counted

SHORTEST_MESSAGE: Final = 10
"""Characters, after stripping. What is shorter is a model's failure, not a message."""

LONGEST_UNSPLIT: Final = 4_096
"""Characters of a message that the campaign wants whole: the most that WhatsApp takes as one text."""


class UnfitMessage(TrioqueueError):
    """A generated text is not fit to be sent; the attempt has failed."""


def checked_message(text: str, max_parts: int | None) -> str:
    """The text as it is sent: without NUL characters and lone surrogates, which cannot be stored, and stripped.

    Args:
        text: What the model wrote.
        max_parts: How many parts it may have; None when it goes out whole.

    Raises:
        UnfitMessage: It has fewer than 10 characters, none that a person would see, or too many for its parts. Found
            out before the text is stored: a stored text is never written again, so it must be one that can be sent.
    """
    try:
        message = stripped(text.replace("\0", "").encode(errors="ignore").decode())
    except NothingVisible as error:
        raise UnfitMessage(str(error)) from error
    if len(message) < SHORTEST_MESSAGE:
        raise UnfitMessage(
            f"the model wrote {counted(len(message), 'character')}, a message has at least {SHORTEST_MESSAGE}"
        )
    if max_parts is None:
        if len(message) > LONGEST_UNSPLIT:
            raise UnfitMessage(
                f"the model wrote {counted(len(message), 'character')}, one part has at most {LONGEST_UNSPLIT}"
            )
        return message
    if len(message) > MAX_PART_LENGTH:  # else it is one part at least
        try:
            split_deterministically(message, max_parts)
        except TextTooLong as error:
            raise UnfitMessage(str(error)) from error
    return message
