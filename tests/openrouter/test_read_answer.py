"""What each answer of the model's service means: every row of its documentation."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.openrouter_answers import SPENT, USAGE, completion, error, read
from trioqueue.domain.completions import (
    NOTHING_SPENT,
    BadCredentials,
    ConfigurationAtFault,
    MessageAtFault,
    OutOfCredits,
    RateLimited,
    Transient,
    Truncated,
    Usable,
    Usage,
)
from trioqueue.openrouter.protocol import BY_ERROR_TYPE


def test_whole_answer_is_usable():
    """Text, model, usage and id are those of the answer."""
    assert read(completion()) == Usable("Oi, tudo bem?", "openai/gpt-4o-mini-2026", SPENT, "gen-1")


ROWS = [
    (400, "invalid_request", ConfigurationAtFault),
    (400, "model_not_found", ConfigurationAtFault),
    (404, "no_endpoints", ConfigurationAtFault),
    (404, "model_deprecated", ConfigurationAtFault),
    (404, "privacy_restricted", ConfigurationAtFault),
    (404, "not_found", ConfigurationAtFault),
    (400, None, ConfigurationAtFault),
    (404, None, ConfigurationAtFault),
    (400, "context_length_exceeded", MessageAtFault),
    (400, "string_too_long", MessageAtFault),
    (400, "invalid_prompt", MessageAtFault),
    (400, "content_policy_violation", MessageAtFault),
    (400, "refusal", MessageAtFault),
    (413, "payload_too_large", MessageAtFault),
    (413, None, MessageAtFault),
    (422, "unprocessable", MessageAtFault),
    (422, None, MessageAtFault),
    (401, "authentication", BadCredentials),
    (401, None, BadCredentials),
    (402, "payment_required", OutOfCredits),
    (402, None, OutOfCredits),
    (403, "token_limit_exceeded", OutOfCredits),
    (403, "permission_denied", ConfigurationAtFault),
    (403, None, ConfigurationAtFault),
    (408, "timeout", Transient),
    (408, None, Transient),
    (500, "server", Transient),
    (500, None, Transient),
    (502, "provider_unavailable", Transient),
    (502, None, Transient),
    (503, "provider_overloaded", Transient),
    (503, None, Transient),
    (504, None, Transient),
    (524, None, Transient),
    (529, "provider_overloaded", Transient),
    (529, None, Transient),
    (429, "rate_limit_exceeded", RateLimited),
    (429, None, RateLimited),
    (400, "max_tokens_exceeded", Truncated),
    (429, "unmapped", RateLimited),
    (500, "unmapped", Transient),
    (400, "a_type_still_to_come", ConfigurationAtFault),
    (301, None, ConfigurationAtFault),
    (418, None, ConfigurationAtFault),
    (409, None, Transient),
    (599, None, Transient),
]


@pytest.mark.parametrize(("status", "error_type", "outcome"), ROWS)
def test_error_status(status: int, error_type: str | None, outcome: type):
    """An error is known by its type, then by its status; its reason names both."""
    completion = read(error(status, error_type), status)

    assert type(completion) is outcome
    reason = getattr(completion, "reason", str(status))
    assert reason.startswith(str(status))
    if not isinstance(completion, Truncated):
        assert "What happened" in reason
        assert error_type not in BY_ERROR_TYPE or error_type in reason


def test_status_of_http_comes_before_that_in_the_body():
    """A server may write its own number into an error; the answer's status is what it was given with."""
    assert read(error(400), 429) == RateLimited("429: What happened")


IN_ANSWER_ROWS = [row for row in ROWS if row[0] >= 400]


