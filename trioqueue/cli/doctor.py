"""`trioqueue doctor`."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import attrs
from cyclopts import Parameter
from rich.table import Table

from trioqueue.cli.app import EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from trioqueue.cli.output import console, plain, say, say_json, show
from trioqueue.cli.prepare import prepare
from trioqueue.doctor.checkup import check_settings_alone, check_up
from trioqueue.domain.checkup.findings import Check, Finding, Verdict, worst
from trioqueue.domain.words import counted
from trioqueue.settings import SettingsError

_STYLES: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILURE: "bold red"}

_NARROW: Final = 60
"""Columns below which a table would fold every word."""


async def doctor(*, json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False) -> int:
    """Check everything that a worker needs, and say what to do; nothing is changed, paid for or sent.

    The exit code is 0 when nothing failed, whatever the warnings, 1 when a check failed, 2 for bad settings.
    """
    try:
        settings = prepare()
    except SettingsError as error:
        findings = check_settings_alone(error, os.environ)
    else:
        findings = await check_up(settings, os.environ)
    if json:
        say_json(report(findings))
    else:
        _print(findings)
    return exit_code(findings)


def exit_code(findings: Sequence[Finding]) -> int:
    """The exit code for what was found."""
    failed = {finding.check for finding in findings if finding.verdict is Verdict.FAILURE}
    if Check.SETTINGS in failed:
        return EXIT_USAGE
    return EXIT_FAILED if failed else EXIT_DONE


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """What `doctor --json` prints; other programs read it."""
    return {"verdict": worst(findings), "findings": [attrs.asdict(finding) for finding in findings]}


def _print(findings: Sequence[Finding]) -> None:
    if console.width < _NARROW:
        for finding in findings:
            say(f"{finding.verdict} {finding.check}: {_told(finding)}")
    else:
        show(findings_table(findings))
    say(summary(findings))


def findings_table(findings: Sequence[Finding]) -> Table:
    """The findings, one a row."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        style = _STYLES[finding.verdict]
        table.add_row(f"[{style}]{finding.verdict}[/]", finding.check, plain(_told(finding)))
    return table


def _told(finding: Finding) -> str:
    return f"{finding.found}\n-> {finding.advice}" if finding.advice else finding.found


def summary(findings: Sequence[Finding]) -> str:
    """The verdicts in one line."""
    return ", ".join(_counts(Counter(finding.verdict for finding in findings)))


def _counts(verdicts: Counter[Verdict]) -> Iterator[str]:
    if verdicts[Verdict.FAILURE]:
        yield counted(verdicts[Verdict.FAILURE], "failure")
    if verdicts[Verdict.WARNING]:
        yield counted(verdicts[Verdict.WARNING], "warning")
    yield f"{verdicts[Verdict.OK]} ok"
