"""Telephone numbers as people write them, read into E.164 with Google's rules (the phonenumbers library).

The library is made to find a number in any text; here a number that is read wrongly sends a message to a stranger.
So what it would guess at is refused first: letters dialled as digits, numbers that a spreadsheet has rounded.
"""

import re
from typing import Final

import phonenumbers

from trioqueue.domain.errors import TrioqueueError

# The most characters of a written number; phonenumbers refuses more.
_MAX_LENGTH: Final = 250

# Deleted first: phonenumbers looks at every character in Python, and an import has 100,000 numbers.
_PUNCTUATION: Final = str.maketrans("", "", " ()-")

# The most characters of a number that an error repeats.
_SHOWN: Final = 40

# What a spreadsheet makes of a long number in a column that is not text: the last digits are lost for good.
_ROUNDED: Final = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE]\+?\d+")

# What a spreadsheet or a data frame makes of a number in a column with empty cells.
_DECIMAL_ZEROS: Final = re.compile(r"(\+?\d{8,})[.,]0+")

# phonenumbers reads "11 3265 JOAO" as a vanity number. An x is left to it: "0xx11" stands for a carrier's code in
# Brazil, and x also introduces an extension.
_LETTER_AFTER_DIGIT: Final = re.compile(r"\d.*[^\W\d_xX]", re.DOTALL)


class PhoneError(TrioqueueError):
    """A text cannot be used as a telephone number; the error's text says why, to follow the name of its column."""


def is_region(code: str) -> bool:
    """Whether `code` is a region with a numbering plan, in capitals, such as `BR` (ISO 3166-1 alpha-2)."""
    return code in phonenumbers.SUPPORTED_REGIONS


def normalise_phone(written: str, default_region: str) -> str:
    """Read a telephone number and return it in E.164, such as `+5511987654321`.

    Args:
        written: The number as a person wrote it: with or without country code, trunk prefix and punctuation.
        default_region: The region whose numbering plan applies when the number does not start with a +.

    Raises:
        PhoneError: No valid number can be read from it.
    """
    text = written.strip().lstrip("'").translate(_PUNCTUATION)
    if not text.removeprefix("+").isdecimal() or text.startswith("00"):
        text = _diallable(text, default_region)
    try:
        number = phonenumbers.parse(text, default_region)
    except phonenumbers.NumberParseException:
        raise PhoneError(_invalid(written, default_region)) from None
    if not phonenumbers.is_valid_number(number):
        raise PhoneError(_invalid(written, default_region))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _diallable(text: str, region: str) -> str:
    """Refuse what phonenumbers would guess at, and undo what is no part of a number."""
    if len(text) > _MAX_LENGTH:
        raise PhoneError(f"has more than {_MAX_LENGTH} characters")
    if _ROUNDED.fullmatch(text):
        raise PhoneError(
            f"{text[:_SHOWN]!r} was rounded by a spreadsheet and its last digits are lost; "
            "format the column as text, fill it again, and export the file again"
        )
    if _LETTER_AFTER_DIGIT.search(text):
        raise PhoneError(f"{text[:_SHOWN]!r} has letters after its first digit; write one number and nothing after it")
    if decimal := _DECIMAL_ZEROS.fullmatch(text):
        return decimal[1]
    # phonenumbers would take the 55 of "0055 31 3265-4321" for a Brazilian carrier and dial the Netherlands.
    if text.startswith(f"00{phonenumbers.country_code_for_region(region)}"):
        return f"+{text[2:]}"
    return text


def _invalid(written: str, region: str) -> str:
    return (
        f"{written[:_SHOWN]!r} is not a valid telephone number; "
        f"write it with its area code as dialled in {region}, or with + and the country code"
    )
