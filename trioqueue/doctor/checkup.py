"""All checks, each bounded in time, those that do not need each other at once."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import attrs
import trio

from trioqueue.doctor.database import database_seconds, look_at_database
from trioqueue.doctor.machine import look_at_machine, look_at_secrets, look_at_settings
from trioqueue.doctor.services import ask_key, ask_models, look_at_address
from trioqueue.domain.checkup.findings import Check, Finding, failure, in_order
from trioqueue.domain.checkup.service import ModelsAnswer, judge_key, judge_models
from trioqueue.http.posts import UnusableEndpoint
from trioqueue.http.proxies import UnusableProxy
from trioqueue.settings import Settings, SettingsError

PATIENCE: Final = 15.0
"""Seconds that a check may take; calls of the model and of the gateway have their own limits below it."""

_SLOW_ADVICE: Final = "see whether it is overloaded, or whether a firewall drops what is sent to it"


def check_settings_alone(error: SettingsError, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """What can be said where there are no settings, because some are wrong."""
    wrong = [failure(Check.SETTINGS, problem, "correct it, and ask again") for problem in error.problems]
    return in_order([*wrong, look_at_machine(environ, None)])


async def check_up(settings: Settings, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Everything that a worker with these settings needs, as it is found now."""
    checkup = _Checkup(settings)
    checkup.findings += [
        *look_at_settings(settings),
        look_at_machine(environ, settings),
        *look_at_secrets(environ, settings),
    ]
    async with trio.open_nursery() as nursery:
        for check, seconds, look in checkup.looks():
            nursery.start_soon(checkup.bounded, check, seconds, look)
    if checkup.listed is not None:
        checkup.findings += judge_models(checkup.listed, {*settings.fallback_models, *checkup.models})
    return in_order(checkup.findings)


@attrs.define(eq=False)
class _Checkup:
    settings: Settings
    findings: list[Finding] = attrs.field(factory=list)
    models: tuple[str, ...] = ()
    listed: ModelsAnswer | None = None

    def looks(self) -> list[tuple[Check, float, Callable[[], Awaitable[None]]]]:
        """What takes time, each with the seconds that it may take."""
        return [
            (Check.DATABASE, database_seconds(self.settings, PATIENCE), self._database),
            (Check.MODEL_KEY, PATIENCE, self._key),
            (Check.MODELS, PATIENCE, self._models),
            (Check.GATEWAY, PATIENCE, partial(self._address, "gateway_url", Check.GATEWAY)),
            (Check.LOOKUP, PATIENCE, partial(self._address, "gateway_lookup_url", Check.LOOKUP)),
        ]

    async def bounded(self, check: Check, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
        """Look for a while; what was found until then counts."""
        with trio.move_on_after(seconds) as scope:
            try:
                await look()
            except (UnusableEndpoint, UnusableProxy) as error:
                self.findings.append(failure(Check.SETTINGS, str(error), "correct it, and ask again"))
        if scope.cancelled_caught:
            self.findings.append(failure(check, f"no answer within {seconds:g} s", _SLOW_ADVICE))

    async def _database(self) -> None:
        self.models = await look_at_database(self.settings, self.findings.append)

    async def _key(self) -> None:
        answer = await ask_key(self.settings, timeout=self.settings.generate_timeout)
        if answer is not None:
            self.findings.append(judge_key(answer))

    async def _models(self) -> None:
        self.listed = await ask_models(self.settings, timeout=self.settings.generate_timeout)

    async def _address(self, name: str, check: Check) -> None:
        finding = await look_at_address(self.settings, name, check, timeout=self.settings.send_timeout)
        if finding is not None:
            self.findings.append(finding)
