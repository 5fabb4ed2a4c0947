"""Amounts of money in a text, and their values."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from trioqueue.domain.screening.near import matches_near
from trioqueue.domain.screening.words import word_set

_NUMBER: Final = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d{1,12}(?:[.,]\d{1,3})?(?!\d)"
_SCALE: Final = r"(?:\s?(?:mil|milh[ãa]o|milh[õo]es|mi|k|million|millones|mill[óo]n|thousand|bilh[õo]es|billion)\b)?"
_BEFORE: Final = r"(?:R\s?\$|US\s?\$|U\$S|U\$D|MX\$|\$|€|£|(?<![^\W_])(?:BRL|USD|EUR|GBP)(?![^\W_]))"
_AFTER: Final = (
    r"(?:(?:de\s)?(?:reais|d[óo]lares|euros|dollars|reales)\b|real\b|d[óo]lar\b|dollar\b|euro\b|bucks\b|"
    r"(?:BRL|USD|EUR|GBP)\b|€|£|R\$|US\$|\$(?!\s?\d))"
)
_AMOUNT: Final = re.compile(
    rf"(?i:{_BEFORE}\s?(?P<before>{_NUMBER})(?P<scale>{_SCALE})"
    rf"|(?<![\w.,])(?P<after>{_NUMBER})(?P<times>{_SCALE})\s?{_AFTER})"
)
_TRIGGER: Final = re.compile(
    "[$€£rRdDeEuUbBgG](?:(?<=[$€£])|(?<=[rR])(?:ea[li]|EA[LI])|(?<=[dD])[oóOÓ][lL]|(?<=[eE])(?:ur|UR)|(?<=[uU])(?:sd|SD)"
    "|(?<=[bB])(?:rl|RL|ucks|UCKS)|(?<=[gG])(?:bp|BP))"
)
"""What every amount has: a sign or a word for a currency."""

_ANY: Final = re.compile(rf"(?<![\w.,])(?P<number>{_NUMBER})(?P<scale>(?i:{_SCALE}))(?P<unit>\s?[^\W\d_]+|\s?%)?")
_NO_MONEY: Final = word_set(
    "% caracteres characters palavras words palabras linhas lines líneas frases sentences emojis emoji parágrafos "
    "paragraphs párrafos minutos minutes min h horas hours dias days días semanas weeks meses months anos years años "
    "perguntas questions preguntas tokens"
)

_SMALL: Final = {
    word: value
    for value, words in {
        1: "um uma one uno un una", 2: "dois duas two dos", 3: "três tres three", 4: "quatro four cuatro",
        5: "cinco five", 6: "seis six", 7: "sete seven siete", 8: "oito eight ocho", 9: "nove nine nueve",
        10: "dez ten diez", 11: "onze eleven once", 12: "doze twelve doce", 13: "treze thirteen trece",
        14: "quatorze catorze fourteen catorce", 15: "quinze fifteen quince", 16: "dezesseis sixteen dieciséis",
        17: "dezessete seventeen diecisiete", 18: "dezoito eighteen dieciocho", 19: "dezenove nineteen diecinueve",
        20: "vinte twenty veinte", 30: "trinta thirty treinta", 40: "quarenta forty cuarenta",
        50: "cinquenta fifty cincuenta", 60: "sessenta sixty sesenta", 70: "setenta seventy setenta",
        80: "oitenta eighty ochenta", 90: "noventa ninety noventa", 100: "cem cento hundred cien ciento",
        200: "duzentos doscientos", 300: "trezentos trescientos", 400: "quatrocentos cuatrocientos",
        500: "quinhentos quinientos", 600: "seiscentos seiscientos", 700: "setecentos setecientos",
        800: "oitocentos ochocientos", 900: "novecentos novecientos", 1000: "mil thousand",
        1_000_000: "milhão milhões million millón millones",
    }.items()
    for word in words.split()
}  # fmt: skip
_SPELT: Final = re.compile(
    r"(?i:(?<![^\W_])((?:(?:" + "|".join(sorted(_SMALL, key=len, reverse=True)) + r")(?:\s(?:e|y|and)\s|[\s-])){1,10})"
    r"(?:de\s)?(?:reais|d[óo]lares|euros|dollars|reales)\b)"
)
_SCALES: Final = {"mil": 1000, "k": 1000, "thousand": 1000, "bilhões": 10**9, "bilhoes": 10**9, "billion": 10**9, "": 1}


def amounts_in(text: str) -> Iterator[tuple[str, Decimal]]:
    """The amounts of money of a text, as written and by value, each once."""
    seen = set()
    for found in matches_near(_AMOUNT, _TRIGGER, text, 60, 60):
        if found[0] not in seen:
            seen.add(found[0])
            yield found[0].strip(), _value(found["before"] or found["after"], found["scale"] or found["times"])
    for found in matches_near(_SPELT, _TRIGGER, text, 120, 10):
        if found[0] not in seen and (value := _spelt(found[1])):
            seen.add(found[0])
            yield found[0], value


def known_amounts(text: str) -> set[Decimal]:
    """The value of every number that may be meant as money, with or without a currency."""
    values = {value for _, value in amounts_in(text)}
    for found in _ANY.finditer(text):
        if (found["unit"] or "").strip().casefold() not in _NO_MONEY:
            values.add(_value(found["number"], found["scale"]))
    return values


def _value(number: str, scale: str | None) -> Decimal:
    """The value of a number whose last group of one or two digits, if any, are cents."""
    groups = re.split(r"[.,' ]", number)
    cents = groups.pop() if len(groups) > 1 and len(groups[-1]) < 3 else "0"
    value = Decimal("".join(groups)) + Decimal(cents).scaleb(-len(cents))
    return (value * _SCALES.get((scale or "").strip().casefold(), 1_000_000)).normalize()


def _spelt(words: str) -> Decimal:
    total = part = 0
    for word in re.split(r"[\s-]+", words.casefold()):
        value = _SMALL.get(word, 0)
        if value >= 1000:
            total, part = total + max(part, 1) * value, 0
        elif value == 100 and 1 <= part <= 9:
            part *= 100
        else:
            part += value
    return Decimal(total + part).normalize()
