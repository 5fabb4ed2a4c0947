"""Characters that nobody sees: with them a text tells a machine what it does not show to a person.

The same ones are taken out of a lead's data before a model reads them, and are a fault in what a model has written.
"""

import re
from typing import Final

import regex

_JOINING: Final = (
    r"[[\p{Arabic}\p{Syriac}\p{Mongolian}\p{Nko}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}\p{Tamil}"
    r"\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Khmer}]--\p{Default_Ignorable_Code_Point}]"
)
"""What is seen of the scripts whose spelling needs joiners and non-joiners."""

_RIGHT_TO_LEFT: Final = r"[[\p{Arabic}\p{Hebrew}\p{Syriac}\p{Thaana}]--\p{Default_Ignorable_Code_Point}]"
_BEFORE_SELECTOR: Final = r"[\p{Emoji}\p{S}]"
_JOINED: Final = rf"(?:[\p{{Extended_Pictographic}}\p{{Emoji_Modifier}}]|{_BEFORE_SELECTOR}\ufe0f)"

_FLAGS: Final = "|".join(
    "\U0001f3f4" + "".join(chr(0xE0000 + ord(char)) for char in region) + "\U000e007f"
    for region in ("gbeng", "gbsct", "gbwls")
)
"""England, Scotland and Wales: all flags that are written with tags (Unicode's emoji-sequences.txt, 16.0)."""

_ALWAYS: Final = (
    r"[[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Noncharacter_Code_Point}\p{Default_Ignorable_Code_Point}\u2028\u2029]"
    r"--[\n\r\t\u061c\u200c-\u200f\ufe0e\ufe0f]--\p{Prepended_Concatenation_Mark}]"
)
_OUT_OF_PLACE: Final = (
    rf"\u200d(?!(?<={_JOINED}.)\p{{Extended_Pictographic}}|(?<={_JOINING}.))",
    rf"\u200c(?!(?<={_JOINING}.))",
    rf"[\u061c\u200e\u200f](?!(?<={_RIGHT_TO_LEFT}.)|{_RIGHT_TO_LEFT})",
    rf"[\ufe0e\ufe0f](?!(?<={_BEFORE_SELECTOR}.))",
)
"""Joiners are fine in emoji and in the scripts that need them, marks of direction beside letters that have one,
selectors after a symbol."""

_HIDDEN: Final = regex.compile(rf"(?:{_FLAGS})(*SKIP)(*FAIL)|{'|'.join((_ALWAYS, *_OUT_OF_PLACE))}", regex.VERSION1)
"""Unassigned characters are not among them: they are the emoji of a Unicode that is newer than this program."""

_SUSPECT: Final = re.compile(
    "[^\t\n\r -~\xa0-\xac\xae-\u033f\u0370-\u05ff\u1e00-\u200a\u2010-\u2027\u202f-\u205f\u20a0-\u20cf\u2100-\u2bff"
    "\u3000-\u3163\u3165-\ud7ff\U0001f1e6-\U0001faff]"
)
"""All but the most ordinary characters, to tell quickly the texts that have nothing else."""


def hidden_character(text: str) -> tuple[int, str] | None:
    """Where the first hidden character of a text stands, and the character."""
    found = _HIDDEN.search(text) if _SUSPECT.search(text) else None
    return found and (found.start(), found[0])


def without_hidden(text: str) -> str:
    """The text without its hidden characters; emoji, and the scripts that need joiners, are whole."""
    return _HIDDEN.sub("", text) if _SUSPECT.search(text) else text
