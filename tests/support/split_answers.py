"""What models return when asked to split: a strategy for each kind of facts/split-corpus.md, 1 to 38.

Each kind makes answers from a message of which it is known how it is well cut, and says what must come of them: the
parts that the model's boundaries make, or None where the deterministic splitter has to cut.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs
from hypothesis import strategies as st

from tests.support.split_messages import (
    QUOTED,
    RESPELLINGS,
    WITH_ADDRESS,
    WITH_APOSTROPHE,
    WITH_BOLD,
    WITH_EMOJI,
    WITH_NO,
    WITH_THOUSANDS,
    Message,
    messages,
)


@attrs.frozen
class Answer:
    """What a model returned, and the parts that must come of it; None where the model's word does not count."""

    content: str
    parts: tuple[str, ...] | None


MakeAnswer: TypeAlias = Callable[[st.DrawFn, Message], Answer]

LAYOUTS = st.sampled_from([(ascii_only, indent) for indent in (None, 0, 2, "\t") for ascii_only in (False, True)])
PROSE = st.sampled_from(
    (
        "",
        "Claro! Aqui está:\n\n",
        "Here's the split [as asked], 3 parts:",
        "Dividi em {n} partes 😊 e não mudei 'nada'.\n",
        '\n\nQualquer coisa, é só dizer "ok".',
    )
)
EXAMPLE = '{"messages": ["primeira parte", "segunda parte"]}'


def as_json(draw: st.DrawFn, value: Any) -> str:
    """A value as JSON, in any of the layouts that models use."""
    ascii_only, indent = draw(LAYOUTS)
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent)


def as_object(draw: st.DrawFn, parts: Sequence[str]) -> str:
    """The JSON object that was asked for, with parts respelt without changing them."""
    respelt = draw(st.sampled_from(RESPELLINGS))
    return as_json(draw, {"messages": [respelt(part) for part in parts]})


def cut_anywhere(draw: st.DrawFn, text: str, places: Sequence[int]) -> str:
    """A faithful answer that cuts the text at one of these places."""
    place = draw(st.sampled_from(places))
    return as_json(draw, {"messages": [text[:place], text[place:]]})


def fenced(draw: st.DrawFn, message: Message) -> Answer:
    """1: in a Markdown fence."""
    fence = draw(st.sampled_from(("```json\n{}\n```", "```\n{}\n```", "```JSON {}```", "~~~\r\n{}\r\n~~~\n", "`{}`")))
    return Answer(fence.replace("{}", as_object(draw, message.parts)), message.parts)


def in_prose(draw: st.DrawFn, message: Message) -> Answer:
    """2: prose before or after the object."""
    return Answer(draw(PROSE) + as_object(draw, message.parts) + draw(PROSE), message.parts)


def after_example(draw: st.DrawFn, message: Message) -> Answer:
    """3: an example object, then the real one."""
    between = draw(st.sampled_from(("\n", " ", "\n\nResposta: ", ",", "```\n```json\n")))
    return Answer(EXAMPLE + between + as_object(draw, message.parts), message.parts)


def in_two_objects(draw: st.DrawFn, message: Message) -> Answer:
    """4: some parts in one object and the rest in the next; with a part left out, together they are not the text."""
    place = draw(st.integers(1, len(message.parts) - 1))
    left_out = draw(st.integers(0, 1))
    first, second = message.parts[: place - left_out], message.parts[place:]
    between = draw(st.sampled_from(("\n", "", ", ", "\n\n---\n")))
    return Answer(as_object(draw, first) + between + as_object(draw, second), None if left_out else message.parts)


def after_thoughts(draw: st.DrawFn, message: Message) -> Answer:
    """5: thoughts with a draft, which may be faithful and cut otherwise, then the object."""
    tag = draw(st.sampled_from(("think", "thinking", "THINK")))
    opened = draw(st.booleans())
    draft = draw(st.sampled_from((EXAMPLE, json.dumps([message.text]), "Em duas partes?", '{"messages": ["')))
    thoughts = f"<{tag}>{draft}" if opened else draft
    return Answer(f"{thoughts}</{tag}>\n{as_object(draw, message.parts)}", message.parts)


