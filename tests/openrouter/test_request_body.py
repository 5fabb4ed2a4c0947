"""Request bodies, held against OpenRouter's own OpenAPI document."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.completions import AnswerFormat, CompletionRequest
from trioqueue.openrouter.protocol import request_body

DOCUMENT = json.loads(Path(__file__).with_name("openrouter-chat.openapi.json").read_text("utf-8"))
CHAT_REQUEST = jsonschema.Draft202012Validator(
    {"$ref": "#/components/schemas/ChatRequest", "components": DOCUMENT["components"]}
)

ANY_TEXT = st.text(st.characters(), max_size=100)
REQUESTS = st.builds(
    CompletionRequest,
    model=st.just("openai/gpt-4o-mini"),
    system=ANY_TEXT,
    user=ANY_TEXT,
    max_tokens=st.integers(1, 100_000),
    temperature=st.floats(0, 2),
    answer_format=st.sampled_from(AnswerFormat),
)

GENERATE = CompletionRequest("openai/gpt-4o-mini", "Escreva com gentileza.", "Nome: Água & Cia", 500, 0.7)
SPLIT = CompletionRequest("openai/gpt-4o-mini", "Split it.", "Oi! Tudo bem?", 1000, 0.1, AnswerFormat.MESSAGE_PARTS)


@given(REQUESTS, st.booleans())
def test_any_request_is_what_the_service_documents(request: CompletionRequest, routed: bool):
    """Every body is valid by the document, and has no field that the document lacks."""
    body = json.loads(request_body(request, routed=routed))

    CHAT_REQUEST.validate(body)
    assert set(body) <= set(DOCUMENT["components"]["schemas"]["ChatRequest"]["properties"])


@pytest.mark.parametrize("damage", [{"messages": "hello"}, {"max_tokens": "500"}, {"provider": 1}])
def test_document_refuses_what_is_wrong(damage: dict[str, Any]):
    """The check above can fail."""
    body = json.loads(request_body(GENERATE)) | damage

    assert not CHAT_REQUEST.is_valid(body)


def test_text_is_asked_for_plainly():
    """A message is asked for with two prompts, a limit and a temperature, and nothing else."""
    assert json.loads(request_body(GENERATE)) == {
        "model": "openai/gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Escreva com gentileza."},
            {"role": "user", "content": "Nome: Água & Cia"},
        ],
        "max_tokens": 500,
        "temperature": 0.7,
    }


def test_split_is_asked_for_by_schema():
    """A split is asked for as a strict JSON schema, of providers that know schemas."""
    body = json.loads(request_body(SPLIT))

    assert body["provider"] == {"require_parameters": True}
    assert body["response_format"]["type"] == "json_schema"
    schema = body["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("message_parts", True)
    parts = jsonschema.Draft202012Validator(schema["schema"])
    assert parts.is_valid({"messages": ["Oi!", "Tudo bem?"]})
    assert not parts.is_valid({"messages": [1]})
    assert not parts.is_valid({"messages": [], "note": ""})
    assert not parts.is_valid({})


def test_other_services_are_not_told_about_providers():
    """A service that does not route calls gets no field for it, which some refuse."""
    body = json.loads(request_body(SPLIT, routed=False))

    assert "provider" not in body
    assert "response_format" in body


def test_half_characters_do_not_stop_a_call():
    """NUL and lone surrogates, which JSON in UTF-8 cannot carry or services refuse, are left out of prompts."""
    body = json.loads(request_body(CompletionRequest("m", "a\ud83d", "b\0c", 500, 0.7)))

    assert [message["content"] for message in body["messages"]] == ["a", "bc"]
