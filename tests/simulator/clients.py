"""How the tests ask the simulated world: bodies as trioqueue builds them, and a client with one connection pool."""

from collections.abc import Mapping
from typing import Any

import attrs
import httpx

from trioqueue.domain.completions import CompletionRequest
from trioqueue.domain.prompts import generation_request, split_request
from trioqueue.simulator import World

LEAD: Mapping[str, Any] = {"client_name": "Ana Souza", "company": "Padaria <Sol>", "primary_phone": "+5511987654321"}
TEXT = (
    "Oi, Ana! Tudo bem? O plano sai por R$ 1.500,00 por mês & não tem taxa.\n\n"
    "Separei um *resumo bem curto* em https://exemplo.com.br/resumo?a=1&b=c. Faz sentido para você? 👩‍💻"
)


def generation_body(lead: Mapping[str, Any] = LEAD) -> dict[str, Any]:
    """The body of a call that writes a message."""
    return _body(generation_request("openai/gpt-4o-mini", "Escreva uma mensagem curta.", lead))


def split_body(text: str = TEXT, max_parts: int = 3) -> dict[str, Any]:
    """The body of a call that splits a text."""
    response_format = {"type": "json_schema", "json_schema": {"name": "message_parts"}}
    return _body(split_request("openai/gpt-4o-mini", text, max_parts)) | {"response_format": response_format}


def _body(request: CompletionRequest) -> dict[str, Any]:
    return {
        "model": request.model,
        "messages": [
            {"role": "system", "content": request.system},
            {"role": "user", "content": request.user},
        ],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }


@attrs.frozen
class Client:
    """A client of both endpoints, with the right keys."""

    world: World
    http: httpx.AsyncClient

    async def complete(self, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Call the model, by default for a message."""
        return await self.http.post(
            f"{self.world.model_url}/chat/completions",
            json=body or generation_body(),
            headers={"Authorization": f"Bearer {self.world.model_key}"},
        )

    async def send(self, text: str = "Oi!", *, conversation: str = "c-1", key: str | None = None) -> httpx.Response:
        """Send a part."""
        headers = {"X-Service-Role-Key": self.world.gateway_key}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await self.http.post(
            self.world.gateway_url, json={"conversationId": conversation, "text": text}, headers=headers
        )


def content(response: httpx.Response) -> str:
    """What the model wrote."""
    text = response.json()["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text
