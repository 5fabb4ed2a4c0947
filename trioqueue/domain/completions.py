"""What a call of the language model asks for, and the closed set of what can come of it.

What each answer of OpenRouter means is read in trioqueue/openrouter/protocol.py; here stand the meanings alone, so
that the worker decides without knowing who answered.
"""

from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import attrs


class AnswerFormat(StrEnum):
    """The shape that the answer is asked to have."""

    TEXT = "text"
    MESSAGE_PARTS = "message_parts"


@attrs.frozen
class CompletionRequest:
    """One call of the model.

    Attributes:
        model: The model's name as the service knows it, such as `openai/gpt-4o-mini`.
        system: The system prompt.
        user: The user prompt.
        max_tokens: The most tokens of the answer.
        temperature: Sampling temperature, 0 to 2.
        answer_format: Free text, or the JSON object of the split.
    """

    model: str
    system: str
    user: str
    max_tokens: int
    temperature: float
    answer_format: AnswerFormat = AnswerFormat.TEXT


@attrs.frozen
class Usage:
    """What a call cost. A service may leave any of it out; it counts as nothing then.

    Attributes:
        tokens: Tokens of prompt and answer together.
        cost_usd: The price in US dollars (OpenRouter's credits).
    """

    tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.tokens + other.tokens, self.cost_usd + other.cost_usd)


NOTHING_SPENT = Usage()


@attrs.frozen
class Usable:
    """The model answered, wholly. `text` is not yet checked for being a message or a split.

    Attributes:
        text: The answer's content.
        model: The model that the answer names, which may be another than the one asked for.
        usage: What the call cost.
        answer_id: The service's id of the answer, for its support.
    """

    text: str
    model: str
    usage: Usage = NOTHING_SPENT
    answer_id: str | None = None


@attrs.frozen
class Truncated:
    """The answer was cut off at max_tokens and is not used; once more with a larger limit."""

    usage: Usage = NOTHING_SPENT


@attrs.frozen
class RateLimited:
    """Too many calls: nobody's fault, and it ends. `retry_after` is in seconds, None when the service does not say."""

    reason: str
    retry_after: float | None = None
    usage: Usage = NOTHING_SPENT


@attrs.frozen
class Transient:
    """A fault of the service or of the way to it; the same call may well succeed in a moment.

    Attributes:
        reason: What happened, for people.
        timed_out: Whether it was the call's own deadline.
        usage: What the call cost, as far as an answer says.
        perhaps_paid: Whether it may have cost more than that: there is no answer, or none that can be read.
    """

    reason: str
    timed_out: bool = False
    usage: Usage = NOTHING_SPENT
    perhaps_paid: bool = False


@attrs.frozen
class MessageAtFault:
    """This message cannot be written (refused, filtered, too long): it fails for good."""

    reason: str
    usage: Usage = NOTHING_SPENT


@attrs.frozen
class ConfigurationAtFault:
    """Every message of the run would meet this (unknown model, no permission): the run pauses."""

    reason: str
    usage: Usage = NOTHING_SPENT


@attrs.frozen
class BadCredentials:
    """The key is not accepted: the run pauses."""

    reason: str
    usage: Usage = NOTHING_SPENT


@attrs.frozen
class OutOfCredits:
    """The account is empty: the run pauses."""

    reason: str
    usage: Usage = NOTHING_SPENT


Completion: TypeAlias = (
    Usable | Truncated | RateLimited | Transient | MessageAtFault | ConfigurationAtFault | BadCredentials | OutOfCredits
)
"""The outcome of one call of the model."""
