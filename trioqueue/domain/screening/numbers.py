"""Telephone numbers and Pix keys in a text.

A number is a telephone number by its form, or by the word before it; what else has many digits (dates, postal codes,
orders, documents) is left alone. phonenumbers' own matcher is not used: it takes milliseconds for a message.
"""

import re
from collections.abc import Iterator
from typing import Final

from trioqueue.domain.screening.near import around, matches_near

_REFERENCE: Final = (
    r"pedidos?|protocolos?|ordem|order|orden|n[º°]|n[o0]\.|nro|nota(?: fiscal)?|nf-?e?|c[óo]digos?|code|contrato|"
    r"contract|fatura|factura|invoice|boleto|rastreio|rastreamento|tracking|seguimiento|guia|ticket|chamado|processo|"
    r"matr[íi]cula|inscri[çc][ãa]o|ref\.?|refer[êe]ncia|reference|referencia|id|sku|ean|isbn|lote|s[ée]rie|serial|placa|voo|"
    r"flight|vuelo|reserva|booking|folio|expediente|case|apólice|policy|póliza|registro"
)
_DOCUMENT: Final = (
    r"cpf|cnpj|rg|cep|zip|conta|account|cuenta|ag[êe]ncia|dni|nif|nie|cif|rut|curp|rfc|cart[ãa]o|card|tarjeta|oab|crm|creci|"
    r"cnae"
)
_NUMBER_OF: Final = r"\s*(?:n[ºo°.]?|n[úu]m(?:ero)?\.?|number|no\.?|de|do|da|#|é|is|es)?\s*[:#]?\s*[\w.-]{{0,{spelt}}}$"
_NOT_DIALLED: Final = re.compile(rf"(?:{_REFERENCE}|{_DOCUMENT}){_NUMBER_OF.format(spelt=6)}", re.IGNORECASE)
_NO_KEY: Final = re.compile(rf"\b(?:{_REFERENCE}){_NUMBER_OF.format(spelt=0)}", re.IGNORECASE)
_DIALLED: Final = (
    r"(?:ligue|ligar|liga|disque|telefones?|fone|tel|celular|cel|whats(?:app)?|zap|wpp|call|phone|text|dial|mobile|"
    r"ll[áa]m[ae](?:nos|me)?|tel[ée]fonos?|m[óo]vil|wa)"
)
_GAP: Final = r"(?:[^\S\n]|[()-]|\.(?=\d)){0,2}"
_PHONE: Final = re.compile(
    rf"""
    (?<![\w.,/#$€-])(?:
      \+\s?\(?\d(?:{_GAP}\d){{7,14}}                           # +55 (11) 98765-4321
    | (?:00\s?)?(?:\d{{1,3}}[\s.-])?\(0?\d{{2,4}}\)\s?(?:\d[\s.-]?)?\d{{3,4}}[\s.-]?\d{{3,4}}  # (11) 98765-4321
    | (?:0?\d{{2}}[\s.-]{{1,2}})?9[\s.-]?\d{{4}}[\s.-]\d{{4}}                # 11 9 8765-4321, 98765.4321
    | (?:0?\d{{2}}[\s.-])?[2-5]\d{{3}}-\d{{4}}                           # 11 3265-4321
    | 0?[1-9]\d[\s.-]?9\d{{8}}                                       # 11987654321
    | (?:55)[\s.-]?[1-9]\d[\s.-]?9?\d{{4}}[\s.-]?\d{{4}}                   # 5511987654321
    | (?:1[\s.-])?[2-9]\d{{2}}[.-]\d{{3}}[.-]\d{{4}}                       # 555-123-4567
    | (?:0800|0300|1-?8\d\d|900)[\s.-]\d{{3}}[\s.-]?\d{{3,4}}              # 0800 123 4567
    | [6-9]\d{{2}}\s\d{{3}}\s\d{{3}} | [6-9]\d{{2}}(?:\s\d{{2}}){{3}}         # 612 345 678
    | [89]\d\s\d{{3}}\s\d{{2}}\s\d{{2}}                                # 91 234 56 78
    | [2-9]\d\s\d{{4}}\s\d{{4}}                                      # 55 1234 5678
    | (?:\d[\s._*-]){{9,14}}\d                                       # 1 1 9 8 7 6 5 4 3 2 1
    )(?![\w/%]|[.,:-]\d)
    | (?i:\b{_DIALLED}\b[^\w\n+(]{{0,4}}(?:(?:para|no|ao|em|to|us|at|al|nos|número|number|o)\b[^\w\n+(]{{0,3}}){{0,3}})
      (?P<told>[+(]?\d(?:{_GAP}\d){{7,14}})(?![\w/%]|[.,:-]\d)
    """,
    re.VERBOSE,
)
_TRIGGER: Final = re.compile(r"\d[\d\s().+_*-]{5}")
"""What every telephone number has; the word before it may stand 70 characters away."""

