"""`trioqueue campaign start`."""

import os
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import attrs
import trio
from cyclopts import Parameter

from trioqueue.bootstrap import open_database
from trioqueue.cli.app import UsageError
from trioqueue.cli.budgets import MaxCost, MaxTokens
from trioqueue.cli.numbers import WHOLE
from trioqueue.cli.output import say, say_json, warn
from trioqueue.cli.prepare import prepare
from trioqueue.domain.budgets import Limits
from trioqueue.domain.campaigns import Campaign
from trioqueue.domain.leads import LeadsFileError
from trioqueue.domain.leads_csv import LeadsFile, read_leads
from trioqueue.domain.words import counted

DEFAULT_WORKSPACE: Final = UUID(int=0)
"""The workspace of campaigns and leads where none is named."""

SHOWN_ROWS: Final = 20
"""Most rows of a file that are reported one by one."""


async def start(
    *,
    name: Annotated[str, Parameter(help="What people call the campaign.")],
    leads: Annotated[Path, Parameter(help="CSV file of the leads; primary_phone is the one column it must have.")],
    instructions: Annotated[Path, Parameter(help="Text file with the instructions to the model.")],
    model: Annotated[str, Parameter(help="The model as OpenRouter names it, such as openai/gpt-4o-mini.")],
    fallback_model: Annotated[
        list[str] | None,
        Parameter(help="A model that stands in while the first does not answer; may be given again.", negative=""),
    ] = None,
    split: Annotated[bool, Parameter(help="Whether messages are split into short parts.")] = True,
    max_parts: Annotated[int, WHOLE, Parameter(help="The most parts of a message, 1 to 5.")] = 3,
    workspace: Annotated[UUID, Parameter(help="The workspace that campaign and leads belong to.")] = DEFAULT_WORKSPACE,
    skip_bad_rows: Annotated[
        bool, Parameter(negative="", help="Import the good rows although others are bad.")
    ] = False,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    default_region: Annotated[str | None, Parameter(help="Region of phone numbers without country code.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
) -> None:
    """Import leads and start a run that writes to each of them, now."""
    settings = prepare(default_region=default_region)
    stand_ins = None if fallback_model is None else tuple(map(_utf8, fallback_model))
    texts = _utf8(name), _utf8(model), _read_text(instructions)
    campaign = Campaign(workspace, *texts, split, max_parts, stand_ins, Limits(max_tokens, max_cost))
    file = await trio.to_thread.run_sync(_read_leads, leads, settings.default_region)
    _report(file, leads)
    if file.errors and not skip_bad_rows:
        raise UsageError(
            f"{leads}: {counted(len(file.errors), 'bad row')}; nothing was imported. "
            "Mend what is wrong, or import the others with --skip-bad-rows"
        )
    if not file.leads:
        raise UsageError(f"{leads}: there are no leads to write to")
    async with open_database(settings) as database:
        await database.check()
        run = await database.campaigns.start(campaign, file.leads)
    if json:
        say_json(attrs.asdict(run) | {"bad_rows": len(file.errors), "duplicate_rows": len(file.duplicates)})
    else:
        due = counted(run.messages, "message is", "messages are")
        say(f"run {run.run_id}: {due} due now; send with `trioqueue run --drain`")


def _utf8(argument: str) -> str:
    """An argument as it was typed on a terminal in UTF-8, also where the locale (that of cron, say) is another."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        return argument


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _read_leads(path: Path, region: str) -> LeadsFile:
    try:
        with path.open("rb") as lines:
            return read_leads(lines, region)
    except LeadsFileError as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _report(file: LeadsFile, path: Path) -> None:
    for error in file.errors[:SHOWN_ROWS]:
        warn(f"{path}, line {error.line}: {error.reason}")
    if len(file.errors) > SHOWN_ROWS:
        warn(f"{path}: {counted(len(file.errors) - SHOWN_ROWS, 'more bad row')}")
    for row in file.duplicates[:SHOWN_ROWS]:
        warn(f"{path}, line {row.line}: {row.phone} stands in line {row.first_line} already; it is one lead")
    if len(file.duplicates) > SHOWN_ROWS:
        more = counted(len(file.duplicates) - SHOWN_ROWS, "more row")
        warn(f"{path}: {more} with a phone number that stands there already")
