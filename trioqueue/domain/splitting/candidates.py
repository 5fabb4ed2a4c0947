"""Reads what a model returned into lists of strings that may be the parts.

Models wrap the JSON that they were asked for in prose, fences and thoughts, rename its keys, nest it, encode it twice
and get its commas and quotes wrong. All that is read, and nothing is decided: whether a list is the text is for
faithfulness to say. Left out is only what can never be right: JSON that is cut off, a repeated key, a list with
anything but strings, a part that is invisible or holds a NUL or half a surrogate pair.

The repairs are a few regular expressions, each linear. json-repair (0.64) takes quadratic time, 9 s for 32 kB of
unescaped quotes, and completes strings that were cut off.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, NoReturn, TypeAlias

import regex

from trioqueue.domain.splitting.characters import BLANKS, is_visible

LONGEST_ANSWER: Final = 20_000
"""Characters; a longer answer is not read. The longest text has 5,000, and 1,000 tokens (SPEC section 6) hold less."""

_DEEPEST: Final = 12
"""Open brackets; what is nested deeper is no list of parts."""

_MOST_VALUES: Final = 20
"""JSON values read from one text: drafts, examples, or one object for each part."""

_MOST_LISTS: Final = 100
"""Lists taken from one reading of the answer."""

Parts: TypeAlias = tuple[str, ...]

_THOUGHT_ENDS: Final = regex.compile(r"(?i)</(?:think|thinking|thought|reasoning)>")
_THOUGHT_STARTS: Final = regex.compile(r"(?i)<(?:think|thinking|thought|reasoning)>")

_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
"""A JSON string, to its closing quote or to the end of the answer. It always matches: nothing is scanned twice."""

_OPENING: Final = regex.compile(r'[\[{](?=\s*+["“\[{\]}])')
_STRUCTURE: Final = regex.compile(rf"(?P<bracket>[\[\]{{}}])|{_STRING}", regex.DOTALL)

_COMMAS: Final = regex.compile(
    rf'(?P<trailing>,(?=\s*+[\]}}]))|(?:{_STRING}|[\]}}])(?P<missing>(?=\s*+["\[{{]))?', regex.DOTALL
)
_INNER_QUOTE: Final = regex.compile(
    r'(?<!\\|[\[{]\s*|"\s*[,:]\s*)"'  # opens no string,
    r'(?!\s*+(?:[\]}]|,\s*+["\[{\]}]|:\s*+["\[{]))'  # and closes none
)
_CURLY_TO_STRAIGHT: Final = str.maketrans(dict.fromkeys("“”„‟", '"'))
_LITERAL_BREAK: Final = regex.compile(r"\\[nrt]")
_NEVER_SENT: Final = regex.compile(r"[\0\uD800-\uDFFF]")


def candidates(answer: str) -> Iterator[Parts]:
    """The lists of strings found in an answer, the likeliest first, each of them of visible, sendable strings.

    The answer is read as it stands before it is repaired, and the last of several JSON values before earlier ones:
    drafts and examples come first.
    """
    if len(answer) > LONGEST_ANSWER:
        return
    said = _without_thoughts(answer)
    for parts in chain.from_iterable(islice(_lists_said(version), _MOST_LISTS) for version in _versions(said)):
        if parts and all(is_visible(part) and not _NEVER_SENT.search(part) for part in parts):
            yield parts
            if any(_LITERAL_BREAK.search(part) for part in parts):
                yield tuple(_LITERAL_BREAK.sub("\n", part) for part in parts)


def _without_thoughts(answer: str) -> str:
    """What follows the model's thoughts; nothing when they do not end."""
    said = _THOUGHT_ENDS.split(answer)[-1]
    return "" if _THOUGHT_STARTS.match(said.lstrip(BLANKS)) else said


def _versions(said: str) -> Iterator[str]:
    """The answer, and what it may have been meant to be where that is something else."""
    yielded: set[str] = set()
    for repair in _REPAIRS:
        version = repair(said)
        if version not in yielded:
            yielded.add(version)
            yield version


def _with_commas(said: str) -> str:
    def repaired(match: regex.Match[str]) -> str:
        if match["trailing"]:
            return ""
        return match[0] if match["missing"] is None else match[0] + ","

    return _COMMAS.sub(repaired, said)


def _with_inner_quotes_escaped(said: str) -> str:
    return _INNER_QUOTE.sub(r'\\"', said)


_REPAIRS: Final[Sequence[Callable[[str], str]]] = (
    lambda said: said,
    _with_commas,
    lambda said: _with_commas(_with_inner_quotes_escaped(said)),
    lambda said: _with_commas(_with_inner_quotes_escaped(said.translate(_CURLY_TO_STRAIGHT))),
)


def _lists_said(said: str) -> Iterator[Parts]:
    whole = said.strip(BLANKS)
    values = list(_values(_decoded(whole) if whole.startswith('"') else said))
    yield from _lists_of_each(reversed(values), encoded=False)
    if len(values) > 1:
        yield tuple(chain.from_iterable(next(_lists(value), ()) for value in values))


def _values(said: str) -> Iterator[Any]:
    """The JSON objects and arrays in a text, of which nothing is read after one that is cut off."""
    place = 0
    for _ in range(_MOST_VALUES):
        opening = _OPENING.search(said, place)
        end = _end_of_value(said, opening.start()) if opening else None
        if opening is None or end is None:
            return
        value = _parsed(said[opening.start() : end])
        if value is not None:
            yield value
        place = end


def _end_of_value(said: str, start: int) -> int | None:
    """Where the value that starts with a bracket ends; None when it is cut off or nested too deep."""
    depth = 0
    for found in _STRUCTURE.finditer(said, start):
        if found["bracket"] is None:
            continue
        depth += 1 if found["bracket"] in "[{" else -1
        if depth == 0:
            return found.end()
        if depth > _DEEPEST:
            break
    return None


def _lists(value: Any, *, encoded: bool = False) -> Iterator[Parts]:
    """The lists of strings in a JSON value; `encoded` says that it was itself read from a string."""
    match value:
        case str():
            yield (value,)
            if not encoded:
                yield from _lists_of_each(_values(value), encoded=True)
        case list():
            texts = [_text_of(item) for item in value]
            if None not in texts:
                yield tuple(text for text in texts if text is not None)
            elif all(isinstance(item, list | dict) for item in value):
                yield from _lists_of_each(value, encoded=encoded)
        case dict():
            if len(value) > 1 and all(isinstance(item, str) for item in value.values()):
                yield tuple(value.values())
            yield from _lists_of_each(value.values(), encoded=encoded)
        case _:
            pass


def _lists_of_each(values: Iterable[Any], *, encoded: bool) -> Iterator[Parts]:
    return chain.from_iterable(_lists(value, encoded=encoded) for value in values)


def _text_of(item: Any) -> str | None:
    """The item of a list as a part: a string, or an object's "text" or only string."""
    if isinstance(item, str):
        return item
    if not isinstance(item, dict):
        return None
    strings = [value for value in item.values() if isinstance(value, str)]
    return item["text"] if isinstance(item.get("text"), str) else strings[0] if len(strings) == 1 else None


def _decoded(text: str) -> str:
    """The string that a JSON string encodes; nothing when it is none."""
    value = _parsed(text)
    return value if isinstance(value, str) else ""


def _parsed(text: str) -> Any:
    """The JSON value, None when it is not valid. Line feeds may stand unescaped in strings."""
    try:
        return _DECODER.decode(text)
    except ValueError:
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER: Final = json.JSONDecoder(strict=False, object_pairs_hook=_unique, parse_constant=_refused)
