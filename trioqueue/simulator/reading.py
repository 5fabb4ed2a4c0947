"""Reads what a request asks for.

The one convention shared with trioqueue/domain/prompts.py is that a lead stands as one JSON object between the lines
`<lead>` and `</lead>`, and a text to be split as one JSON string between `<message>` and `</message>`, `<` being
written as an escape in both. A prompt without them, as a person types it into curl, is answered as well.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from trioqueue.simulator.choice import RequestKind
from trioqueue.simulator.errors import SimulatorError

_LEAD: Final = re.compile(r"^<lead>\n([^<]*)\n</lead>$", re.MULTILINE)
_MESSAGE: Final = re.compile(r"^<message>\n([^<]*)\n</message>$", re.MULTILINE)
_MAX_PARTS: Final = re.compile(r"\b([1-9])\s+parts\b")

DEFAULT_MAX_PARTS: Final = 3
"""Parts into which a text is cut when the system prompt does not say how many are allowed."""


class BadRequest(SimulatorError):
    """A request's body is not what the endpoint takes."""


@attrs.frozen
class ModelCall:
    """A request for a completion.

    Attributes:
        kind: GENERATE, or SPLIT when the request asks for a JSON schema.
        model: The model asked for.
        prompt: All that was asked: system and user prompts.
        subject: The lead's JSON, or the text to split.
        lead: The lead's context; empty for a split and where the prompt has none.
        max_parts: The most parts that a split may have.
    """

    kind: RequestKind
    model: str
    prompt: str
    subject: str
    lead: Mapping[str, Any]
    max_parts: int = DEFAULT_MAX_PARTS


@attrs.frozen
class SendCall:
    """A request to send a part."""

    conversation_id: str
    text: str


def read_model_call(body: bytes) -> ModelCall:
    """Read the body of a completion request.

    Raises:
        BadRequest: It is not the JSON of such a request.
    """
    asked = _object(body)
    model = _text(asked, "model")
    prompts = _prompts(asked.get("messages"))
    if asked.get("stream"):
        msg = "stream: the simulator answers in one piece"
        raise BadRequest(msg)
    user = prompts[-1]
    prompt = "\n\n".join(prompts)
    if _asks_for_json(asked.get("response_format")):
        allowed = _MAX_PARTS.search(prompt)
        parts = int(allowed[1]) if allowed else DEFAULT_MAX_PARTS
        return ModelCall(RequestKind.SPLIT, model, prompt, _text_to_split(user), {}, parts)
    found = _LEAD.search(user)
    subject = found[1] if found else user
    return ModelCall(RequestKind.GENERATE, model, prompt, subject, _lead(subject))


def read_send_call(body: bytes) -> SendCall:
    """Read the body of a request to send a part.

    Raises:
        BadRequest: It is not the JSON of such a request.
    """
    asked = _object(body)
    return SendCall(_text(asked, "conversationId"), _text(asked, "text"))


def read_lookup_key(body: bytes) -> str:
    """The idempotency key that a look-up asks about.

    Raises:
        BadRequest: The body is not the JSON of such a request.
    """
    return _text(_object(body), "idempotencyKey")


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        msg = f"the body is not JSON: {error}"
        raise BadRequest(msg) from error
    if not isinstance(value, dict):
        msg = "the body is not a JSON object"
        raise BadRequest(msg)
    return value


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value.strip():
        msg = f"{name}: a string that is not empty is required"
        raise BadRequest(msg)
    return value


def _prompts(messages: Any) -> list[str]:
    prompts = [message.get("content") for message in messages] if _is_list_of_objects(messages) else []
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        msg = "messages: a list of objects whose content is a string is required"
        raise BadRequest(msg)
    return prompts


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _asks_for_json(response_format: Any) -> bool:
    return isinstance(response_format, dict) and response_format.get("type") == "json_schema"


def _text_to_split(user: str) -> str:
    found = _MESSAGE.search(user)
    text = _decoded(found[1]) if found else user
    return text if isinstance(text, str) and text.strip() else user


def _lead(subject: str) -> Mapping[str, Any]:
    lead = _decoded(subject)
    return lead if isinstance(lead, dict) else {}


def _decoded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