_YEARS: Final = re.compile(r"(?:19|20)\d\d[\s-]+(?:19|20)\d\d")
_RUN: Final = re.compile(r"\d(?:[\s().\-/_*]{0,3}\d){7,}")
_NO_DIGIT: Final = re.compile(r"\D+")

_PIX: Final = re.compile(r"[pP][iI][xX](?<![^\W_]...)(?![^\W_])|[cC]have aleat[óo]ria")
_AROUND: Final = 80
"""Characters on either side of the word Pix, or of what its random keys are called, in which a number is its key."""
_KEY: Final = re.compile(
    r"""
      (?<![\w.-])(?:
        \d{3}[.\s]?\d{3}[.\s]?\d{3}[-.\s]?\d{2}                                       # CPF
      | [0-9A-Z]{2}[.\s]?[0-9A-Z]{3}[.\s]?[0-9A-Z]{3}[/\s]?[0-9A-Z]{4}[-\s]?\d{2}     # CNPJ, since 2026 with letters
      | [0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}                        # a random key
      )(?![\w-])
    """,
    re.VERBOSE,
)
_CODE: Final = re.compile(r"(?<!\w)000201\d{2}\S{20,}")
"""The code of a Pix to copy begins with the format indicator of EMV's QR codes."""


def digits(text: str) -> str:
    """The digits of a text."""
    return _NO_DIGIT.sub("", text)


def number_runs(text: str) -> str:
    """All digits of a text, in runs as people group them, for numbers to be found in."""
    return " ".join(digits(run) for run in _RUN.findall(text))


def phones_in(text: str) -> Iterator[str]:
    """The telephone numbers of a text without addresses, as written, each once."""
    seen = set()
    for found in matches_near(_PHONE, _TRIGGER, text, 70, 20):
        shown = found["told"] or found[0]
        if shown in seen:
            continue
        seen.add(shown)
        if not 8 <= len(digits(shown)) <= 15 or _YEARS.fullmatch(shown):
            continue
        if found["told"] or not _NOT_DIALLED.search(text, max(0, found.start() - 40), found.start()):
            yield shown


def forms_of_phone(phone: str) -> set[str]:
    """The digits of a telephone number with and without trunk zeros and country code."""
    whole = digits(phone).lstrip("0")
    forms = {whole}
    if phone.lstrip().startswith(("+", "00")) or len(whole) > 11:
        forms |= {whole[code:] for code in (1, 2, 3) if len(whole) - code >= 8}
    return {form for form in forms if len(form) >= 7}


def pix_windows(text: str) -> Iterator[str]:
    """The surroundings of each word Pix; those that overlap are one."""
    for start, end in around(_PIX, text, _AROUND, _AROUND):
        yield text[start:end]


def pix_keys_in(window: str) -> Iterator[str]:
    """What may be documents and random keys in the surroundings of the word Pix, as written."""
    for found in _KEY.finditer(window):
        of_something_else = found[0].isdigit() and _NO_KEY.search(window, max(0, found.start() - 40), found.start())
        if sum(map(str.isdigit, found[0])) >= 8 and not of_something_else:
            yield found[0]


def pix_codes_in(text: str) -> list[str]:
    """Pix codes to copy."""
    return _CODE.findall(text)
