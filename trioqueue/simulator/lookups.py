"""The simulated gateway's look-up: what became of a part, by its idempotency key and from the record of deliveries."""

from typing import Final

from trioqueue.simulator.connection import Request, Respond
from trioqueue.simulator.gateway_answers import refused
from trioqueue.simulator.reading import BadRequest, read_lookup_key
from trioqueue.simulator.record import Changes, Deliveries
from trioqueue.simulator.replies import Answer, json_answer
from trioqueue.simulator.settings import WorldSettings

PATH: Final = "/functions/v1/internal-look-up-ai-message"

TARGET: Final = PATH.encode()


class LookupEndpoint:
    """Answers what became of parts, as docs/how-to/unconfirmed-messages.md says.

    Attributes:
        asked: The idempotency keys that were asked about, in order.
    """

    def __init__(self, settings: WorldSettings, deliveries: Deliveries, changes: Changes) -> None:
        """Answer from `deliveries`, to those who have the gateway's key."""
        self.asked: list[str] = []
        self._key = settings.gateway_key.encode()
        self._deliveries = deliveries
        self._changes = changes

    async def __call__(self, request: Request, respond: Respond) -> None:
        """Answer one request."""
        await respond(self._answer(request))

    def _answer(self, request: Request) -> Answer:
        if request.method != b"POST":
            return refused(405, "method not allowed")
        if request.headers.get(b"x-service-role-key") != self._key:
            return refused(401, "invalid service role key")
        try:
            key = read_lookup_key(request.body)
        except BadRequest as error:
            return refused(400, str(error))
        self.asked.append(key)
        self._changes.tell()
        delivery = self._deliveries.find(key)
        if delivery is None:
            return json_answer(200, {"outcome": "not_delivered"})
        return json_answer(200, {"outcome": "delivered", "providerMessageId": delivery.provider_id})
