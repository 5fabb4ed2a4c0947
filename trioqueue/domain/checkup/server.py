"""What is wrong with a database server, the way to it, and the role that workers have there."""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from trioqueue.domain.checkup.findings import Check, Finding, failure, ok, warning
from trioqueue.domain.words import counted

OLDEST_VERSION: Final = 140_000
"""PostgreSQL 14, as server_version_num writes it (SPEC 3)."""

SLOW_ROUND_TRIP: Final = 0.02
"""Seconds. A message waits for several statements one after another; beyond this the database is in another region."""

SLOW_COMMIT: Final = 0.1
"""Seconds. A disk that syncs takes 1 to 20 ms; parts wait for two commits each."""

CLOCKS_APART: Final = 5.0
"""Seconds. Leases and due times follow the database's clock alone; a Retry-After that is a date, and the log, follow
this machine's."""


@attrs.frozen
class ServerFacts:
    """What a connection shows of its server; times in seconds.

    Attributes:
        where: Host and port, or the socket's folder.
        embedded: Whether it is the server of the data directory.
        local: Whether the way to it stays on this machine.
        encrypted: Whether the connection is in TLS.
        pooled: Whether something between us and the server lends out server connections.
        shared: Whether that lends one of them to several clients in turn, as PgBouncer in transaction mode does.
        version: As server_version writes it.
        version_number: As server_version_num writes it.
        encoding: The database's.
        read_only: Whether nothing can be written: a standby, or a setting.
        round_trip: What the shortest of several statements took.
        commit: What the shortest of several commits took; None when it was not measured.
        clock_ahead: How far the database's clock is ahead of this machine's.
        off: The settings that make commits durable and are off.
        connections: How many the server has now.
        most_connections: How many it lets ordinary roles have, or the role, or the database, whichever is less.
        role: Who we are.
        superuser: Whether that is a superuser.
    """

    where: str
    embedded: bool
    local: bool
    encrypted: bool
    pooled: bool
    shared: bool
    version: str
    version_number: int
    encoding: str
    read_only: bool
    round_trip: float
    commit: float | None
    clock_ahead: float
    off: tuple[str, ...]
    connections: int
    most_connections: int
    role: str
    superuser: bool


def judge_server(facts: ServerFacts, *, needed: int, prepared_statements: bool, listen: bool) -> Iterator[Finding]:
    """What the facts mean for a worker.

    Args:
        facts: The facts.
        needed: How many connections a worker may have.
        prepared_statements: The setting.
        listen: The setting.
    """
    yield _database(facts)
    yield _latency(facts)
    yield _clock(facts)
    yield _encryption(facts)
    if facts.pooled:
        yield _pooler(facts, prepared_statements=prepared_statements, listen=listen)
    else:
        yield _connections(facts, needed=needed)
    yield _durability(facts)
    yield _role(facts)


def _database(facts: ServerFacts) -> Finding:
    found = f"PostgreSQL {facts.version} at {facts.where}"
    if facts.version_number < OLDEST_VERSION:
        return failure(Check.DATABASE, found, "use PostgreSQL 14 or newer")
    if facts.read_only:
        advice = "connect to the primary (target_session_attrs=read-write), and see default_transaction_read_only"
        return failure(Check.DATABASE, f"{found}, where nothing can be written", advice)
    if facts.encoding != "UTF8":
        advice = "use a database with the encoding UTF8: others cannot store every text that a model writes"
        return failure(Check.DATABASE, f"{found}, with the encoding {facts.encoding}", advice)
    return ok(Check.DATABASE, f"{found}, embedded" if facts.embedded else found)


def _latency(facts: ServerFacts) -> Finding:
    commit = "not measured" if facts.commit is None else milliseconds(facts.commit)
    found = f"round trip {milliseconds(facts.round_trip)}, commit {commit}"
    if facts.round_trip > SLOW_ROUND_TRIP:
        return warning(Check.LATENCY, found, "run workers near the database: each message takes several round trips")
    if facts.commit is not None and facts.commit > SLOW_COMMIT:
        return warning(Check.LATENCY, found, "look at the disk of the database, or at its synchronous standby")
    return ok(Check.LATENCY, found)


