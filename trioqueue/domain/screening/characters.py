"""Hidden characters in a text, named for the person who has to find out where they come from."""

import unicodedata

from trioqueue.domain.hidden_characters import hidden_character
from trioqueue.domain.screening.findings import Finding, ScreeningRule


def hidden_characters(text: str) -> Finding | None:
    """The first hidden character of the text as it was written."""
    found = hidden_character(text)
    if found is None:
        return None
    at, char = found
    name = unicodedata.name(char, "a control character" if ord(char) < 0xA0 else "a character without name")
    return Finding(ScreeningRule.HIDDEN_CHARACTERS, f"character {at + 1} is not seen: U+{ord(char):04X} {name}")
