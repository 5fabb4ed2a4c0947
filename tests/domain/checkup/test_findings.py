"""Findings together, and what is concluded of a machine."""

import pytest

from trioqueue.domain.checkup.findings import Check, Verdict, failure, in_order, ok, warning, worst
from trioqueue.domain.checkup.machine import FolderFacts, judge_folder, judge_machine, judge_secret_file
from trioqueue.domain.words import counted

GIB = 2**30


def test_the_worst_counts() -> None:
    """One failure makes all of it fail; warnings do not."""
    good, bad, worse = ok(Check.CLOCK, "x"), warning(Check.ROLE, "x", "y"), failure(Check.SCHEMA, "x", "y")

    assert worst([]) is Verdict.OK
    assert worst([good, bad, good]) is Verdict.WARNING
    assert worst([good, worse, bad]) is Verdict.FAILURE


def test_the_order_is_that_of_the_checks() -> None:
    """Whatever came first; those of one check stay in theirs."""
    gateway, first, second = ok(Check.GATEWAY, "x"), ok(Check.SECRETS, "1"), ok(Check.SECRETS, "2")

    assert in_order([gateway, first, second]) == (first, second, gateway)


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (FolderFacts("/data", made=True, owner=5, account=5, free=2 * GIB), Verdict.OK),
        (FolderFacts("/data", made=False, owner=0, account=5, free=2 * GIB), Verdict.OK),
        (FolderFacts("/data", made=True, owner=5, account=0, free=2 * GIB), Verdict.FAILURE),
        (FolderFacts("/data", made=True, owner=5, account=5, free=GIB - 1), Verdict.WARNING),
        (FolderFacts("/data", made=True, owner=5, account=5, free=1024), Verdict.FAILURE),
    ],
)
def test_a_data_directory(facts: FolderFacts, verdict: Verdict) -> None:
    """It must be this account's, where it is made already, and have room."""
    assert judge_folder(facts).verdict is verdict


@pytest.mark.parametrize(
    ("mode", "said"),
    [(0o100600, "alone"), (0o100400, "alone"), (0o100640, "may read (mode 0640)"), (0o100602, "may write (mode 0602)")],
)
def test_a_file_with_a_secret(mode: int, said: str) -> None:
    """It is its owner's alone, or it is said who else may do what."""
    finding = judge_secret_file("X_FILE", "/run/x", mode)

    assert said in finding.found
    assert (finding.verdict is Verdict.OK) is ("alone" in said)


@pytest.mark.parametrize(("files", "verdict"), [(1024, Verdict.OK), (0, Verdict.OK), (263, Verdict.WARNING)])
def test_open_files(files: int, verdict: Verdict) -> None:
    """A process must be able to open as many files as it has connections, and some more."""
    assert judge_machine({"Linux": "6.1"}, files=files, needed=200).verdict is verdict


def test_numbers_and_their_words() -> None:
    """One is one, and nothing else is."""
    assert [counted(n, "part") for n in (0, 1, 2)] == ["0 parts", "1 part", "2 parts"]
    assert counted(2, "message is", "messages are") == "2 messages are"
