"""Reads leads from a CSV file, a line at a time, as spreadsheets write such files.

The delimiter is a comma, a semicolon (Excel in Brazil) or a tab, told by the header; the text is UTF-8 with or
without a byte order mark. One bad row never costs another: each is reported with the number of its first line.
Quotes are read strictly. Read leniently, a quote that is not closed would swallow the rows after it in silence.
"""

import codecs
import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

import attrs

from trioqueue.domain.leads import PHONE_COLUMN, Lead, LeadsFileError, RowError, clean_cell, read_header, read_row

_DELIMITERS: Final = ",;\t"

_EMPTY: Final = "the file is empty; its first line must name the columns"

_NOT_UTF_8: Final = "is not UTF-8; save the file as CSV UTF-8"


class _Row(NamedTuple):
    """The number of a row's first line, and its cells."""

    line: int
    cells: list[str]


@attrs.frozen
class Duplicate:
    """A row whose telephone number an earlier row has; the earlier one is the lead.

    Attributes:
        line: The row's first line.
        first_line: The first line of the earlier row.
        phone: The number, in E.164.
    """

    line: int
    first_line: int
    phone: str


@attrs.frozen
class LeadsFile:
    """What a file of leads holds, each in the order of the file."""

    leads: list[Lead]
    errors: list[RowError]
    duplicates: list[Duplicate]


def read_leads(lines: Iterable[bytes], default_region: str) -> LeadsFile:
    r"""Read a CSV file of leads.

    Args:
        lines: The file, such as an open binary file, in pieces of any length. Lines end with \n, \r\n or \r.
        default_region: The region of telephone numbers without country code, such as `BR`.

    Raises:
        LeadsFileError: The file as a whole cannot be used: it is empty, not UTF-8, or its header is not usable.
    """
    physical = _physical_lines(lines)
    blank, header = _first_line(physical)
    source = _DecodedLines(chain([header], physical), count=blank)
    rows = _rows(csv.reader(source, delimiter=_delimiter(header), strict=True), source)
    names = _header(rows)
    leads: list[Lead] = []
    errors: list[RowError] = []
    duplicates: list[Duplicate] = []
    first_lines: dict[str, int] = {}
    for row in rows:
        outcome = row if isinstance(row, RowError) else read_row(names, row.cells, row.line, default_region)
        if isinstance(outcome, RowError):
            errors.append(outcome)
            continue
        first_line = first_lines.setdefault(outcome.phone, row.line)
        if first_line == row.line:
            leads.append(outcome)
        else:
            duplicates.append(Duplicate(row.line, first_line, outcome.phone))
    return LeadsFile(leads, errors, duplicates)


class _DecodedLines:
    """An iterator of lines as text that knows how many were read, and whether one of them was not UTF-8."""

    def __init__(self, lines: Iterator[bytes], count: int) -> None:
        self._lines = lines
        self.count = count
        self.undecodable = False

    def __iter__(self) -> "_DecodedLines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.count += 1
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.undecodable = True
            return line.decode(errors="replace")


def _physical_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut pieces of any length into lines, each with its end."""
    carried = b""
    for piece in pieces:
        lines = (carried + piece).splitlines(keepends=True)
        # A \r at the end of a piece may be the first half of \r\n.
        carried = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        yield from lines
    if carried:
        yield carried


def _first_line(lines: Iterator[bytes]) -> tuple[int, bytes]:
    """How many blank lines there are at the start, and the line after them; without the byte order mark."""
    for count, line in enumerate(lines):
        if count == 0 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise LeadsFileError("the file is UTF-16; save it as CSV UTF-8")
        text = line if count else line.removeprefix(codecs.BOM_UTF8)
        if text.strip(b" \t\r\n,;"):
            return count, text
    raise LeadsFileError(_EMPTY)


def _delimiter(header: bytes) -> str:
    """The delimiter that gives the header a column primary_phone, and of those the one that gives most columns."""

    def quality(delimiter: str) -> tuple[bool, int]:
        names = [clean_cell(name).strip('" ').lower() for name in header.decode(errors="replace").split(delimiter)]
        return PHONE_COLUMN in names, len(names)

    return max(_DELIMITERS, key=quality)


def _rows(reader: Iterator[list[str]], source: _DecodedLines) -> Iterator[_Row | RowError]:
    """The rows that are not blank, and those that cannot be read; reading goes on at the next line after either."""
    while True:
        source.undecodable = False
        first = source.count + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield RowError(first, _malformed(error, first, source.count))
            continue
        if source.undecodable:
            yield RowError(first, _NOT_UTF_8)
        elif any(map(clean_cell, cells)):
            yield _Row(first, cells)


def _malformed(error: csv.Error, first: int, last: int) -> str:
    lost = f"; nothing was read of lines {first} to {last}" if last > first else ""
    return f"is not valid CSV, check its quotes and the length of its cells ({error}){lost}"


def _header(rows: Iterator[_Row | RowError]) -> tuple[str, ...]:
    header = next(rows, None)
    if header is None:
        raise LeadsFileError(_EMPTY)
    if isinstance(header, RowError):
        raise LeadsFileError(f"the header, line {header.line}, {header.reason}")
    return read_header(header.cells)
