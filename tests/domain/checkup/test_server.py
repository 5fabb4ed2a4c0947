"""What is concluded of a database server."""

from typing import Any

import attrs
import pytest

from trioqueue.domain.checkup.findings import Check, Finding, Verdict
from trioqueue.domain.checkup.server import ServerFacts, judge_rights, judge_server

GOOD = ServerFacts(
    where="db.example port 5432",
    embedded=False,
    local=False,
    encrypted=True,
    pooled=False,
    shared=False,
    version="17.2",
    version_number=170_002,
    encoding="UTF8",
    read_only=False,
    round_trip=0.001,
    commit=0.004,
    clock_ahead=0.2,
    off=(),
    connections=10,
    most_connections=97,
    role="trioqueue_worker",
    superuser=False,
)


def judged(settings: dict[str, Any] | None = None, **changes: Any) -> dict[Check, Finding]:
    """The findings about a good server with changes."""
    given: dict[str, Any] = {"needed": 5, "prepared_statements": True, "listen": True, **(settings or {})}
    return {finding.check: finding for finding in judge_server(attrs.evolve(GOOD, **changes), **given)}


def test_a_good_server() -> None:
    """There is a finding for each check, and all are good."""
    found = judged()

    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert not any(finding.advice for finding in found.values())


@pytest.mark.parametrize(
    ("changes", "check", "verdict", "said"),
    [
        ({"version": "13.9", "version_number": 130_009}, Check.DATABASE, Verdict.FAILURE, "13.9"),
        ({"read_only": True}, Check.DATABASE, Verdict.FAILURE, "nothing can be written"),
        ({"encoding": "LATIN1"}, Check.DATABASE, Verdict.FAILURE, "LATIN1"),
        ({"round_trip": 0.09}, Check.LATENCY, Verdict.WARNING, "round trip 90 ms"),
        ({"commit": 0.25}, Check.LATENCY, Verdict.WARNING, "commit 250 ms"),
        ({"commit": None}, Check.LATENCY, Verdict.OK, "commit not measured"),
        ({"clock_ahead": 61.0}, Check.CLOCK, Verdict.WARNING, "61 s ahead of"),
        ({"clock_ahead": -61.0}, Check.CLOCK, Verdict.WARNING, "61 s behind"),
        ({"encrypted": False}, Check.ENCRYPTION, Verdict.WARNING, "in clear"),
        ({"encrypted": False, "local": True}, Check.ENCRYPTION, Verdict.OK, "on this machine"),
        ({"off": ("fsync", "synchronous_commit")}, Check.DURABILITY, Verdict.WARNING, "fsync is off and synchronous"),
        ({"superuser": True}, Check.ROLE, Verdict.WARNING, "superuser"),
        ({"superuser": True, "embedded": True}, Check.ROLE, Verdict.OK, "only this account"),
        ({"connections": 93}, Check.CONNECTIONS, Verdict.WARNING, "93 of 97 in use; a worker takes up to 5"),
        ({"connections": 92}, Check.CONNECTIONS, Verdict.OK, "92 of 97"),
        ({"most_connections": 4}, Check.CONNECTIONS, Verdict.FAILURE, "of 4 in use"),
    ],
)  # fmt: skip
def test_what_is_wrong(changes: dict[str, Any], check: Check, verdict: Verdict, said: str) -> None:
    """Each fact changes its own check, and nothing that is wrong is without advice."""
    found = judged(**changes)

    assert found[check].verdict is verdict
    assert said in found[check].found
    assert bool(found[check].advice) is (verdict is not Verdict.OK)
    assert {one.check for one in found.values() if one.verdict is not Verdict.OK} <= {check}


@pytest.mark.parametrize(
    ("shared", "prepared", "listen", "verdict", "named"),
    [
        (True, True, False, Verdict.WARNING, "set TRIOQUEUE_PREPARED_STATEMENTS=false (docs"),
        (True, False, True, Verdict.WARNING, "set TRIOQUEUE_LISTEN=false (docs"),
        (True, True, True, Verdict.WARNING, "TRIOQUEUE_PREPARED_STATEMENTS=false and TRIOQUEUE_LISTEN=false"),
        (True, False, False, Verdict.OK, ""),
        (False, True, True, Verdict.WARNING, "if it is in transaction mode"),
        (False, False, False, Verdict.OK, ""),
    ],
)
def test_a_pooler(shared: bool, prepared: bool, listen: bool, verdict: Verdict, named: str) -> None:
    """The settings that do not suit a pooler in transaction mode are named; the server's connections are its matter."""
    found = judged({"prepared_statements": prepared, "listen": listen}, pooled=True, shared=shared)

    assert found[Check.POOLER].verdict is verdict
    assert named in found[Check.POOLER].advice
    assert Check.CONNECTIONS not in found


def test_many_rights_that_are_missing() -> None:
    """A few are named, and the rest counted."""
    finding = judge_rights([f"select on t{n}" for n in range(6)])

    assert finding.verdict is Verdict.FAILURE
    assert finding.found.endswith("select on t4 and 1 more right")
