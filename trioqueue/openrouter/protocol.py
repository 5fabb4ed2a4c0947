"""What is asked of a chat completions service, and what each of its answers means. Pure.

The tables follow OpenRouter's documentation: an error is known by `error.metadata.error_type`, then by its status,
never by words of its message. Other servers of the same shape (LiteLLM, vLLM, Ollama) write the type as
`error.code`, or give none, and are served by the same tables.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum, auto
from typing import Any, Final, assert_never

import attrs
import orjson

from trioqueue.domain.completions import (
    AnswerFormat,
    BadCredentials,
    Completion,
    CompletionRequest,
    ConfigurationAtFault,
    MessageAtFault,
    OutOfCredits,
    RateLimited,
    Transient,
    Truncated,
    Usable,
    Usage,
)
from trioqueue.domain.retry_after import parse_retry_after
from trioqueue.http.answers import Answer, excerpt, mapping, read_json, storable

MOST_TOKENS: Final = 100_000_000
"""A count above it is no count; dozens of calls still add up to less than PostgreSQL's integer holds."""

HIGHEST_COST: Final = 10_000
"""US dollars; a price above it for one call is no price."""

MESSAGE_PARTS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"messages": {"type": "array", "items": {"type": "string"}}},
    "required": ["messages"],
    "additionalProperties": False,
}
"""The answer of a split. Without bounds of the list: strict modes do not know them, and the parts are checked."""


class Meaning(Enum):
    """What an error asks of its caller."""

    MESSAGE = auto()
    CONFIGURATION = auto()
    CREDENTIALS = auto()
    CREDITS = auto()  # with a Retry-After: a budget for calls in flight, so a rate limit
    FORBIDDEN = auto()  # the message's fault when moderation says why, else the configuration's
    RATE_LIMIT = auto()
    OVERLOAD = auto()  # with a Retry-After: a rate limit, else transient
    TRANSIENT = auto()
    TRUNCATED = auto()


BY_ERROR_TYPE: Final[Mapping[str, Meaning]] = {
    "invalid_request": Meaning.CONFIGURATION,
    "model_not_found": Meaning.CONFIGURATION,
    "not_found": Meaning.CONFIGURATION,
    "no_endpoints": Meaning.CONFIGURATION,
    "model_deprecated": Meaning.CONFIGURATION,
    "privacy_restricted": Meaning.CONFIGURATION,
    "precondition_failed": Meaning.CONFIGURATION,
    "context_length_exceeded": Meaning.MESSAGE,
    "string_too_long": Meaning.MESSAGE,
    "invalid_prompt": Meaning.MESSAGE,
    "content_policy_violation": Meaning.MESSAGE,
    "content_filter": Meaning.MESSAGE,
    "refusal": Meaning.MESSAGE,
    "payload_too_large": Meaning.MESSAGE,
    "unprocessable": Meaning.MESSAGE,
    "authentication": Meaning.CREDENTIALS,
    "invalid_api_key": Meaning.CREDENTIALS,
    "payment_required": Meaning.CREDITS,
    "token_limit_exceeded": Meaning.CREDITS,  # a cap that the account's credits set, not the model's context
    "insufficient_quota": Meaning.CREDITS,  # OpenAI's, with status 429: waiting would not end it
    "permission_denied": Meaning.FORBIDDEN,
    "rate_limit_exceeded": Meaning.RATE_LIMIT,
    "provider_overloaded": Meaning.OVERLOAD,
    "provider_unavailable": Meaning.OVERLOAD,
    "server": Meaning.TRANSIENT,
    "timeout": Meaning.TRANSIENT,
    "max_tokens_exceeded": Meaning.TRUNCATED,
}
"""Types that are not here (`unmapped`, those of images, those still to come) leave the decision to the status."""

BY_STATUS: Final[Mapping[int, Meaning]] = {
    401: Meaning.CREDENTIALS,
    402: Meaning.CREDITS,
    403: Meaning.FORBIDDEN,
    408: Meaning.TRANSIENT,
    409: Meaning.TRANSIENT,
    413: Meaning.MESSAGE,
    422: Meaning.MESSAGE,
    425: Meaning.TRANSIENT,
    429: Meaning.RATE_LIMIT,
    503: Meaning.OVERLOAD,
    529: Meaning.OVERLOAD,
}

