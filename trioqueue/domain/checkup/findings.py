"""What a check has come to."""

from collections.abc import Iterable
from enum import StrEnum

import attrs


class Verdict(StrEnum):
    """How good what was found is, from good to bad."""

    OK = "ok"
    WARNING = "warning"
    """A worker works, but something will cost time, money or safety; or it could not be checked."""
    FAILURE = "failure"
    """A worker cannot do its work like this."""


class Check(StrEnum):
    """What is checked. Other programs read these names."""

    SETTINGS = "settings"
    MACHINE = "machine"
    SECRETS = "secrets"
    DATA_DIRECTORY = "data directory"
    DATABASE = "database"
    LATENCY = "latency"
    CLOCK = "clock"
    ENCRYPTION = "encryption"
    POOLER = "pooler"
    DURABILITY = "durability"
    CONNECTIONS = "connections"
    ROLE = "role"
    RIGHTS = "rights"
    SCHEMA = "schema"
    WORKERS = "workers"
    RUNS = "runs"
    UNCONFIRMED = "unconfirmed"
    GATES = "gates"
    MODEL_KEY = "model key"
    MODELS = "models"
    GATEWAY = "gateway"
    LOOKUP = "lookup"


@attrs.frozen
class Finding:
    """What one check has found.

    Attributes:
        check: What was checked.
        verdict: How good it is.
        found: What was found, in words; without secrets.
        advice: What to do next; empty where nothing is to be done.
    """

    check: Check
    verdict: Verdict
    found: str
    advice: str = ""


def ok(check: Check, found: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, found)


def warning(check: Check, found: str, advice: str) -> Finding:
    """It works, and something should be done or known."""
    return Finding(check, Verdict.WARNING, found, advice)


def failure(check: Check, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.FAILURE, found, advice)


def worst(findings: Iterable[Finding]) -> Verdict:
    """The worst verdict of all; good when there are no findings."""
    order = list(Verdict)
    return max((finding.verdict for finding in findings), key=order.index, default=Verdict.OK)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings in the order of `Check`; those of one check stay in theirs."""
    order = list(Check)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.check)))
