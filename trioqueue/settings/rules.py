"""What the value of a setting may be, and how it is shown without giving a secret away.

Each rule has its words, so that an error, the reference and the test itself cannot disagree.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
from typed_settings.constants import SECRET_REPR

from trioqueue.domain.budgets import BUDGET_WORDS, is_budget
from trioqueue.domain.phones import is_region
from trioqueue.domain.screening import ScreeningRule


@attrs.frozen
class Rule:
    """What a setting may be.

    Attributes:
        words: The rule in words, to follow "allowed is".
        holds: Whether a value of the setting's type, or of any other, keeps the rule.
    """

    words: str
    holds: Callable[[Any], bool]


def whole(low: int, high: int) -> Rule:
    """A whole number from `low` to `high`."""
    return Rule(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


def seconds(low: float, high: float) -> Rule:
    """A number of seconds from `low` to `high`."""
    return Rule(
        f"a number of seconds from {plain_number(low)} to {plain_number(high)}",
        lambda value: type(value) in (int, float) and low <= value <= high,
    )


def one_of(kind: type[StrEnum]) -> Rule:
    """A member of an enumeration."""
    return Rule(f"one of {', '.join(kind)}", lambda value: isinstance(value, kind))


def matching(words: str, pattern: str) -> Rule:
    """A text that matches the whole of a regular expression."""
    compiled = re.compile(pattern)
    return Rule(words, lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None)


def each(rule: Rule) -> Rule:
    """A list of which every item keeps a rule, none twice."""
    return Rule(
        f"{rule.words}, each once, with commas between",
        lambda value: type(value) is tuple and len(set(value)) == len(value) and all(map(rule.holds, value)),
    )


def plain_number(value: float) -> str:
    """A finite number without the .0 of a whole one."""
    return str(int(value)) if value == int(value) else str(value)


def _is_http_address(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"https?://[!-~]+", value) or re.search(r"[@?#\\]", value):
        return False
    try:
        parts = urlsplit(value)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_database_url(value: object) -> bool:
    parts = re.fullmatch(_DATABASE_URL, value) if isinstance(value, str) else None
    if parts is None:
        return False
    ports = re.findall(r":([0-9]*)(?=,|$)", parts["hosts"])
    ports += [port for name, port in parse_qsl((parts["query"] or "?")[1:]) if name == "port"]
    return all(map(_is_port, ",".join(ports).split(",")))


def _is_port(text: str) -> bool:
    """Whether a port is one, or empty for the usual one."""
    return not text or (re.fullmatch(r"[0-9]{1,5}", text) is not None and 0 < int(text) < 65_536)


# libpq's grammar of connection URIs: a password may not hold a / and ends at the first @. Where another follows in the
# query, the first belongs to a password that is not encoded, and the rest of that would be shown.
_HOST: Final = r"(?:\[[0-9A-Fa-f:.%]+\]|[^:/?@,\[\]\s]*)(?::[0-9]*)?"
_DATABASE_URL: Final = (
    r"postgres(?:ql)?://(?:[^:/@\s]*(?::(?P<password>[^/@\s]*))?@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)(?:/[^?@\s]*)?(?P<query>\?[^@\s]*)?"
)

DATABASE: Final = Rule(
    "a URL such as postgresql://user:password@host:5432/database, with the reserved characters of its password "
    "percent-encoded and ports from 1 to 65535",
    _is_database_url,
)
# Anything else is refused by the HTTP client, with an error that repeats the key.
KEY: Final = matching("1 to 4096 printable ASCII characters without spaces", r"[!-~]{1,4096}")
# User, password and query may hold a secret, and addresses are shown.
ADDRESS: Final = Rule("an http:// or https:// URL without user, password, query and fragment", _is_http_address)
# PostgreSQL keeps names that start with pg_ for itself, and cuts longer ones off.
SCHEMA: Final = matching(
    "a name of at most 63 lower-case letters, digits and underscores that starts with no digit and not with pg_",
    r"(?!pg_)[a-z_][a-z0-9_]{0,62}",
)
REGION: Final = Rule(
    "a region's two letters in capitals, such as BR", lambda value: isinstance(value, str) and is_region(value)
)
MODEL: Final = matching("names of models without spaces and commas", r"[^\s,]{1,200}")
SCREENING_RULE: Final = Rule(f"any of {', '.join(ScreeningRule)}", lambda value: isinstance(value, ScreeningRule))
PATH: Final = Rule("a path", lambda value: isinstance(value, Path) and "\0" not in str(value))
DOLLARS: Final = Rule(BUDGET_WORDS, lambda value: isinstance(value, Decimal) and is_budget(value))
YES_OR_NO: Final = Rule("true or false", lambda value: isinstance(value, bool))


def mask_database_url(url: str) -> str:
    """The URL with its password, and any parameter that may be a secret, masked; all of it when it is not one."""
    parts = re.fullmatch(_DATABASE_URL, url)
    if parts is None:
        return SECRET_REPR
    start, end = parts.span("password")
    query = parts["query"] or ""
    shown = url.removesuffix(query)
    if start >= 0:
        shown = shown[:start] + SECRET_REPR + shown[end:]
    return shown + "&".join(map(_masked_parameter, query.split("&")))


def _masked_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    secret = re.search("password|secret|key", unquote(name), re.IGNORECASE)
    return f"{name}={SECRET_REPR}" if equals and secret else parameter


def repeat_refused(value: object) -> str:
    """A refused value for an error, without what may be a user, a password or a token in an address."""
    text = re.sub(r"[^\s'\"]*@", f"{SECRET_REPR}@", repr(value)[:200])
    return re.sub(r"\?[^\s'\"]*", f"?{SECRET_REPR}", text)
