"""Leads read from CSV files as spreadsheets write them."""

import csv
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.leads import Lead, LeadsFileError, RowError
from trioqueue.domain.leads_csv import Duplicate, LeadsFile, read_leads

HEADER = b"client_name,company,primary_email,primary_phone,primary_website\n"
ANA = b"Ana,Padaria,ana@example.com,(11) 98765-4321,https://padaria.example.com\n"
BIA = b"Bia,,,(11) 98765-4322,\n"


def read(*lines: bytes) -> LeadsFile:
    """The file of these pieces, with Brazilian telephone numbers."""
    return read_leads(lines, "BR")


def test_a_lead() -> None:
    """Every column of a lead is read; the telephone number is kept as written and in E.164."""
    found = read(HEADER, ANA)

    assert found.leads == [
        Lead(
            client_name="Ana",
            company="Padaria",
            primary_email="ana@example.com",
            primary_phone="(11) 98765-4321",
            phone="+5511987654321",
            primary_website="https://padaria.example.com",
            custom_fields={},
        )
    ]
    assert not found.errors
    assert not found.duplicates


def test_other_columns_are_custom_fields() -> None:
    """A column that is none of a lead's becomes a custom field by its name as written; empty ones are left out."""
    found = read(b"Segmento,deal_value,primary_phone,tags\n", b"varejo,1000,11987654321,\n")

    assert found.leads[0].custom_fields == {"Segmento": "varejo", "deal_value": "1000"}


def test_empty_cells_are_none() -> None:
    """An empty cell, or one of white space, is nothing known."""
    found = read(HEADER, b"  ,,\t,11987654321,\n")

    assert found.leads == [Lead(phone="+5511987654321", primary_phone="11987654321")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters(delimiter: str) -> None:
    """Comma, semicolon (Excel in Brazil) and tab are told apart by the header."""
    header = delimiter.join(["client_name", "primary_phone", "notes"])
    row = delimiter.join(["Ana", "11987654321", '"1,5; 2\t3"'])

    found = read(f"{header}\n".encode(), f"{row}\n".encode())

    assert found.leads[0].custom_fields == {"notes": "1,5; 2\t3"}


def test_the_delimiter_is_the_one_that_gives_the_telephone_column() -> None:
    """A header with more commas than semicolons is still one of semicolons when only they give primary_phone."""
    found = read(b'"a,b,c,d";primary_phone\n', b"x;11987654321\n")

    assert found.leads[0].custom_fields == {"a,b,c,d": "x"}


def test_a_file_of_numbers_alone() -> None:
    """One column is enough, and it has no delimiter at all."""
    found = read(b"primary_phone\n", b"11987654321\n", b"(11) 98765-4322\n")

    assert [lead.phone for lead in found.leads] == ["+5511987654321", "+5511987654322"]


def test_header_names_are_trimmed_and_any_case() -> None:
    """The header's names match without regard to case, surrounding spaces, quotes and the byte order mark."""
    found = read(b'\xef\xbb\xbf"Client_Name ", PRIMARY_PHONE ,My  Field\n', b"Ana,11987654321,x\n")

    assert found.leads[0].client_name == "Ana"
    assert found.leads[0].custom_fields == {"My Field": "x"}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_line_ends_and_pieces(end: bytes, size: int) -> None:
    """The file may come in pieces of any length, with the line ends of any system."""
    whole = (HEADER + ANA + b'"Bia\nSouza",,,11987654322,\n' + b"x\n").replace(b"\n", end)

    found = read(*(whole[start : start + size] for start in range(0, len(whole), size)))

    assert [lead.client_name for lead in found.leads] == ["Ana", "Bia\nSouza"]
    assert found.errors == [RowError(5, "has 1 cell where the header has 5")]


def test_blank_lines_are_ignored_and_counted() -> None:
    """Blank lines, and rows of nothing but delimiters, are no rows; line numbers still are those of the file."""
    found = read(b"\n", b";;;;\n", HEADER, b"\n", b",,,,\n", b" , ,,,\n", BIA, b"bad\n", b"\n")

    assert [lead.client_name for lead in found.leads] == ["Bia"]
    assert [error.line for error in found.errors] == [8]


def test_the_same_number_twice_is_one_lead() -> None:
    """The first row of a number wins; each later one is told with both line numbers, however it writes it."""
    found = read(HEADER, ANA, BIA, b"Ana Maria,,,+55 11 98765-4321,\n", b"A,,,5511987654321,\n")

    assert [lead.client_name for lead in found.leads] == ["Ana", "Bia"]
    assert found.duplicates == [Duplicate(4, 2, "+5511987654321"), Duplicate(5, 2, "+5511987654321")]


def test_control_characters_are_removed() -> None:
    """NUL, which PostgreSQL refuses, and other control characters go; line feeds and tabs stay."""
    found = read(HEADER, b'"\x00 An\x1b[2Ja\x7f\xc2\x85 ","Rua\tA\r\nCasa 2",,11\x0098765\x004321,\n')

    assert found.leads[0].client_name == "An[2Ja"
    assert found.leads[0].company == "Rua\tA\nCasa 2"
    assert found.leads[0].phone == "+5511987654321"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"Ana,,,,\n", "primary_phone is empty"),
        (b"Ana,,,123,\n", "primary_phone '123' is not a valid telephone number"),
        (b'Ana,,,"5,51199E+12",\n', "rounded by a spreadsheet"),
        (b"Ana,,,11987654321\n", "has 4 cells where the header has 5"),
        (b"Ana,,,11987654321,,\n", "has 6 cells where the header has 5"),
        (b"Jo\xe3o,,,11987654321,\n", "is not UTF-8; save the file as CSV UTF-8"),
        (b"Ana," + b"x" * 10_001 + b",,11987654321,\n", "has a cell of more than 10,000 characters"),
        (b"Ana," + b"x" * 200_000 + b",,11987654321,\n", "the length of its cells"),
        (b'"Ana "Bia"",,,11987654321,\n', "check its quotes"),
    ],
)
def test_bad_rows(row: bytes, reason: str) -> None:
    """A bad row is reported with its line and reason, and the rows around it are read."""
    found = read(HEADER, ANA, row, BIA)

    assert [lead.client_name for lead in found.leads] == ["Ana", "Bia"]
    assert [error.line for error in found.errors] == [3]
    assert reason in found.errors[0].reason