BY_FINISH_REASON: Final[Mapping[str, Meaning]] = {
    "length": Meaning.TRUNCATED,
    "content_filter": Meaning.MESSAGE,
    "error": Meaning.TRANSIENT,
}

COMPLETE: Final = frozenset({"stop", "end_turn", "eos", "eos_token", "stop_sequence"})
"""The finish reasons of a whole answer: `stop`, and what servers that do not translate say for it. Any other, or
none, may stand for an answer that was broken off (`abort` in vLLM), and that is never sent to a lead."""

GIVEN_UP_BEFORE: Final = frozenset({504, 524})
"""What a proxy answers that has given the service up: it may finish all the same, and charge."""

_ERROR_CODES: Final = frozenset(str(status) for status in range(400, 600))


def request_body(request: CompletionRequest, *, routed: bool = True) -> bytes:
    """The JSON of a call.

    Args:
        request: What is asked.
        routed: Whether the service routes calls to providers, as OpenRouter does, and may be told how. Others refuse
            or pass on a field that they do not know.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [
            {"role": "system", "content": storable(request.system)},
            {"role": "user", "content": storable(request.user)},
        ],
        # Always: the credit check otherwise assumes the most that the model can write.
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    match request.answer_format:
        case AnswerFormat.TEXT:
            pass
        case AnswerFormat.MESSAGE_PARTS:
            schema = {"name": "message_parts", "strict": True, "schema": MESSAGE_PARTS_SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
            if routed:
                # Else it may choose a provider that leaves the schema out without a word.
                body["provider"] = {"require_parameters": True}
        case _:
            assert_never(request.answer_format)
    return orjson.dumps(body)


def read_answer(answered: Answer, *, now: datetime, asked_model: str = "", key: str = "") -> Completion:
    """What an answer means, for any bytes whatsoever; never raises.

    Args:
        answered: The answer; its body may begin with white space, sent to keep the connection alive.
        now: The time with its zone, for a Retry-After that is a date.
        asked_model: The model that was asked, for an answer that names none.
        key: The key of the request, which error messages may repeat; it is left out of reasons.
    """
    status = answered.status
    answer = mapping(read_json(answered.body))
    usage = read_usage(answer.get("usage"))
    failure = _Failure(answered, now, usage, key)
    if error := answer.get("error"):
        return failure.completion(error)
    if not 200 <= status < 300:
        return failure.completion(answer.get("message") or answer.get("detail"))
    choices = answer.get("choices")
    choice = mapping(choices[0]) if isinstance(choices, list) and choices else {}
    if not choice:
        return Transient(f"{status}: the answer is no completion", usage=usage, perhaps_paid=True)
    if error := choice.get("error"):
        return failure.completion(error)
    broken_off = _read_finish(choice, usage, key)
    if broken_off is not None:
        return broken_off
    return Usable(
        text=_text(mapping(choice.get("message")).get("content")),
        model=_name(answer.get("model")) or asked_model,
        usage=usage,
        answer_id=_name(answer.get("id")) or None,
    )


def read_usage(usage: Any) -> Usage:
    """What a call cost, from the answer's `usage`; what is null, absent or absurd counts as nothing."""
    counts = mapping(usage)
    tokens = _count(counts.get("total_tokens"))
    if not tokens:
        tokens = _count(counts.get("prompt_tokens")) + _count(counts.get("completion_tokens"))
    cost = counts.get("cost")
    plausible = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost <= HIGHEST_COST
    return Usage(tokens, Decimal(str(cost)) if plausible else Decimal(0))


def _read_finish(choice: Mapping[str, Any], usage: Usage, key: str) -> Completion | None:
    """What it means that the answer ended as it did, or None for a whole answer with a text."""
    message = mapping(choice.get("message"))
    reason = choice.get("finish_reason")
    reason = reason.lower() if isinstance(reason, str) else ""
    empty = not _text(message.get("content")).strip()
    match BY_FINISH_REASON.get(reason):
        case Meaning.TRUNCATED:
            return Truncated(usage)
        case Meaning.MESSAGE:
            return MessageAtFault("the service's content filter stopped the answer", usage)
        case Meaning.TRANSIENT:
            return Transient("the service broke the answer off with an error", usage=usage, perhaps_paid=True)
    refusal = message.get("refusal")
    if empty and refusal and isinstance(refusal, str):
        return MessageAtFault(excerpt(f"the model refused: {refusal}", key), usage)
    if reason not in COMPLETE:
        why = excerpt(f"the answer is not complete: finish_reason is {reason or 'missing'}", key)
        return Transient(why, usage=usage, perhaps_paid=True)
    if empty:
        return Transient("the answer has no text", usage=usage, perhaps_paid=True)
    return None


