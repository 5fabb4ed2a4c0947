"""The parts of docs/ that are made from the code: settings, commands, states, faults.

scripts/write-reference writes them between their marks; a test holds them equal.
"""

import io
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import attrs
from rich.console import Console

from tests.support import faults
from trioqueue.cli.app import app
from trioqueue.domain.states import MESSAGE_TRANSITIONS, PART_TRANSITIONS, RUN_TRANSITIONS
from trioqueue.settings import SETTINGS, Setting

DOCS: Final = Path(__file__).parents[2] / "docs"

COMMANDS: Final = (
    ["demo"],
    ["migrate"],
    ["campaign", "start"],
    ["run"],
    ["worker"],
    ["status"],
    ["runs", "pause"],
    ["runs", "resume"],
    ["runs", "cancel"],
    ["messages", "list"],
    ["messages", "show"],
    ["messages", "retry"],
    ["messages", "confirm"],
    ["messages", "resend"],
    ["doctor"],
    ["settings"],
    ["simulator"],
)


def settings_table() -> str:
    """Every setting as a row of a table."""
    rows = ["| setting | variable | default | allowed | meaning |", "|---|---|---|---|---|"]
    rows += [f"| {' | '.join(_cells(setting))} |" for setting in SETTINGS.values()]
    return "\n".join(rows)


def _cells(setting: Setting) -> list[str]:
    variable = f"`{setting.variable}`" + (f" or `{setting.file_variable}`" if setting.secret else "")
    if isinstance(setting.default, attrs.Factory):  # type: ignore[arg-type]
        default = "see meaning"
    else:
        default = "unset" if setting.default is None else f"`{setting.shown(setting.default)}`"
    return [f"`{setting.name}`", variable, default, setting.rule.words, setting.help]


def commands() -> str:
    """The help of every command."""
    return "\n\n".join(f"## trioqueue {' '.join(name)}\n\n```text\n{_help(name)}\n```" for name in COMMANDS)


def _help(name: list[str]) -> str:
    out = io.StringIO()
    app.help_print(name, console=Console(file=out, width=100, color_system=None))
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


def diagram(transitions: Mapping[Any, frozenset[Any]]) -> str:
    """A transition table as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2"]
    for before, afters in transitions.items():
        lines += [f"    {before} --> {after}" for after in sorted(afters)]
        lines += [] if afters else [f"    {before} --> [*]"]
    return "\n".join([*lines, "```"])


class Section(StrEnum):
    """A part of a page that is made from the code."""

    SETTINGS = "settings"
    COMMANDS = "commands"
    RUNS = "states of a run"
    MESSAGES = "states of a message"
    PARTS = "states of a part"
    MODEL_ANSWERS = "answers of the model"
    MODEL_FAULTS = "faults of the model"
    GATEWAY_ANSWERS = "answers of the gateway"
    GATEWAY_FAULTS = "faults of the gateway"


SECTIONS: Final = {
    Section.SETTINGS: ("settings.md", settings_table),
    Section.COMMANDS: ("commands.md", commands),
    Section.RUNS: ("states.md", lambda: diagram(RUN_TRANSITIONS)),
    Section.MESSAGES: ("states.md", lambda: diagram(MESSAGE_TRANSITIONS)),
    Section.PARTS: ("states.md", lambda: diagram(PART_TRANSITIONS)),
    Section.MODEL_ANSWERS: ("faults.md", faults.model_answers),
    Section.MODEL_FAULTS: ("faults.md", faults.model_faults),
    Section.GATEWAY_ANSWERS: ("faults.md", faults.gateway_answers),
    Section.GATEWAY_FAULTS: ("faults.md", faults.gateway_faults),
}


def with_section(page: str, section: Section) -> str:
    """The text of a page with a section made anew."""
    begin, end = f"<!-- {section}: made by scripts/write-reference -->", f"<!-- end of {section} -->"
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    made = f"{begin}\n\n{SECTIONS[section][1]()}\n\n{end}"
    if not pattern.search(page):
        raise LookupError(f"the page has no section {section!r}")
    return pattern.sub(lambda _: made, page)