@pytest.mark.parametrize(("status", "error_type", "outcome"), IN_ANSWER_ROWS)
@pytest.mark.parametrize("as_text", [False, True], ids=["number", "string"])
def test_error_inside_a_200(status: int, error_type: str | None, outcome: type, as_text: bool):
    """An error inside a 200, at the top or in the choice, is that error; the partial text is not used."""
    body = error(status, error_type)
    body["error"]["code"] = str(status) if as_text else status
    in_choice = completion("partial text")
    in_choice["choices"][0] |= {"finish_reason": "error", **body}

    assert type(read(completion("partial text") | body)) is outcome
    assert type(read(body)) is outcome
    assert type(read(in_choice)) is outcome


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b'"text"', b"[]", b"null", b"\xff\xfe", b'{"error"']
)
@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, Transient), (502, Transient), (401, BadCredentials), (429, RateLimited), (404, ConfigurationAtFault)],
)
def test_body_that_tells_nothing(body: bytes, status: int, outcome: type):
    """HTML, other encodings and nothing at all: the status decides, and a 200 is transient."""
    assert type(read(body, status)) is outcome


@pytest.mark.parametrize(
    ("status", "body", "perhaps"),
    [
        (200, b"<html>", True),
        (200, b'{"choices": [{"finish_reason": "stop", "message": {"content": ""}}]}', True),
        (200, b'{"choices": [{"finish_reason": "abort", "message": {"content": "Oi"}}]}', True),
        (200, b'{"error": {"code": 502, "message": "provider"}}', False),
        (500, b"", False),
        (502, b"<html>", False),
        (504, b"<html>", True),
        (524, b"", True),
    ],
)
def test_a_call_that_may_have_been_paid(status: int, body: bytes, perhaps: bool):
    """An answer that cannot be used may cost all the same, and so may one that a proxy has not waited for."""
    completion = read(body, status)

    assert isinstance(completion, Transient)
    assert completion.perhaps_paid == perhaps


@pytest.mark.parametrize("metadata", [{"reasons": ["violence"]}, {"patterns": ["ignore all"]}, {"reasons": []}])
@pytest.mark.parametrize("error_type", [None, "permission_denied"])
def test_403_of_moderation_is_the_message_s_fault(metadata: dict[str, Any], error_type: str | None):
    """A 403 that says what was found in the text fails this message, and does not pause the run."""
    assert type(read(error(403, error_type, **metadata), 403)) is MessageAtFault


@pytest.mark.parametrize(
    ("status", "error_type"),
    [(402, None), (402, "payment_required"), (429, None), (503, None), (503, "provider_overloaded"), (529, None)],
)
@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"retry-after": "7"}, 7.0), ({"retry-after-ms": "1500"}, 1.5), ({"retry-after": "0"}, 0.0)],
)
def test_retry_after_makes_it_a_rate_limit(status: int, error_type: str | None, headers: dict[str, str], wait: float):
    """With a Retry-After a 402 is a budget for calls in flight, and a 503 an overload that ends: waiting helps both."""
    completion = read(error(status, error_type), status, headers)

    assert isinstance(completion, RateLimited)
    assert completion.retry_after == wait


@pytest.mark.parametrize(("status", "outcome"), [(500, Transient), (401, BadCredentials), (400, ConfigurationAtFault)])
def test_retry_after_does_not_change_other_errors(status: int, outcome: type):
    """A Retry-After on an error that waiting does not end is not followed."""
    assert type(read(error(status), status, {"retry-after": "7"})) is outcome


def test_retry_after_date():
    """A date is measured with the Date header of the same answer."""
    headers = {"retry-after": "Sat, 01 Aug 2026 15:00:20 GMT", "date": "Sat, 01 Aug 2026 15:00:00 GMT"}

    assert read(error(429), 429, headers) == RateLimited("429: What happened", 20.0)


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        ("context_length_exceeded", 400, MessageAtFault),
        ("content_filter", 400, MessageAtFault),
        ("model_not_found", 404, ConfigurationAtFault),
        ("invalid_api_key", 401, BadCredentials),
        ("insufficient_quota", 429, OutOfCredits),
        ("rate_limit_exceeded", 429, RateLimited),
    ],
)
def test_types_as_openai_writes_them(code: str, status: int, outcome: type):
    """Servers of the same shape put the type where OpenRouter puts a number."""
    body = {"error": {"message": "m", "type": "invalid_request_error", "param": None, "code": code}}

    assert type(read(body, status)) is outcome


