"""What stands in the way of the messages that are there: hints, not faults of the set-up."""

from collections.abc import Iterator, Sequence

import attrs

from trioqueue.domain.checkup.findings import Check, Finding, ok, warning
from trioqueue.domain.gates import SharedGate
from trioqueue.domain.words import counted

MOST_COUNTED = 10_000
"""Most unconfirmed messages that are counted."""


@attrs.frozen
class WorkFacts:
    """What the tables show.

    Attributes:
        alive: Workers whose heartbeat is younger than their lease.
        running: Running runs.
        due: Whether a message of one of them is due.
        paused: Paused runs that a person has to resume.
        waiting: Paused runs that go on by themselves.
        reason: Why the one that was paused last is.
        unconfirmed: Unconfirmed messages, `MOST_COUNTED` at most.
        models: The models that running and paused runs name.
    """

    alive: int
    running: int
    due: bool
    paused: int
    waiting: int
    reason: str | None
    unconfirmed: int
    models: tuple[str, ...]


def judge_work(facts: WorkFacts) -> Iterator[Finding]:
    """What somebody should look at."""
    yield _workers(facts)
    yield _runs(facts)
    yield _unconfirmed(facts)


def _workers(facts: WorkFacts) -> Finding:
    if facts.alive:
        return ok(Check.WORKERS, f"{counted(facts.alive, 'worker')} alive")
    if facts.due:
        advice = "start `trioqueue worker`, or let cron call `trioqueue run` (docs/how-to/run-for-good.md)"
        return warning(Check.WORKERS, "messages are due and no worker is alive", advice)
    return ok(Check.WORKERS, "none alive, and nothing is due")


def _runs(facts: WorkFacts) -> Finding:
    found = [f"{counted(facts.running, 'run')} running"]
    found += [f"{counted(facts.waiting, 'run')} paused until later"] if facts.waiting else []
    if not facts.paused:
        return ok(Check.RUNS, ", ".join(found))
    found.append(f"{counted(facts.paused, 'run')} paused, the last because: {facts.reason or 'no reason is known'}")
    advice = "`trioqueue status` lists them; `trioqueue runs resume RUN_ID` lets one go on"
    return warning(Check.RUNS, ", ".join(found), advice)


def _unconfirmed(facts: WorkFacts) -> Finding:
    if not facts.unconfirmed:
        return ok(Check.UNCONFIRMED, "no message waits for a person to settle it")
    many = f"at least {MOST_COUNTED}" if facts.unconfirmed >= MOST_COUNTED else str(facts.unconfirmed)
    advice = "`trioqueue messages list --status unconfirmed` (docs/how-to/unconfirmed-messages.md)"
    found = "a part of each may or may not have arrived"
    return warning(Check.UNCONFIRMED, f"{many} unconfirmed: {found}", advice)


def judge_gates(gates: Sequence[SharedGate]) -> Iterator[Finding]:
    """Which models are left alone."""
    shut = [gate for gate in gates if gate.seconds > 0]
    if not shut:
        yield ok(Check.GATES, "no model is left alone")
    for gate in shut:
        found = f"{gate.model} is left alone for {gate.seconds:.0f} s: {gate.reason}"
        yield warning(Check.GATES, found, "workers try it again by themselves; `trioqueue status` shows how it goes")
