"""Builds the answers to a split request: how a text is well cut, and what each `SplitShape` makes of it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from trioqueue.simulator.split_shapes import SplitShape

_POSSIBLE_END: Final = re.compile(r"[.!?…]\s+|\n\s*")
_ADDRESS: Final = re.compile(r"https?://\S{3,}")
_NUMBER: Final = re.compile(r"\d[.,]\d")
_BOLD: Final = re.compile(r"\*[^*\n]*\S \S[^*\n]*\*")
_WORD: Final = re.compile(r"\w\w")
_EMOJI: Final = re.compile("[\U0001f300-\U0001faff][\U0001f3fb-\U0001f3ff\u200d\ufe0f]")

OPEN_BRACKETS: Final = 20_000
MEGABYTE: Final = 1_000_000


@attrs.frozen
class Cut:
    """A text and the parts into which it is well cut."""

    text: str
    parts: Sequence[str]


def well_cut(text: str, max_parts: int) -> Cut:
    """Cut a text at sentence and paragraph ends into at most `max_parts` parts of similar length."""
    parts: list[str] = []
    begin = 0
    stripped = text.strip() or text
    for end, next_begin in _sentence_ends(stripped):
        if len(parts) < max_parts - 1 and end >= len(stripped) * (len(parts) + 1) / max_parts:
            parts.append(stripped[begin:end])
            begin = next_begin
    return Cut(text, [*parts, stripped[begin:]])


def shaped(shape: SplitShape, cut: Cut) -> str:
    """The content of an answer of this shape."""
    return _SHAPES[shape](cut)


def _sentence_ends(text: str) -> Iterator[tuple[int, int]]:
    """Where each sentence ends and the next one begins; "1. " begins the item of a list."""
    for found in _POSSIBLE_END.finditer(text):
        at = found.start()
        if text[at] == "\n":
            yield at, found.end()
        elif at > 0 and not text[at - 1].isdigit():
            yield at + 1, found.end()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _messages(parts: Sequence[Any]) -> str:
    return _json({"messages": parts})


def _halves(parts: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    middle = (len(parts) + 1) // 2
    return parts[:middle], parts[middle:]


def _plain(cut: Cut) -> str:
    return _messages(cut.parts)


def _two_objects(cut: Cut) -> str:
    first, second = _halves(cut.parts)
    return _messages(first) + "\n" + _messages(second)


def _example_first(cut: Cut) -> str:
    return f"Formato: {_messages(['primeira parte', 'segunda parte'])}\n\nResposta:\n{_plain(cut)}"


def _thinking(cut: Cut) -> str:
    draft = _messages([part[: len(part) // 2] for part in cut.parts])
    return f"<think>\nUm rascunho: {draft}. Melhor manter o texto inteiro.\n</think>\n{_plain(cut)}"


def _unclosed_thinking(cut: Cut) -> str:
    return _thinking(cut).partition("</think>")[0]


def _truncated(cut: Cut) -> str:
    return _plain(cut)[: -len('"]}') - len(cut.parts[-1]) // 2]


def _ends_in_escape(cut: Cut) -> str:
    return _truncated(cut).rstrip("\\") + "\\"


def _raw_newline(cut: Cut) -> str:
    whole = _json(cut.text)
    with_line_feeds = whole.replace("\\n", "\n") if "\\n" in whole else whole.replace(" ", "\n", 1)
    return f'{{"messages": [{with_line_feeds}]}}'


def _unescaped_quotes(cut: Cut) -> str:
    text = cut.text if '"' in cut.text else re.sub(r"(\w+)", r'"\1"', cut.text, count=1)
    return _messages([text]).replace('\\"', '"')


def _curly_quotes(cut: Cut) -> str:
    parts = ", ".join(f"“{part}”" for part in cut.parts)
    return f"{{“messages”: [{parts}]}}"


def _single_quotes(cut: Cut) -> str:
    parts = ", ".join(f"'{part}'" for part in cut.parts)
    return f"{{'messages': [{parts}]}}".replace('"', "'")


def _missing_comma(cut: Cut) -> str:
    return '{"messages": [' + "\n".join(_json(part) for part in _at_least_two(cut)) + "]}"


def _duplicate_key(cut: Cut) -> str:
    first, second = _halves(cut.parts)
    return f'{{"messages": {_json(first)}, "messages": {_json(second)}}}'


def _other_keys(cut: Cut) -> str:
    return _json({"status": "ok", "data": {"partes": cut.parts}})


def _literal_newlines(cut: Cut) -> str:
    return _messages([cut.text.replace("\n", "\\n") if "\n" in cut.text else cut.text.replace(" ", "\\n", 1)])


def _too_many(cut: Cut) -> str:
    return _messages(cut.text.split())


def _cut_in_word(cut: Cut) -> str:
    for pattern in (_ADDRESS, _EMOJI, _NUMBER):
        if found := pattern.search(cut.text):
            return _messages(_cut_at(cut.text, (found.start() + found.end()) // 2))
    middle = len(cut.text) // 2
    in_word = _WORD.search(cut.text, middle)
    return _messages(_cut_at(cut.text, in_word.start() + 1 if in_word else middle))


def _cut_in_bold(cut: Cut) -> str:
    if found := _BOLD.search(cut.text):
        return _messages(_cut_at(cut.text, cut.text.index(" ", found.start())))
    return _messages(_at_least_two(cut))


def _cut_at(text: str, place: int) -> list[str]:
    return [text[:place], text[place:]]


def _at_least_two(cut: Cut) -> Sequence[str]:
    return cut.parts if len(cut.parts) > 1 else cut.text.split(maxsplit=1) or [cut.text]


def _counters(cut: Cut) -> str:
    return _messages([f"{number}/{len(cut.parts)} {part}" for number, part in enumerate(cut.parts, 1)])


def _number_changed(cut: Cut) -> str:
    changed = _NUMBER.sub(lambda found: found[0][0] + found[0][2], cut.text, count=1)
    return _messages([changed if changed != cut.text else re.sub(r"\w+", "outro", cut.text, count=1)])


def _word_dropped(cut: Cut) -> str:
    dropped = re.sub(r"\bnão\b ?", "", cut.text, count=1)
    if dropped == cut.text:
        dropped = re.sub(r"\w+ ?", "", cut.text, count=1)
    return _messages([dropped])


def _end_missing(cut: Cut) -> str:
    text = cut.text.strip()
    ends = [end for end, _ in _sentence_ends(text)]
    return _messages([text[: ends[-1]] if ends else text.rpartition(" ")[0]])


def _part_repeated(cut: Cut) -> str:
    return _messages([*cut.parts, cut.parts[-1]])


def _parts_moved(cut: Cut) -> str:
    first, *rest = _at_least_two(cut)
    return _messages([*rest, first])


def _translated(cut: Cut) -> str:
    return _messages(["Hi! I have prepared a proposal for you.", "Shall we talk this week?"][: len(cut.parts)])


def _improved(cut: Cut) -> str:
    return _messages([f"Espero que esteja muito bem! {cut.parts[0]}", *cut.parts[1:]])


_Shaping: TypeAlias = Callable[[Cut], str]

_SHAPES: Final[Mapping[SplitShape, _Shaping]] = {
    SplitShape.PLAIN: _plain,
    SplitShape.FENCED: lambda cut: f"```json\n{_plain(cut)}\n```",
    SplitShape.PROSE_AROUND: lambda cut: f"Claro! Aqui está:\n\n{_plain(cut)}\n\nPosso ajudar em algo mais?",
    SplitShape.EXAMPLE_FIRST: _example_first,
    SplitShape.TWO_OBJECTS: _two_objects,
    SplitShape.THINKING: _thinking,
    SplitShape.UNCLOSED_THINKING: _unclosed_thinking,
    SplitShape.TRUNCATED: _truncated,
    SplitShape.ENDS_IN_ESCAPE: _ends_in_escape,
    SplitShape.RAW_NEWLINE: _raw_newline,
    SplitShape.UNESCAPED_QUOTES: _unescaped_quotes,
    SplitShape.CURLY_QUOTES: _curly_quotes,
    SplitShape.SINGLE_QUOTES: _single_quotes,
    SplitShape.TRAILING_COMMA: lambda cut: _plain(cut)[: -len("]}")] + ",]}",
    SplitShape.MISSING_COMMA: _missing_comma,
    SplitShape.DUPLICATE_KEY: _duplicate_key,
    SplitShape.OBJECTS: lambda cut: _messages([{"text": part} for part in cut.parts]),
    SplitShape.BARE_LIST: lambda cut: _json(cut.parts),
    SplitShape.STRING_OF_LIST: lambda cut: _json({"messages": _json(cut.parts)}),
    SplitShape.DOUBLE_ENCODED: lambda cut: _json(_plain(cut)),
    SplitShape.OTHER_KEYS: _other_keys,
    SplitShape.ONE_STRING: lambda cut: _json({"messages": cut.text}),
    SplitShape.INVISIBLE_PREFIX: lambda cut: f"\ufeff\u200b{_plain(cut)}",
    SplitShape.LITERAL_NEWLINES: _literal_newlines,
    SplitShape.NUL: lambda cut: _messages([f"{part}\0" for part in cut.parts]),
    SplitShape.LONE_SURROGATE: lambda cut: _plain(cut)[: -len('"]}')] + '\\ud83d"]}',
    SplitShape.NOT_STRINGS: lambda cut: _messages([*cut.parts, 1, None, True]),
    SplitShape.NOT_A_NUMBER: lambda cut: _messages([*cut.parts, float("nan")]),
    SplitShape.EMPTY_LIST: lambda _: _messages([]),
    SplitShape.EMPTY_PART: lambda cut: _messages([*cut.parts, ""]),
    SplitShape.INVISIBLE_PART: lambda cut: _messages([*cut.parts, "\u200b\u2060"]),
    SplitShape.TOO_MANY: _too_many,
    SplitShape.PROSE: lambda cut: f"Eu dividiria assim: primeiro {cut.parts[0]} Depois o resto.",
    SplitShape.OPEN_BRACKETS: lambda _: "[" * OPEN_BRACKETS,
    SplitShape.MEGABYTE: lambda cut: (_plain(cut) * (MEGABYTE // len(_plain(cut)) + 1))[:MEGABYTE],
    SplitShape.REFUSAL_IN_PROSE: lambda _: "Desculpe, não posso ajudar com isso.",
    SplitShape.CUT_IN_WORD: _cut_in_word,
    SplitShape.CUT_IN_BOLD: _cut_in_bold,
    SplitShape.COUNTERS: _counters,
    SplitShape.NUMBER_CHANGED: _number_changed,
    SplitShape.WORD_DROPPED: _word_dropped,
    SplitShape.END_MISSING: _end_missing,
    SplitShape.PART_REPEATED: _part_repeated,
    SplitShape.PARTS_MOVED: _parts_moved,
    SplitShape.TRANSLATED: _translated,
    SplitShape.IMPROVED: _improved,
}
