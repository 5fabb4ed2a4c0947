"""Whole numbers of the command line: cyclopts alone would take 1.5 for 1, and 0x10 for 16."""

import re
from collections.abc import Sequence
from typing import Any, Final

from cyclopts import Parameter, Token


def _whole(_kind: Any, tokens: Sequence[Token]) -> int:
    [token] = tokens
    if re.fullmatch(r"[+-]?[0-9]{1,18}", token.value) is None:
        raise ValueError(f"{token.value!r} is not a whole number")
    return int(token.value)


WHOLE: Final = Parameter(converter=_whole)
"""Goes with the annotation of a parameter that is an int."""