@pytest.mark.parametrize(
    "body",
    [
        {"error": "model 'x' not found"},
        {"error": {"message": "model 'x' not found", "type": "not_found_error"}},
        {"detail": "model 'x' not found"},
        {"object": "error", "message": "model 'x' not found", "code": 404},
    ],
)
def test_errors_of_other_servers_are_told(body: dict[str, Any]):
    """The words of an error are found where Ollama, LiteLLM and vLLM put them."""
    assert read(body, 404) == ConfigurationAtFault("404: model 'x' not found")


ENDINGS = [
    ("Oi, tudo", "length", Truncated),
    ("", "length", Truncated),
    ("Oi, tudo", "content_filter", MessageAtFault),
    ("Oi, tudo", "error", Transient),
    ("Oi, tudo", "abort", Transient),
    ("Oi, tudo", "tool_calls", Transient),
    ("Oi, tudo", None, Transient),
    ("Oi, tudo", 7, Transient),
    ("Oi, tudo", "STOP", Usable),
    ("Oi, tudo", "end_turn", Usable),
    ("", "stop", Transient),
    (" \n\t ", "stop", Transient),
    ("\0", "stop", Transient),
    (None, "stop", Transient),
    (5, "stop", Transient),
    ({"text": "Oi"}, "stop", Transient),
    ([], "stop", Transient),
    ([{"type": "image_url", "image_url": {"url": "x"}}, "Oi", None], "stop", Transient),
]


@pytest.mark.parametrize(("content", "finish_reason", "outcome"), ENDINGS)
def test_ending(content: Any, finish_reason: Any, outcome: type):
    """Only an answer that ended by itself and has a text is used; what it cost is kept in any case."""
    ended = read(completion(content, finish_reason))

    assert type(ended) is outcome
    assert ended.usage == SPENT


def test_answer_without_finish_reason_is_not_whole():
    """A choice that does not say how it ended may have been cut anywhere."""
    answer = completion()
    del answer["choices"][0]["finish_reason"]

    assert isinstance(read(answer), Transient)


@pytest.mark.parametrize("choices", [[], None, {}, "text", [None], [[]], [{}], [{"message": None}]])
def test_answer_without_choice_is_transient(choices: Any):
    """No choice, or one that is none, may be better next time."""
    assert isinstance(read(completion(choices=choices)), Transient)


def test_reasoning_is_never_the_text():
    """Empty content beside reasoning is empty, and reasoning among the parts of the content stays out."""
    thinking = completion("")
    thinking["choices"][0]["message"] |= {"reasoning": "The lead is called Ana, so", "reasoning_content": "hm"}
    parts = completion([{"type": "thinking", "thinking": "hm", "text": "hm"}, {"type": "text", "text": "Oi"}])

    assert isinstance(read(thinking), Transient)
    assert read(parts) == Usable("Oi", "openai/gpt-4o-mini-2026", SPENT, "gen-1")


def test_text_of_several_parts_is_joined():
    """Content may be a list of parts, whose texts follow one another."""
    usable = read(completion([{"type": "text", "text": "Oi, "}, {"type": "text", "text": "Ana"}]))

    assert isinstance(usable, Usable)
    assert usable.text == "Oi, Ana"


def test_refusal_is_the_message_s_fault():
    """A refusal in the place of a text fails the message, and its words are kept."""
    refused = completion(None)
    refused["choices"][0]["message"]["refusal"] = "I cannot\nhelp with that"

    assert read(refused) == MessageAtFault("the model refused: I cannot help with that", SPENT)


def test_null_error_is_none():
    """Servers that write every field say null where there is no error."""
    answer = completion(error=None)
    answer["choices"][0]["error"] = None

    assert isinstance(read(answer), Usable)


def test_keep_alives_before_the_answer_are_skipped():
    """White space that kept the connection alive does not belong to the answer."""
    assert isinstance(read(b"\n   \n\n \r\n" + json.dumps(completion()).encode()), Usable)


