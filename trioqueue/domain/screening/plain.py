"""Texts as the rules read them: without what is not seen, and with look-alikes of ASCII as ASCII.

NFKC itself is not used on whole texts: one character may become eighteen, and a hostile megabyte eighteen.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import chain
from typing import Any, Final

_UNSEEN: Final = (
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x20E3, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xE0000, 0xE1000),
)
"""Default_Ignorable_Code_Point, and the box of a keycap emoji, whose digit then counts as the digit that it shows."""

_ALIKE: Final = {
    **dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212), "-"),
    **dict.fromkeys((0x3002, 0xFF61), "."),  # IDNA reads both as the dot of a host
    **dict.fromkeys((0x2018, 0x2019, 0x02BC), "'"),
    **dict.fromkeys((0x201C, 0x201D), '"'),
    0x130: "I",  # which re takes for an i where case does not matter, and casefold() does not
    0x131: "i",
}

_BLOCKS: Final = (range(0x80, 0x3400), range(0xA600, 0xAC00), range(0xFB00, 0x10000), range(0x1D400, 0x1D800))
"""Where there are digits of other scripts and compatibility forms of ASCII: full-width, mathematical, circled."""


def _as_ascii(code: int) -> str | None:
    char = chr(code)
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(int(digit))
    form = unicodedata.normalize("NFKC", char)
    return form if len(form) == 1 and form.isascii() else None


_TABLE: Final[Mapping[int, str | None]] = (
    {code: form for code in chain(*_BLOCKS) if (form := _as_ascii(code))} | _ALIKE | dict.fromkeys(_UNSEEN)
)
_ODD: Final = re.compile(
    f"[{re.escape(''.join(chr(code) for code in _TABLE if code < 0x10000))}\U0001d400-\U0001d7ff\U000e0000-\U000e0fff]+"
)
"""Characters beyond U+FFFF stand as ranges: re looks through single ones of them one by one."""


def plain(text: str) -> str:
    """The text as a reader takes it, for the rules to look at."""
    return text if text.isascii() else _ODD.sub(lambda odd: odd[0].translate(_TABLE), text)


def texts_of(value: Any) -> Iterator[str]:
    """Every text of a lead's context, names of custom fields included; numbers as text."""
    match value:
        case str():
            yield value
        case bool() | None:
            return
        case int() | float() | Decimal():
            yield f"{value:f}" if isinstance(value, Decimal) else str(value)
        case Mapping():
            for key, item in value.items():
                yield str(key)
                yield from texts_of(item)
        case list() | tuple():
            for item in value:
                yield from texts_of(item)
        case _:
            return
