"""What a lead is, and how the cells of one row of a table become one.

Cells are hostile input: they are cleaned of what PostgreSQL refuses (NUL) and of other control characters, and
bounded in length. What a prompt must still escape is the concern of trioqueue/domain/prompts.py.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import attrs

from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.phones import PhoneError, normalise_phone
from trioqueue.domain.words import counted

PHONE_COLUMN: Final = "primary_phone"

LEAD_COLUMNS: Final = frozenset({"client_name", "company", "primary_email", PHONE_COLUMN, "primary_website"})
"""The columns with a meaning of their own; any other is a custom field."""

MAX_CELL_LENGTH: Final = 10_000
"""The most characters of a cell. A prompt takes far less; more is a file that is not what it claims to be."""

# Line feeds and tabs stay: an address may have several lines.
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class LeadsFileError(TrioqueueError):
    """A table of leads cannot be read at all: it is empty, or its header is not usable."""


@attrs.frozen
class Lead:
    """Someone to write to. None where nothing is known.

    Attributes:
        phone: The telephone number in E.164, such as `+5511987654321`.
        primary_phone: The same number as it was written.
        client_name: The person's name.
        company: Where the person works.
        primary_email: An e-mail address, not validated.
        primary_website: A web address, not validated.
        custom_fields: What else is known, by the name of its column; never an empty value.
    """

    phone: str
    primary_phone: str
    client_name: str | None = None
    company: str | None = None
    primary_email: str | None = None
    primary_website: str | None = None
    custom_fields: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class RowError:
    """A row that gives no lead.

    Attributes:
        line: The number of the row's first line in the file, from 1.
        reason: What is wrong and what to do, to follow "line N: ".
    """

    line: int
    reason: str


def clean_cell(cell: str) -> str:
    """The text of a cell: without control characters and surrounding white space, with line feeds for line ends."""
    if not cell.isprintable():
        cell = _CONTROL_CHARACTERS.sub("", cell.replace("\r\n", "\n").replace("\r", "\n"))
    return cell.strip()


def read_header(cells: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns, in order: those of a lead in lower case, others as written, "" for no name.

    Raises:
        LeadsFileError: There is no column `primary_phone`, two columns have the same name, or a name is too long.
    """
    names = tuple(_column_name(cell) for cell in cells)
    if any(len(name) > MAX_CELL_LENGTH for name in names):
        raise LeadsFileError(f"the header has a column name of more than {MAX_CELL_LENGTH:,} characters")
    if PHONE_COLUMN not in names:
        found = ", ".join(name for name in names if name)[:200]
        raise LeadsFileError(f"the header has no column {PHONE_COLUMN}; its columns are: {found}")
    uses = Counter(name.casefold() for name in names if name)
    if twice := [name for name, count in uses.items() if count > 1]:
        raise LeadsFileError(f"the header names a column twice: {', '.join(twice)[:200]}; rename one of them")
    return names


def read_row(names: Sequence[str], cells: Sequence[str], line: int, default_region: str) -> Lead | RowError:
    """The lead that a row describes, or why it describes none.

    Args:
        names: The names of the columns, from `read_header`.
        cells: The row's cells, as written.
        line: The number of the row's first line.
        default_region: The region of telephone numbers without country code.
    """
    if len(cells) != len(names):
        return RowError(line, f"has {counted(len(cells), 'cell')} where the header has {len(names)}")
    if max(map(len, cells)) > MAX_CELL_LENGTH:
        return RowError(line, f"has a cell of more than {MAX_CELL_LENGTH:,} characters")
    values = {name: text for name, cell in zip(names, cells, strict=True) if (text := clean_cell(cell))}
    if "" in values:
        return RowError(line, "has a value in a column without a name; name the column or empty it")
    written = values.pop(PHONE_COLUMN, None)
    if written is None:
        return RowError(line, f"{PHONE_COLUMN} is empty")
    try:
        phone = normalise_phone(written, default_region)
    except PhoneError as error:
        return RowError(line, f"{PHONE_COLUMN} {error}")
    return Lead(
        phone,
        written,
        values.pop("client_name", None),
        values.pop("company", None),
        values.pop("primary_email", None),
        values.pop("primary_website", None),
        values,
    )


def _column_name(cell: str) -> str:
    name = " ".join(clean_cell(cell).split())
    return name.lower() if name.lower() in LEAD_COLUMNS else name