@pytest.mark.parametrize("missing", [{"model": None, "id": None}, {"model": 5, "id": 5}, {"model": "", "id": ""}])
def test_answer_without_names(missing: dict[str, Any]):
    """An answer that names no model was written by the one that was asked; an id may be missing."""
    usable = read(completion(**missing))

    assert isinstance(usable, Usable)
    assert (usable.model, usable.answer_id) == ("asked/model", None)


USAGES: list[tuple[Any, Usage]] = [
    (USAGE, SPENT),
    (None, NOTHING_SPENT),
    ("125", NOTHING_SPENT),
    ([], NOTHING_SPENT),
    ({}, NOTHING_SPENT),
    ({"prompt_tokens": 100, "completion_tokens": 25}, Usage(125)),
    ({"prompt_tokens": 100, "completion_tokens": None, "total_tokens": None, "cost": None}, Usage(100)),
    ({"total_tokens": "125", "cost": "0.1"}, NOTHING_SPENT),
    ({"total_tokens": True, "cost": True}, NOTHING_SPENT),
    ({"total_tokens": -5, "cost": -0.1}, NOTHING_SPENT),
    ({"total_tokens": 1.5}, NOTHING_SPENT),
    ({"total_tokens": 10**30, "cost": 10**30}, NOTHING_SPENT),
    ({"total_tokens": float("nan"), "cost": float("nan")}, NOTHING_SPENT),
    ({"total_tokens": float("inf"), "cost": float("inf")}, NOTHING_SPENT),
    ({"total_tokens": 5, "cost": 0}, Usage(5)),
    ({"total_tokens": 5, "cost": 1e-7}, Usage(5, Decimal("1E-7"))),
]


@pytest.mark.parametrize(("usage", "spent"), USAGES)
def test_usage(usage: Any, spent: Usage):
    """What is null, absent, absurd or of another type counts as nothing, and never hides the answer."""
    assert read(completion(usage=usage)) == Usable("Oi, tudo bem?", "openai/gpt-4o-mini-2026", spent, "gen-1")


@pytest.mark.parametrize(("status", "error_type", "outcome"), ROWS)
def test_failed_answers_tell_their_cost(status: int, error_type: str | None, outcome: type):
    """An error may have been paid for."""
    failed = read(error(status, error_type) | {"usage": USAGE}, status)

    assert failed.usage == SPENT


DOCUMENT = json.loads(Path(__file__).with_name("openrouter-chat.openapi.json").read_text("utf-8"))


DOCUMENTED = {
    "200": Usable,
    "400": ConfigurationAtFault,
    "401": BadCredentials,
    "402": OutOfCredits,
    "404": ConfigurationAtFault,
    "408": Transient,
    "413": MessageAtFault,
    "422": MessageAtFault,
    "429": RateLimited,
    "500": Transient,
    "502": Transient,
    "503": Transient,
    "524": Transient,
    "529": Transient,
    "403 guardrail-blocked": MessageAtFault,
    "403 insufficient-permissions": ConfigurationAtFault,
}


def documented_examples() -> dict[str, Any]:
    """The example answers of the service's OpenAPI document, by status and name."""
    examples = {}
    for status, response in DOCUMENT["paths"]["/chat/completions"]["post"]["responses"].items():
        media = response["content"]["application/json"]
        if "example" in media:
            examples[status] = media["example"]
        for name, example in media.get("examples", {}).items():
            examples[f"{status} {name}"] = example["value"]
    return examples


def test_every_documented_example_has_its_meaning():
    """The examples of the service's own document are read as it says, and none is left out."""
    meanings = {name: type(read(example, int(name[:3]))) for name, example in documented_examples().items()}

    assert meanings == DOCUMENTED


def test_answers_of_these_tests_are_what_the_service_documents():
    """The answers that the tests here are made of are valid by the document."""
    schema = {"$ref": "#/components/schemas/ChatResult", "components": DOCUMENT["components"]}
    answer = completion() | {"system_fingerprint": None}

    jsonschema.Draft202012Validator(schema).validate(answer)