def in_endless_thoughts(draw: st.DrawFn, message: Message) -> Answer:
    """6: thoughts that do not end, whatever stands in them."""
    start = draw(st.sampled_from(("<think>", "\n<think>\nHm. ", "\ufeff<thinking>")))
    return Answer(start + draw(PROSE) + as_object(draw, message.parts), None)


def truncated(draw: st.DrawFn, message: Message) -> Answer:
    """7: JSON that is cut off anywhere."""
    whole = as_object(draw, message.parts) if draw(st.booleans()) else as_json(draw, message.parts)
    start = draw(st.sampled_from(("", "```json\n")))
    return Answer(start + whole[: draw(st.integers(0, len(whole) - 1))], None)


def ending_in_escape(draw: st.DrawFn, message: Message) -> Answer:
    """8: JSON that is cut off inside an escape."""
    whole = as_json(draw, {"messages": message.parts}).rstrip('"]}\n\t ')
    return Answer(
        whole[: -draw(st.integers(1, 20))] + draw(st.sampled_from(("\\", "\\u", "\\u00e", "\\ud83d\\"))), None
    )


def with_raw_newlines(draw: st.DrawFn, message: Message) -> Answer:
    """9: line feeds unescaped in the strings."""
    return Answer(as_json(draw, {"messages": message.parts}).replace("\\n", "\n"), message.parts)


def with_unescaped_quotes(draw: st.DrawFn, message: Message) -> Answer:
    """10: quotes unescaped in the strings."""
    return Answer(as_json(draw, {"messages": message.parts}).replace('\\"', '"'), message.parts)


def with_curly_delimiters(draw: st.DrawFn, message: Message) -> Answer:
    """11: typographic quotes for delimiters."""
    first, *pieces = as_json(draw, {"messages": message.parts}).split('"')
    curly = ("“”"[number % 2] + piece for number, piece in enumerate(pieces))
    return Answer(first + "".join(curly), message.parts)


def with_single_quotes(draw: st.DrawFn, message: Message) -> Answer:
    """12: single quotes for delimiters, and an apostrophe inside."""
    return Answer(as_json(draw, {"messages": message.parts}).replace('"', "'"), None)


def with_wrong_commas(draw: st.DrawFn, message: Message) -> Answer:
    """13: a comma too many at the end, or none between the parts."""
    items = [as_json(draw, {"text": part} if draw(st.booleans()) else part) for part in message.parts]
    between, end = draw(st.sampled_from(((",", ","), (", ", " ,\n"), ("", ""), (" ", ""), ("\n", ","))))
    return Answer('{"messages": [' + between.join(items) + end + "]}", message.parts)


def with_key_twice(draw: st.DrawFn, message: Message) -> Answer:
    """14: the key "messages" twice, with some of the parts or all of them."""
    place = draw(st.integers(0, len(message.parts) - 1))
    first, second = message.parts[:place] or message.parts, message.parts[place:]
    return Answer(f'{{"messages": {as_json(draw, first)}, "messages": {as_json(draw, second)}}}', None)


def with_objects(draw: st.DrawFn, message: Message) -> Answer:
    """15: a list of objects that hold the parts."""
    shapes: tuple[Callable[[int, str], Any], ...] = (
        lambda _, part: {"text": part},
        lambda number, part: {"index": number, "message": part, "final": False},
        lambda number, part: {"type": "text", "id": f"p{number}", "text": part},
    )
    shape = draw(st.sampled_from(shapes))
    return Answer(
        as_json(draw, {"messages": [shape(number, part) for number, part in enumerate(message.parts)]}), message.parts
    )


