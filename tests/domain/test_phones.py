"""Telephone numbers as people and spreadsheets write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.phones import PhoneError, is_region, normalise_phone


@pytest.mark.parametrize(
    "written",
    [
        "(11) 98765-4321",
        "11987654321",
        "011 98765 4321",
        "(011) 98765-4321",
        "015 11 98765-4321",
        "0xx11 98765-4321",
        "+55 11 98765-4321",
        "+55 (0) 11 98765-4321",
        "55 011 98765-4321",
        "5511987654321",
        "0055 11 98765-4321",
        "00 (55) 11 98765-4321",
        "11.98765.4321",
        "  11 98765 4321\t",
        "'5511987654321",
        "'+5511987654321",
        "5511987654321.0",
        "11987654321,00",
        "whatsapp: +55 11 98765-4321",
        "tel:+55-11-98765-4321",
        "https://wa.me/5511987654321",
        "\u202a+55 11 98765\u20114321\u202c",
        "11\u00a098765\u00a04321",
        "\uff11\uff11\uff19\uff18\uff17\uff16\uff15\uff14\uff13\uff12\uff11",
    ],
)
def test_ways_to_write_one_number(written: str) -> None:
    """One Brazilian number is the same lead however a person, WhatsApp or a spreadsheet writes it."""
    assert normalise_phone(written, "BR") == "+5511987654321"


@pytest.mark.parametrize(
    ("written", "region", "expected"),
    [
        ("(11) 3265-4321", "BR", "+551132654321"),
        ("0055 31 3265-4321", "BR", "+553132654321"),
        ("0800 123 4567", "BR", "+558001234567"),
        ("+1 415 555 2671", "BR", "+14155552671"),
        ("+39 06 6982", "BR", "+39066982"),
        ("415 555 2671", "US", "+14155552671"),
        ("912 345 678", "PT", "+351912345678"),
        ("11 3265-4321 x12", "BR", "+551132654321"),
    ],
)
def test_other_numbers(written: str, region: str, expected: str) -> None:
    """Landlines, foreign numbers with a + and other default regions are read by their own numbering plans."""
    assert normalise_phone(written, region) == expected


@pytest.mark.parametrize("written", ["5,51199E+12", "5.51199E+12", "5,5E12", "1e11", "'5,51199e+12"])
def test_a_number_rounded_by_a_spreadsheet(written: str) -> None:
    """Scientific notation has lost the last digits; the reason names the spreadsheet and the way out."""
    with pytest.raises(PhoneError, match=r"rounded by a spreadsheet.*format the column as text"):
        normalise_phone(written, "BR")


@pytest.mark.parametrize("written", ["11 3265 JOAO", "11 98765-4321 (João)", "11 98765-4321 ou 11 98765-4322"])
def test_letters_are_not_dialled(written: str) -> None:
    """Letters after a digit are refused, where the library would dial them as on a keypad and reach a stranger."""
    with pytest.raises(PhoneError, match="letters after its first digit"):
        normalise_phone(written, "BR")


@pytest.mark.parametrize(
    "written",
    [
        "",
        "-",
        "+",
        "n/a",
        "98765-4321",
        "11 8765-4321",
        "11 98765-432",
        "11 98765-43210",
        "14155552671",
        "11 98765-4321 / 11 98765-4322",
        "11 98765-4321 11 98765-4322",
        "00000000000",
        "+55",
        "+999 123456789",
        "1" * 9_000,
    ],
)
def test_numbers_that_cannot_be_called(written: str) -> None:
    """What is no valid number is refused with what to write instead, and never guessed into one."""
    with pytest.raises(PhoneError, match="not a valid telephone number; write it with its area code") as caught:
        normalise_phone(written, "BR")

    assert len(str(caught.value)) < 250


def test_a_long_text() -> None:
    """A text that is longer than any number is refused by its length, before any pattern walks over it."""
    with pytest.raises(PhoneError, match="more than 250 characters"):
        normalise_phone("a" + "1" * 9_000, "BR")


def test_a_hostile_text_stays_on_one_line_in_the_error() -> None:
    """The number is repeated in the error in its escaped form, so that it cannot forge lines of a report."""
    with pytest.raises(PhoneError) as caught:
        normalise_phone("12\n\x1b[2Jline 3: fine", "BR")

    assert str(caught.value).isprintable()


brazilian_mobiles = st.builds("{}9{:08d}".format, st.sampled_from([11, 21, 31, 47, 85, 99]), st.integers(0, 99_999_999))


@given(brazilian_mobiles)
def test_every_mobile_number_is_the_same_with_and_without_punctuation(national: str) -> None:
    """Punctuation, trunk prefix and country code change nothing, whatever the number."""
    area, first, last = national[:2], national[2:7], national[7:]
    forms = [f"({area}) {first}-{last}", f"0{area} {first} {last}", f"+55{national}", f"55{national}", national]

    assert {normalise_phone(form, "BR") for form in forms} == {f"+55{national}"}


phone_like = st.from_regex(r"\A[+0]{0,3}(55|54|52|1|39|351)?[0-9 ()-]{6,14}\Z")


@given(st.text() | phone_like, st.sampled_from(["BR", "PT", "US", "IT"]))
def test_whatever_is_read_is_in_normal_form(written: str, region: str) -> None:
    """Any text gives a number in E.164, which is read as itself in any region, or a PhoneError and nothing else."""
    try:
        phone = normalise_phone(written, region)
    except PhoneError:
        return

    assert re.fullmatch(r"\+[1-9][0-9]{6,14}", phone)
    assert normalise_phone(phone, "BR") == phone


def test_regions() -> None:
    """A region is two capital letters that have a numbering plan."""
    assert is_region("BR")
    assert not any(map(is_region, ["br", "XX", "", "BRA", "55"]))
