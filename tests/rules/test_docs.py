"""The documentation says what the code does."""

import re

import pytest

from tests.support.reference import COMMANDS, DOCS, SECTIONS, Section, with_section
from trioqueue.cli.app import app
from trioqueue.settings import SETTINGS

REPOSITORY = DOCS.parent


@pytest.mark.parametrize("section", list(Section))
def test_references_are_those_of_the_code(section: Section) -> None:
    """Settings, commands and states stand in docs/ as they are; else scripts/write-reference has to be run."""
    page = (DOCS / SECTIONS[section][0]).read_text(encoding="utf-8")

    assert with_section(page, section) == page


def test_every_setting_is_documented() -> None:
    """Each setting and its variable are named in the reference."""
    page = (DOCS / "settings.md").read_text(encoding="utf-8")

    assert [name for name, one in SETTINGS.items() if f"`{name}`" not in page or f"`{one.variable}`" not in page] == []


def test_every_command_is_documented() -> None:
    """The reference has every command that the command line knows."""
    known = {name for name in app if not name.startswith("-")}

    assert {command[0] for command in COMMANDS} == known


@pytest.mark.parametrize(
    "page", sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md"), *REPOSITORY.glob("schema/*.md")])
)
def test_links_lead_somewhere(page) -> None:
    """Every relative link of a page names a file that is there."""
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []
