"""The simulated sending gateway: the existing internal-send-ai-message endpoint."""

from typing import Final

from trioqueue.simulator.choice import Chosen, RequestKind
from trioqueue.simulator.connection import Request, Respond
from trioqueue.simulator.faults import GatewayFault
from trioqueue.simulator.gateway_answers import delivered, is_delivered, refused, undelivered
from trioqueue.simulator.pace import Pace
from trioqueue.simulator.reading import BadRequest, SendCall, read_send_call
from trioqueue.simulator.record import Calls, Deliveries
from trioqueue.simulator.replies import Answer, Reply
from trioqueue.simulator.settings import WorldSettings

PATH: Final = "/functions/v1/internal-send-ai-message"
"""Where the existing system has it."""

_TARGET: Final = PATH.encode()


class GatewayEndpoint:
    """Answers requests to send a part."""

    def __init__(self, settings: WorldSettings, calls: Calls[GatewayFault], deliveries: Deliveries, pace: Pace) -> None:
        """Answer as `settings` say, recorded in `calls` and `deliveries`."""
        self._settings = settings
        self._key = settings.gateway_key.encode()
        self._calls = calls
        self._deliveries = deliveries
        self._pace = pace

    async def __call__(self, request: Request, respond: Respond) -> None:
        """Answer one request."""
        answer = self._refusal(request)
        if answer is not None:
            await self._calls.refuse(answer, respond)
            return
        try:
            asked = read_send_call(request.body)
        except BadRequest as error:
            await self._calls.refuse(refused(400, str(error)), respond)
            return
        await self._send(asked, request.headers.get(b"idempotency-key"), respond)

    def _refusal(self, request: Request) -> Answer | None:
        if request.target != _TARGET:
            return refused(404, "not found")
        if request.method != b"POST":
            return refused(405, "method not allowed")
        if request.headers.get(b"x-service-role-key") != self._key:
            return refused(401, "invalid service role key")
        return None

    async def _send(self, asked: SendCall, key: bytes | None, respond: Respond) -> None:
        idempotency_key = None if key is None else key.decode("latin-1")
        call, chosen = self._calls.begin(
            RequestKind.SEND, asked.text, conversation_id=asked.conversation_id, idempotency_key=idempotency_key
        )
        delay = self._pace.delay(slow=call.fault is GatewayFault.SLOW, held=call.fault is GatewayFault.ACCEPT_THEN_HOLD)
        reply = await self._taken(asked, idempotency_key, chosen)
        await delay.wait()
        await self._calls.answer(call, reply, respond)

    async def _taken(self, asked: SendCall, idempotency_key: str | None, chosen: Chosen[GatewayFault] | None) -> Reply:
        if chosen is not None and not is_delivered(chosen.fault):
            return undelivered(chosen.fault, self._settings, retry_after=chosen.retry_after)
        delivery = await self._deliveries.deliver(asked.conversation_id, asked.text, idempotency_key)
        return delivered(chosen.fault if chosen else None, delivery.provider_id, self._settings)