def test_a_cell_of_the_longest_allowed_length() -> None:
    """A cell of 10,000 characters is not too long."""
    found = read(HEADER, b"Ana," + b"x" * 10_000 + b",,11987654321,\n")

    assert len(found.leads[0].company or "") == 10_000


def test_the_line_of_a_row_is_its_first() -> None:
    """A row over several lines is reported by the line that it starts on, also when a later one is not UTF-8."""
    found = read(HEADER, b'"a\n', b'b",,,1,\n', b'"a\n', b'\xff",,,11987654321,\n', BIA)

    assert [error.line for error in found.errors] == [2, 4]
    assert "UTF-8" in found.errors[1].reason
    assert len(found.leads) == 1


def test_a_quote_that_is_not_closed_says_what_it_swallowed() -> None:
    """Rows lost in an open quote are named, and reading goes on after them."""
    found = read(HEADER, b'"Ana,,,11987654321,\n', BIA, b'"Caio",,,11987654323,\n', ANA)

    assert [(error.line, "nothing was read of lines 2 to 4" in error.reason) for error in found.errors] == [(2, True)]
    assert [lead.client_name for lead in found.leads] == ["Ana"]


def test_a_quote_open_at_the_end_of_the_file() -> None:
    """A file that ends inside a quote has lost its last rows, which is said and not read as a lead."""
    [error] = read(HEADER, ANA, b'"Bia,,,11987654322,\n', b"Caio,,,11987654323,\n").errors

    assert error.line == 3
    assert "nothing was read of lines 3 to 4" in error.reason


