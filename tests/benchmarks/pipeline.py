"""A message from its lead to its last part, as the users of a job queue write it: what all others than trioqueue run.

Two calls of the model, two of the gateway, and each step recorded where it is known, by one statement that also logs
it. That is less than trioqueue does, always to the others' advantage: nothing is recorded before a send, so that after
a crash nobody knows whether a part left; the model's split is believed; nothing is screened, no counter of the run is
kept, no budget, no deadline but the client's. Only the standard library: see `orders.py`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

_OF_MESSAGE = "where m.id = ($1::text)::uuid"

_LOG = "insert into trioqueue.campaign_logs (run_id, message_id, lead_id, step_name, level, message)"

CONTEXT = f"""
select m.conversation_id::text as conversation, g.ai_model as model, g.ai_instructions as instructions,
  trioqueue.get_lead_full_context(m.lead_id)::text as context
from trioqueue.campaign_messages m
join trioqueue.campaign_runs r on r.id = m.run_id
join trioqueue.campaign_configs g on g.id = r.config_id
{_OF_MESSAGE}
"""

STORE_TEXT = f"""
with stored as (
  update trioqueue.campaign_messages m
  set generated_message = $2::text, ai_model = $3::text, ai_tokens_used = $4::integer, updated_at = now()
  {_OF_MESSAGE}
  returning m.run_id, m.id, m.lead_id
)
{_LOG} select s.run_id, s.id, s.lead_id, 'GERAÇÃO_IA', 'info', 'message generated' from stored s
"""

PLAN_PARTS = f"""
with planned as (
  insert into trioqueue.campaign_message_parts (message_id, part_no, body, idempotency_key)
  select ($1::text)::uuid, p.part_no, p.body, $1::text || ':' || p.part_no
  from unnest($2::text[]) with ordinality p (body, part_no)
)
{_LOG} select m.run_id, m.id, m.lead_id, 'FRACIONAMENTO', 'info', 'message split'
from trioqueue.campaign_messages m {_OF_MESSAGE}
"""

PART_SENT = f"""
with part as (
  update trioqueue.campaign_message_parts p
  set status = 'sent', sent_at = now(), provider_message_id = $3::text
  where p.message_id = ($1::text)::uuid and p.part_no = $2::integer
)
{_LOG} select m.run_id, m.id, m.lead_id, 'ENVIO_WHATSAPP', 'success', 'part sent'
from trioqueue.campaign_messages m {_OF_MESSAGE}
"""

MESSAGE_SENT = f"""
with done as (
  update trioqueue.campaign_messages m
  set status = 'sent', sent_at = now(), provider_message_id = $2::text, updated_at = now()
  {_OF_MESSAGE}
  returning m.run_id, m.id, m.lead_id
)
{_LOG} select d.run_id, d.id, d.lead_id, 'FINALIZAÇÃO', 'success', 'message sent' from done d
"""

_SPLIT_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "message_parts",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"messages": {"type": "array", "items": {"type": "string"}}},
            "required": ["messages"],
        },
    },
}


class Steps(Protocol):
    """How a queue's users execute statements, with parameters `$1`, `$2` ..."""

    async def fetch(self, sql: str, *values: Any) -> Mapping[str, Any]:
        """The only row."""

    async def execute(self, sql: str, *values: Any) -> None:
        """Execute, durable when it returns."""


class Post(Protocol):
    """How requests are made."""

    async def __call__(self, path: str, key: Mapping[str, str], body: bytes) -> Any:
        """Post a body and return the answer's JSON; anything but a 200 raises."""


async def send_message(steps: Steps, post: Post, message_id: str) -> None:
    """Write a message, split it, send its parts."""
    lead = await steps.fetch(CONTEXT, message_id)
    text, tokens = await _ask(post, lead["model"], lead["instructions"], lead["context"], max_tokens=500)
    await steps.execute(STORE_TEXT, message_id, text, lead["model"], tokens)
    split, _ = await _ask(post, lead["model"], "Split it.", text, max_tokens=1000, response_format=_SPLIT_FORMAT)
    parts = json.loads(split)["messages"]
    await steps.execute(PLAN_PARTS, message_id, parts)
    sent = ""
    for number, part in enumerate(parts, 1):
        body = json.dumps({"conversationId": lead["conversation"], "text": part}).encode()
        answer = await post("/send", {"X-Service-Role-Key": "key", "Idempotency-Key": f"{message_id}:{number}"}, body)
        sent = answer["provider_response"]["key"]["id"]
        await steps.execute(PART_SENT, message_id, number, sent)
    await steps.execute(MESSAGE_SENT, message_id, sent)


async def _ask(post: Post, model: str, system: str, user: str, **others: Any) -> tuple[str, int]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    body = json.dumps({"model": model, "messages": messages, **others}).encode()
    answer = await post("/chat/completions", {"Authorization": "Bearer key"}, body)
    return answer["choices"][0]["message"]["content"].strip(), answer["usage"]["total_tokens"]


def named(sql: str) -> str:
    """The statement with parameters as psycopg names them: `%(p1)s`, `%(p2)s` ..."""
    return re.sub(r"\$(\d)", r"%(p\1)s", sql)


def by_name(values: tuple[Any, ...]) -> dict[str, Any]:
    """Parameters for `named`."""
    return {f"p{number}": value for number, value in enumerate(values, 1)}