@attrs.frozen
class _Failure:
    """An answer that may turn out to be an error."""

    answered: Answer
    now: datetime
    usage: Usage
    key: str

    def completion(self, error: Any) -> Completion:
        """What an error object means; some servers send a text in its place, or nothing."""
        fields = mapping(error)
        status, error_type, metadata = self._status(fields), _error_type(fields), mapping(fields.get("metadata"))
        text = fields.get("message", error)
        told = f"{status} {error_type}".strip()
        reason = excerpt(f"{told}: {text if isinstance(text, str) and text else 'no message'}", self.key)
        meaning = BY_ERROR_TYPE.get(error_type) or _by_status(status)
        retry_after = parse_retry_after(self.answered.headers, self.now)
        settled = _settle(meaning, metadata, asks_to_wait=retry_after is not None)
        return self._completion(settled, reason, retry_after)

    def _status(self, fields: Mapping[str, Any]) -> int:
        """The HTTP status, or for an error inside a 200 the error's own code, which may be a string."""
        code = fields.get("code")
        status = self.answered.status
        if 200 <= status < 300 and isinstance(code, int | str) and str(code) in _ERROR_CODES:
            return int(code)
        return status

    def _completion(self, meaning: Meaning, reason: str, retry_after: float | None) -> Completion:
        match meaning:
            case Meaning.MESSAGE:
                return MessageAtFault(reason, self.usage)
            case Meaning.CONFIGURATION | Meaning.FORBIDDEN:
                return ConfigurationAtFault(reason, self.usage)
            case Meaning.CREDENTIALS:
                return BadCredentials(reason, self.usage)
            case Meaning.CREDITS:
                return OutOfCredits(reason, self.usage)
            case Meaning.RATE_LIMIT:
                return RateLimited(reason, retry_after, self.usage)
            case Meaning.TRUNCATED:
                return Truncated(self.usage)
            case Meaning.TRANSIENT | Meaning.OVERLOAD:
                return Transient(reason, usage=self.usage, perhaps_paid=self.answered.status in GIVEN_UP_BEFORE)
            case _:
                assert_never(meaning)


def _settle(meaning: Meaning, metadata: Mapping[str, Any], *, asks_to_wait: bool) -> Meaning:
    """The meaning where it depends on more than the type or the status."""
    moderated = metadata.get("reasons") is not None or metadata.get("patterns") is not None
    if meaning is Meaning.FORBIDDEN and moderated:
        return Meaning.MESSAGE
    if meaning in (Meaning.CREDITS, Meaning.OVERLOAD) and asks_to_wait:
        return Meaning.RATE_LIMIT
    return meaning


def _by_status(status: int) -> Meaning:
    # A redirect or a status of the 400s that the table lacks would meet every message of the run.
    return BY_STATUS.get(status) or (Meaning.CONFIGURATION if 300 <= status < 500 else Meaning.TRANSIENT)


def _error_type(fields: Mapping[str, Any]) -> str:
    """The first name of the error that the table knows, or none."""
    names = (mapping(fields.get("metadata")).get("error_type"), fields.get("code"))
    return next((name for name in names if isinstance(name, str) and name in BY_ERROR_TYPE), "")


def _text(content: Any) -> str:
    """The content, whether text or a list of parts; the model's reasoning is another type of part and stays out."""
    if isinstance(content, list):
        texts = (mapping(part).get("text") for part in content if mapping(part).get("type") == "text")
        content = "".join(text for text in texts if isinstance(text, str))
    return storable(content) if isinstance(content, str) else ""


def _name(value: Any) -> str:
    return excerpt(value, "") if isinstance(value, str) else ""


def _count(value: Any) -> int:
    plausible = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if plausible else 0