def bare_list(draw: st.DrawFn, message: Message) -> Answer:
    """16: the list alone."""
    return Answer(as_json(draw, message.parts), message.parts)


def as_string(draw: st.DrawFn, message: Message) -> Answer:
    """17: "messages" is a string that holds the JSON of the list."""
    return Answer(as_json(draw, {"messages": as_json(draw, message.parts)}), message.parts)


def double_encoded(draw: st.DrawFn, message: Message) -> Answer:
    """18: the whole is a JSON string that holds the JSON of the object."""
    return Answer(
        draw(st.sampled_from(("", " ", "\ufeff"))) + as_json(draw, as_object(draw, message.parts)), message.parts
    )


def with_other_keys(draw: st.DrawFn, message: Message) -> Answer:
    """19: other key names, nested, beside others, or a key for each part."""
    parts = list(message.parts)
    shapes = (
        {"status": "ok", "data": {"partes": parts}},
        {"data": {"result": {"parts": parts, "count": len(parts)}}},
        {"original": "Oi", "split": [{"text": part} for part in parts]},
        [{"messages": parts}],
        {f"part_{number}": part for number, part in enumerate(parts)},
    )
    return Answer(as_json(draw, draw(st.sampled_from(shapes))), message.parts)


def one_string(draw: st.DrawFn, message: Message) -> Answer:
    """20: "messages" is the text as one string."""
    respelt = draw(st.sampled_from(RESPELLINGS))
    return Answer(as_json(draw, {"messages": respelt(message.text)}), (message.text,))


def after_invisible_prefix(draw: st.DrawFn, message: Message) -> Answer:
    """21: invisible characters before the object."""
    prefix = draw(st.text("\ufeff\u200b\u2060\u200e", min_size=1, max_size=3))
    return Answer(prefix + as_object(draw, message.parts), message.parts)


def with_literal_newlines(draw: st.DrawFn, message: Message) -> Answer:
    """22: a backslash and an n where the text has a line feed."""
    parts = [part.replace("\r", "\\r").replace("\n", "\\n") for part in message.parts]
    return Answer(as_json(draw, {"messages": parts}), message.parts)


def with_nul(draw: st.DrawFn, message: Message) -> Answer:
    """23: a NUL character in a part."""
    return Answer(_with_one_inserted(draw, message, "\0"), None)


def with_lone_surrogate(draw: st.DrawFn, message: Message) -> Answer:
    """24: half of a surrogate pair in a part."""
    return Answer(_with_one_inserted(draw, message, draw(st.sampled_from("\ud83d\ude0a\udfff"))), None)


def _with_one_inserted(draw: st.DrawFn, message: Message, character: str) -> str:
    parts = list(message.parts)
    which = draw(st.integers(0, len(parts) - 1))
    parts[which] = parts[which] + character if draw(st.booleans()) else character + parts[which]
    return as_json(draw, {"messages": parts})


def with_not_strings(draw: st.DrawFn, message: Message) -> Answer:
    """25: numbers, null, true, NaN or lists among the parts."""
    others = (1, 2.5, None, True, float("nan"), float("inf"), ["x"], {"n": 1})
    return Answer(_with_one_among(draw, message, draw(st.sampled_from(others))), None)


def with_empty_parts(draw: st.DrawFn, message: Message) -> Answer:
    """26: no parts at all, or an empty or invisible one among them."""
    nothing: Any = draw(st.sampled_from((None, [], {}, {"messages": []}, {"messages": ""}, [[]], {"messages": [""]})))
    if nothing is not None:
        return Answer(as_json(draw, nothing), None)
    return Answer(_with_one_among(draw, message, draw(st.text(" \n\u200b\u2060\ufeff\u00ad\u3164", max_size=3))), None)


def _with_one_among(draw: st.DrawFn, message: Message, other: Any) -> str:
    place = draw(st.integers(0, len(message.parts)))
    return as_json(draw, {"messages": [*message.parts[:place], other, *message.parts[place:]]})


