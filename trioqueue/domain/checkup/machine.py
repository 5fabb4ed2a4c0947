"""What is wrong with the machine that a worker runs on: its files, its limits, and the addresses it is given."""

from collections.abc import Mapping
from typing import Final

import attrs

from trioqueue.domain.checkup.findings import Check, Finding, failure, ok, warning

NO_SPACE: Final = 64 * 2**20
"""Bytes. A new data directory takes about 40 MB, a segment of the write-ahead log 16 MB."""

SCARCE_SPACE: Final = 2**30
"""Bytes. A million messages with their parts and log take about as much."""

_OTHERS_MAY_READ: Final = 0o044
_OTHERS_MAY_WRITE: Final = 0o022

SPARE_FILES: Final = 64
"""Open files beyond connections: standard streams, the event loop's, modules being loaded."""


@attrs.frozen
class FolderFacts:
    """What there is to know of the data directory.

    Attributes:
        path: Where it is.
        made: Whether there is an embedded database in it.
        owner: The number of the account that owns it, or of that which owns the next directory above.
        account: The number of this account.
        free: Bytes that this account may still write there.
    """

    path: str
    made: bool
    owner: int
    account: int
    free: int


def judge_folder(facts: FolderFacts) -> Finding:
    """What the facts mean for an embedded server."""
    found = f"{facts.path}, {facts.free / 2**30:.1f} GiB free"
    if facts.made and facts.owner != facts.account:
        advice = f"run trioqueue as user {facts.owner}, or set TRIOQUEUE_DATA_DIR to another directory"
        return failure(
            Check.DATA_DIRECTORY, f"{found}: it belongs to user {facts.owner}, and this is user {facts.account}", advice
        )
    if facts.free < NO_SPACE:
        return failure(Check.DATA_DIRECTORY, found, "make room: the embedded PostgreSQL cannot write")
    if facts.free < SCARCE_SPACE:
        return warning(Check.DATA_DIRECTORY, found, "make room before the embedded PostgreSQL runs out of it")
    return ok(Check.DATA_DIRECTORY, found)


def judge_secret_file(variable: str, path: str, mode: int) -> Finding:
    """Whether a file with a secret is its owner's alone.

    Args:
        variable: The environment variable that names it.
        path: Where it is.
        mode: Its permissions.
    """
    if mode & _OTHERS_MAY_WRITE:
        found = f"{variable} names {path}, which others than its owner may write"
    elif mode & _OTHERS_MAY_READ:
        found = f"{variable} names {path}, which others than its owner may read"
    else:
        return ok(Check.SECRETS, f"{variable} names {path}, which is its owner's alone")
    return warning(Check.SECRETS, f"{found} (mode {mode & 0o777:04o})", f"chmod 600 {path}")


def judge_address(variable: str, host: str, *, clear: bool) -> Finding | None:
    """Whether a key travels in clear to an address; None when not.

    Args:
        variable: The environment variable of the address.
        host: The host that it names.
        clear: Whether requests go to another machine without TLS.
    """
    if not clear:
        return None
    found = f"{variable} is an http:// address at {host}: the key and the leads' data travel in clear"
    return warning(Check.SECRETS, found, "use https://")


def judge_machine(trivia: Mapping[str, str], *, files: int, needed: int) -> Finding:
    """What the machine is, and whether a worker may open as many files as it has connections.

    Args:
        trivia: What is good to know when asking for help.
        files: How many files a process may have open; 0 or less for any number.
        needed: How many connections a worker may have.
    """
    found = ", ".join(f"{name} {value}".strip() for name, value in trivia.items())
    if 0 < files < needed + SPARE_FILES:
        advice = f"raise it (ulimit -n, LimitNOFILE) to {needed + SPARE_FILES} or more, or lower TRIOQUEUE_CONCURRENCY"
        return warning(Check.MACHINE, f"{found}; a process may open {files} files", advice)
    return ok(Check.MACHINE, found)
