"""The rules of screening by name, and what a finding says."""

from enum import StrEnum
from typing import Final

import attrs

LONGEST_EXCERPT: Final = 60
"""Characters of the text that a finding repeats: enough to see the fault, too few to flood a list of errors."""


class ScreeningRule(StrEnum):
    """What is looked for. The value is the name in settings, errors and logs."""

    PLACEHOLDER = "placeholder"
    PROMPT_LEAK = "prompt-leak"
    OTHER_LEAD = "other-lead"
    LINK = "link"
    EMAIL = "email"
    PHONE = "phone"
    PIX_KEY = "pix-key"
    PRICE = "price"
    HIDDEN_CHARACTERS = "hidden-characters"


@attrs.frozen
class Finding:
    """Why a text may not leave.

    Attributes:
        rule: The rule that found it.
        reason: What was found, printable, with an excerpt of at most 60 characters.
    """

    rule: ScreeningRule
    reason: str


def excerpt(text: str) -> str:
    """A text in quotes as an error may repeat it: one printable line of at most 60 characters."""
    line = " ".join(text[: 4 * LONGEST_EXCERPT].split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return f'"{line}"' if len(line) <= LONGEST_EXCERPT else f'"{line[: LONGEST_EXCERPT - 1]}…"'