def with_too_many(draw: st.DrawFn, message: Message) -> Answer:
    """27: more parts than are allowed; those from the last one allowed are one part."""
    head = message.parts[: message.max_parts - 1]
    start = 0
    for part in head:
        start = message.text.index(part, start) + len(part)
    return Answer(as_object(draw, message.parts), (*head, message.text[start:].lstrip()))


def no_json(draw: st.DrawFn, message: Message) -> Answer:
    """28: prose, the text itself, null, or nothing."""
    nothing = ("", "null", "None", "{}", "[]", '""', "true", "0", "```json\n```", "\ufeff")
    return Answer(draw(st.sampled_from((*nothing, message.text, "\n\n".join(message.parts)))), None)


def endless(draw: st.DrawFn, message: Message) -> Answer:
    """29: 20,000 open brackets, a megabyte of anything, whole objects among it."""
    whole = json.dumps({"messages": message.parts})
    unit = draw(st.sampled_from(("[", "{", '{"a":', '["', '"', "\\", "[[],", ' "a"', "“", ",]", "<think>", whole)))
    return Answer(unit * draw(st.sampled_from((20_000, 1_000_000 // len(unit) + 1))), None)


def refusal(draw: st.DrawFn, message: Message) -> Answer:
    """30: the model declines."""
    refusals = (
        "Desculpe, não posso ajudar com isso.",
        "I'm sorry, but I can't assist with that.",
        '{"error": "I cannot split this message."}',
        '{"messages": ["Desculpe, não posso ajudar com isso."]}',
    )
    return Answer(draw(st.sampled_from(refusals)), None)


def with_number_changed(draw: st.DrawFn, message: Message) -> Answer:
    """31: "R$ 1.500" became "R$ 1500"."""
    return _replaced(draw, message, "R$ 1.500", ("R$ 1500", "R$ 1,500", "R$ 1.500,00", "$ 1.500"))


def with_word_dropped(draw: st.DrawFn, message: Message) -> Answer:
    """32: a "não" is missing."""
    return _replaced(draw, message, "não insisto", ("insisto", "nao insisto", "Não insisto"))


def _replaced(draw: st.DrawFn, message: Message, old: str, news: Sequence[str]) -> Answer:
    new = draw(st.sampled_from(news))
    return Answer(as_object(draw, [part.replace(old, new) for part in message.parts]), None)


def without_end(draw: st.DrawFn, message: Message) -> Answer:
    """33: the last sentence, or a piece of it, is missing."""
    *others, last = message.parts
    return Answer(as_object(draw, [*others, last[: -draw(st.integers(1, len(last)))]]), None)


def with_counters(draw: st.DrawFn, message: Message) -> Answer:
    """34: counters before or after the parts."""
    style = draw(st.sampled_from(("{0}/{1} {2}", "({0}/{1}) {2}", "{2} ({0}/{1})", "Parte {0}: {2}", "{0}. {2}")))
    count = len(message.parts)
    return Answer(
        as_object(draw, [style.format(number, count, part) for number, part in enumerate(message.parts, 1)]), None
    )


def with_parts_moved(draw: st.DrawFn, message: Message) -> Answer:
    """35: a part stands there twice, or elsewhere."""
    which = draw(st.integers(1, len(message.parts) - 1))
    part, others = message.parts[which], [*message.parts[:which], *message.parts[which + 1 :]]
    moved = [part, *others]
    if draw(st.booleans()) or "".join(" ".join(moved).split()) == "".join(message.text.split()):
        return Answer(as_object(draw, [part, *message.parts]), None)
    return Answer(as_object(draw, moved), None)


def cut_in_protected(draw: st.DrawFn, message: Message) -> Answer:
    """36: faithful, and cut inside an address, an emoji, an amount or a word."""
    piece = draw(st.sampled_from(("https://exemplo.com.br/planos?a=1&b=2", "👩‍👩‍👧", "R$ 1.500", "proposta")))
    start = message.text.index(piece)
    return Answer(cut_anywhere(draw, message.text, range(start + 1, start + len(piece))), None)


def rewritten(draw: st.DrawFn, message: Message) -> Answer:
    """37: translated or improved text."""
    first, *rest = message.parts
    texts = (
        ["Hi Maria, how are you?", "I have a proposal for you."],
        [f"Espero que esteja bem! {first}", *rest],
        [first + " 😊", *rest],
        [first[:-1] + ";", *rest],
        [first + " Mesmo.", *rest],
    )
    return Answer(as_object(draw, draw(st.sampled_from(texts))), None)


def cut_in_bold(draw: st.DrawFn, message: Message) -> Answer:
    """38: *bold* text cut in two."""
    bold = "*proposta comercial completa*"
    start = message.text.index(bold)
    places = [start + place for place in (1, bold.index(" "), bold.index(" ") + 1, bold.rindex(" "), len(bold) - 1)]
    return Answer(cut_anywhere(draw, message.text, places), None)


def _with_one_too_few_allowed(message: Message) -> Message:
    return attrs.evolve(message, max_parts=len(message.parts) - 1)


_WITH_LINES = messages(joints=("\n", "\n\n", "\r\n"))
_WITH_SEVERAL_PARTS = messages(least_parts=2)


@attrs.frozen
class Kind:
    """A row of the corpus: its number, how its answers are made, and the messages that can be answered so."""

    number: int
    make: MakeAnswer
    messages: st.SearchStrategy[Message] = attrs.field(factory=messages)

    def __str__(self) -> str:
        return f"{self.number}_{self.make.__name__}"


KINDS = (
    Kind(1, fenced),
    Kind(2, in_prose),
    Kind(3, after_example),
    Kind(4, in_two_objects, _WITH_SEVERAL_PARTS),
    Kind(5, after_thoughts),
    Kind(6, in_endless_thoughts),
    Kind(7, truncated),
    Kind(8, ending_in_escape),
    Kind(9, with_raw_newlines, _WITH_LINES),
    Kind(10, with_unescaped_quotes, messages(QUOTED)),
    Kind(11, with_curly_delimiters),
    Kind(12, with_single_quotes, messages(WITH_APOSTROPHE)),
    Kind(13, with_wrong_commas, _WITH_SEVERAL_PARTS),
    Kind(14, with_key_twice, _WITH_SEVERAL_PARTS),
    Kind(15, with_objects),
    Kind(16, bare_list),
    Kind(17, as_string),
    Kind(18, double_encoded),
    Kind(19, with_other_keys),
    Kind(20, one_string),
    Kind(21, after_invisible_prefix),
    Kind(22, with_literal_newlines, _WITH_LINES),
    Kind(23, with_nul),
    Kind(24, with_lone_surrogate),
    Kind(25, with_not_strings),
    Kind(26, with_empty_parts),
    Kind(27, with_too_many, messages(least_parts=3).map(_with_one_too_few_allowed)),
    Kind(28, no_json),
    Kind(29, endless),
    Kind(30, refusal),
    Kind(31, with_number_changed, messages(WITH_THOUSANDS)),
    Kind(32, with_word_dropped, messages(WITH_NO)),
    Kind(33, without_end),
    Kind(34, with_counters),
    Kind(35, with_parts_moved, _WITH_SEVERAL_PARTS),
    Kind(36, cut_in_protected, messages(WITH_ADDRESS, WITH_EMOJI, WITH_THOUSANDS, WITH_BOLD)),
    Kind(37, rewritten),
    Kind(38, cut_in_bold, messages(WITH_BOLD)),
)


@st.composite
def answered_messages(draw: st.DrawFn, kind: Kind) -> tuple[Message, Answer]:
    """A message and an answer of this kind."""
    message = draw(kind.messages)
    return message, kind.make(draw, message)
