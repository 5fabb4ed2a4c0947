"""Builds the error answers of the model's service.

Bodies follow OpenRouter's documentation: `{"error": {"code", "message", "metadata"}}`, where `metadata.error_type`
says what kind of error it is.
"""

import math
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, Final

import attrs

from trioqueue.simulator.faults import ModelFault
from trioqueue.simulator.replies import Answer, Headers, json_answer

_FREE_REQUESTS_A_MINUTE: Final = 20
"""The platform's own limit for its free models, said in X-RateLimit-Limit."""


def error_answer(fault: ModelFault, *, retry_after: float, now: float) -> Answer | None:
    """The answer of a fault that is an HTTP error with a JSON body; None for the other faults.

    Args:
        fault: The fault.
        retry_after: Seconds to wait, for the faults that say so.
        now: Seconds since 1970, for the faults that name a moment.
    """
    error = _ERRORS.get(fault)
    if error is None:
        return None
    headers = _wait_headers(fault, retry_after, now)
    return json_answer(error.status, error_body(error.status, error.message, error.metadata), headers=headers)


def error_body(code: int, message: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of an error; without metadata there is no such key."""
    error: dict[str, Any] = {"code": code, "message": message}
    if metadata:
        error["metadata"] = metadata
    return {"error": error}


def refusal(status: int, message: str, error_type: str) -> Answer:
    """The answer to a request that is wrong in itself."""
    return json_answer(status, error_body(status, message, {"error_type": error_type}))


def _wait_headers(fault: ModelFault, retry_after: float, now: float) -> Headers:
    match fault:
        case ModelFault.RATE_LIMITED | ModelFault.BUDGET_IN_FLIGHT | ModelFault.UNAVAILABLE_WITH_WAIT:
            return ((b"retry-after", b"%d" % math.ceil(retry_after)),)
        case ModelFault.RATE_LIMITED_FRACTION:
            return ((b"retry-after", b"%.3f" % retry_after),)
        case ModelFault.RATE_LIMITED_DATE:
            return ((b"retry-after", formatdate(math.ceil(now + retry_after), usegmt=True).encode()),)
        case ModelFault.RATE_LIMITED_MILLISECONDS:
            return ((b"retry-after-ms", b"%d" % math.ceil(retry_after * 1000)),)
        case ModelFault.RATE_LIMITED_BY_PLATFORM:
            return (
                (b"x-ratelimit-limit", b"%d" % _FREE_REQUESTS_A_MINUTE),
                (b"x-ratelimit-remaining", b"0"),
                (b"x-ratelimit-reset", b"%d" % math.ceil((now + retry_after) * 1000)),
            )
        case _:
            return ()


@attrs.frozen
class _Error:
    status: int
    message: str
    metadata: Mapping[str, Any]


def _error(status: int, message: str, error_type: str, **metadata: Any) -> _Error:
    return _Error(status, message, {"error_type": error_type, **metadata})


_LIMITED: Final = _error(429, "Rate limit exceeded", "rate_limit_exceeded")

_ERRORS: Final[Mapping[ModelFault, _Error]] = {
    ModelFault.INVALID_REQUEST: _error(400, "Invalid request parameters", "invalid_request"),
    ModelFault.MODEL_NOT_FOUND: _error(400, "The model is not a valid model ID", "model_not_found"),
    ModelFault.CONTEXT_LENGTH_EXCEEDED: _error(
        400, "This endpoint's maximum context length is 8192 tokens", "context_length_exceeded"
    ),
    ModelFault.STRING_TOO_LONG: _error(400, "A string of the request is too long", "string_too_long"),
    ModelFault.INVALID_PROMPT: _error(400, "The prompt is not accepted", "invalid_prompt"),
    ModelFault.CONTENT_POLICY_VIOLATION: _error(
        400, "The prompt violates the provider's content policy", "content_policy_violation"
    ),
    ModelFault.REFUSAL: _error(400, "The model declined to answer", "refusal"),
    ModelFault.BAD_REQUEST: _Error(400, "Bad Request", {}),
    ModelFault.UNAUTHORIZED: _error(401, "User not found.", "authentication"),
    ModelFault.OUT_OF_CREDITS: _error(402, "Insufficient credits", "payment_required"),
    ModelFault.BUDGET_IN_FLIGHT: _error(402, "Calls in flight hold the rest of the budget", "payment_required"),
    ModelFault.MODERATION: _error(
        403,
        "Your input was flagged",
        "permission_denied",
        reasons=["harassment"],
        flagged_input="...",
        provider_name="Simulated",
    ),
    ModelFault.GUARDRAIL: _error(
        403,
        "Request blocked: prompt injection patterns detected",
        "permission_denied",
        patterns=["ignore all previous instructions"],
    ),
    ModelFault.PERMISSION_DENIED: _error(403, "Only management keys can perform this operation", "permission_denied"),
    ModelFault.NO_ENDPOINTS: _error(404, "No endpoints found that support the parameters", "no_endpoints"),
    ModelFault.MODEL_DEPRECATED: _error(404, "The model is deprecated", "model_deprecated"),
    ModelFault.PRIVACY_RESTRICTED: _error(404, "No endpoints found matching your data policy", "privacy_restricted"),
    ModelFault.REQUEST_TIMEOUT: _error(408, "Operation timed out. Please try again later.", "timeout"),
    ModelFault.PAYLOAD_TOO_LARGE: _error(413, "Request payload too large", "payload_too_large"),
    ModelFault.UNPROCESSABLE: _error(422, "Invalid argument", "unprocessable"),
    ModelFault.RATE_LIMITED: _LIMITED,
    ModelFault.RATE_LIMITED_FRACTION: _LIMITED,
    ModelFault.RATE_LIMITED_DATE: _LIMITED,
    ModelFault.RATE_LIMITED_MILLISECONDS: _LIMITED,
    ModelFault.RATE_LIMITED_WITHOUT_WAIT: _LIMITED,
    ModelFault.RATE_LIMITED_BY_PLATFORM: _error(429, "Rate limit exceeded: free-models-per-min", "rate_limit_exceeded"),
    ModelFault.SERVER_ERROR: _error(500, "Internal Server Error", "server"),
    ModelFault.BAD_GATEWAY: _error(502, "Provider returned error", "provider_unavailable"),
    ModelFault.UNAVAILABLE: _error(503, "Service temporarily unavailable", "provider_unavailable"),
    ModelFault.UNAVAILABLE_WITH_WAIT: _error(503, "Service temporarily unavailable", "provider_unavailable"),
    ModelFault.GATEWAY_TIMEOUT: _error(504, "Gateway timeout", "timeout"),
    ModelFault.EDGE_TIMEOUT: _error(524, "Request timed out. Please try again later.", "timeout"),
    ModelFault.OVERLOADED: _error(529, "Provider returned error", "provider_overloaded"),
}