def milliseconds(seconds: float) -> str:
    """A short time for people."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.1f} s"


def _clock(facts: ServerFacts) -> Finding:
    apart = abs(facts.clock_ahead)
    if apart < CLOCKS_APART:
        least = milliseconds(max(apart, 0.001))
        return ok(Check.CLOCK, f"the database's clock and this machine's differ by at most {least}")
    order = "ahead of" if facts.clock_ahead > 0 else "behind"
    advice = "synchronise both (NTP): what is due, and who is alive, follows the database's clock"
    return warning(Check.CLOCK, f"the database's clock is {apart:.0f} s {order} this machine's", advice)


def _encryption(facts: ServerFacts) -> Finding:
    if facts.local:
        return ok(Check.ENCRYPTION, "the connection stays on this machine")
    if facts.encrypted:
        return ok(Check.ENCRYPTION, "the connection is in TLS")
    advice = "add sslmode=verify-full to the URL, or sslmode=require where there is no certificate to verify"
    return warning(Check.ENCRYPTION, "leads and the password's proof travel in clear", advice)


def _pooler(facts: ServerFacts, *, prepared_statements: bool, listen: bool) -> Finding:
    settings = {"TRIOQUEUE_PREPARED_STATEMENTS": prepared_statements, "TRIOQUEUE_LISTEN": listen}
    on = [f"{name}=false" for name, value in settings.items() if value]
    if facts.shared and on:
        advice = f"set {' and '.join(on)} (docs/how-to/run-for-good.md)"
        return warning(Check.POOLER, "a pooler that gives each transaction another server connection", advice)
    if facts.shared:
        return ok(Check.POOLER, "a pooler that gives each transaction another server connection; the settings suit it")
    if on:
        advice = f"if it is in transaction mode: {' and '.join(on)} (docs/how-to/run-for-good.md)"
        return warning(Check.POOLER, "there is a pooler before the server; its mode cannot be seen", advice)
    return ok(Check.POOLER, "there is a pooler before the server; the settings suit any mode of it")


def _connections(facts: ServerFacts, *, needed: int) -> Finding:
    free = facts.most_connections - facts.connections
    found = f"{facts.connections} of {facts.most_connections} in use; a worker takes up to {needed}"
    if facts.most_connections < needed:
        return failure(Check.CONNECTIONS, found, "lower TRIOQUEUE_POOL_SIZE, or raise the limit of the database")
    if free < needed:
        advice = "lower TRIOQUEUE_POOL_SIZE, close what is idle, or raise max_connections"
        return warning(Check.CONNECTIONS, found, advice)
    return ok(Check.CONNECTIONS, found)


def _durability(facts: ServerFacts) -> Finding:
    if not facts.off:
        return ok(Check.DURABILITY, "what is committed is on disk")
    advice = "turn it on: after a crash of the server a lead may get the same part twice, or a message may be lost"
    return warning(Check.DURABILITY, f"{' and '.join(f'{name} is off' for name in facts.off)}", advice)


def _role(facts: ServerFacts) -> Finding:
    if facts.embedded:
        return ok(Check.ROLE, f"{facts.role}, whom only this account can be")
    if facts.superuser:
        advice = "`trioqueue migrate --worker-role ROLE` makes one that can do less (docs/how-to/least-privilege.md)"
        return warning(Check.ROLE, f"{facts.role} is a superuser, which a worker need not be", advice)
    return ok(Check.ROLE, f"{facts.role}, no superuser")


def judge_rights(missing: Sequence[str]) -> Finding:
    """What a role that lacks these rights can do."""
    if not missing:
        return ok(Check.RIGHTS, "the role can do what a worker does")
    shown = ", ".join(missing[:5]) + (f" and {counted(len(missing) - 5, 'more right')}" if len(missing) > 5 else "")
    return failure(
        Check.RIGHTS,
        f"the role lacks: {shown}",
        "`trioqueue migrate --worker-role ROLE` grants them (docs/how-to/least-privilege.md)",
    )