def test_an_endless_quote_is_given_up() -> None:
    """A quote that swallows a large file is given up after a bounded number of characters; the rest is read."""
    rows = (b"Ana,,,%011d,\n" % (11_900_000_000 + number) for number in range(20_000))
    found = read_leads(itertools.chain([HEADER, b'"'], rows), "BR")

    assert [error.line for error in found.errors] == [2]
    assert len(found.leads) > 10_000


def test_a_column_without_a_name() -> None:
    """A nameless column, as a delimiter at the end of each line makes it, may be there but hold nothing."""
    found = read(b"primary_phone;;\n", b"11987654321;;\n", b"11987654322;;x\n")

    assert len(found.leads) == 1
    assert found.errors == [RowError(3, "has a value in a column without a name; name the column or empty it")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n\r\n  \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\x00\n", "empty"),
        (b"\xc2\xa0\n", "empty"),
        (b"name,phone\nAna,11987654321\n", "no column primary_phone; its columns are: name, phone"),
        (b"11987654321\n", "no column primary_phone"),
        (b"primary_phone,x,Primary_Phone\n", "names a column twice: primary_phone"),
        (b"primary_phone,Tag,tag\n", "names a column twice: tag"),
        (b"primary_phone,endere\xe7o\n", "line 1, is not UTF-8"),
        (b'primary_phone,"x\n', "line 1, is not valid CSV"),
        (b"primary_phone," + b"x" * 10_001, "more than 10,000 characters"),
        ("primary_phone\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_files_that_cannot_be_used(content: bytes, reason: str) -> None:
    """A file without a usable header is refused as a whole, with what is wrong."""
    with pytest.raises(LeadsFileError, match=reason):
        read(content)


def test_a_header_alone_is_a_file_without_leads() -> None:
    """A header without rows is no error of the file."""
    assert read(HEADER) == LeadsFile([], [], [])


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from(',;\t"\n'), max_size=20)


@given(
    rows=st.lists(st.tuples(cells, cells, st.integers(0, 99_999_999)), max_size=8),
    delimiter=st.sampled_from(",;\t"),
    ends=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    size=st.integers(1, 50),
)
def test_what_is_written_is_read(
    rows: list[tuple[str, str, int]], delimiter: str, ends: str, bom: bool, size: int
) -> None:
    """Rows written by the csv module, with any text in them, come back as they were but for surrounding space."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ends)
    writer.writerow(["client_name", "primary_phone", "notes"])
    writer.writerows([name, f"119{number:08d}", notes] for name, notes, number in rows)
    content = text.getvalue().encode("utf-8-sig" if bom else "utf-8")

    found = read(*(content[start : start + size] for start in range(0, len(content), size)))

    first = {number: (name.strip() or None, notes.strip()) for name, notes, number in reversed(rows)}
    assert not found.errors
    assert {lead.phone: (lead.client_name, lead.custom_fields.get("notes", "")) for lead in found.leads} == {
        f"+55119{number:08d}": values for number, values in first.items()
    }
    assert len(found.leads) + len(found.duplicates) == len(rows)


fragments = st.binary(max_size=40) | st.sampled_from(
    [b'"', b",", b";", b"\n", b"\r", b"\x00", b"\xff", b"11987654321", b"primary_phone", HEADER, ANA]
)


@given(st.lists(fragments, max_size=12), st.booleans())
def test_any_bytes_are_read_or_refused(pieces: list[bytes], with_header: bool) -> None:
    """No file whatever raises anything but LeadsFileError, and every error names a line of the file."""
    content = [HEADER, *pieces] if with_header else pieces
    try:
        found = read(*content)
    except LeadsFileError:
        return

    lines = len(b"".join(content).splitlines())
    assert all(2 <= error.line <= lines and error.reason.isprintable() for error in found.errors)
    assert len({lead.phone for lead in found.leads}) == len(found.leads)
