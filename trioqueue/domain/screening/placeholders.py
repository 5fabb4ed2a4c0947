"""Places where a value should stand and does not: template marks, and the words that programs write for "nothing".

Words that are ordinary in one of the languages are looked at with what stands beside them.
"""

import re
from typing import Final

from trioqueue.domain.screening.findings import Finding, ScreeningRule, excerpt
from trioqueue.domain.screening.near import matches_near
from trioqueue.domain.screening.words import word_set

_MARK: Final = re.compile(
    r"""
      \{\{[^{}\n]{0,60}(?:\}\})?          # {{name}}, also left open
    | [$\#]\{[^{}\n]{0,60}\}              # ${x}, #{x}
    | \{%[^%\n]{0,60}%\}                  # {% if %}
    | <%[^%\n]{0,60}%>                    # <%= x %>
    | \{(?:\d{1,2}|[^\W\d][\w .\-]{0,40})?\}  # {name}, {0}, {}
    | %\([^()\n]{1,40}\)[sdf]             # %(name)s
    | (?<![\w%])%[sd](?!\w)               # %s
    | (?<![\w%])%%?[^\W\d]\w{1,29}%       # %NAME%
    | __[A-Z][A-Z_]{1,30}__               # __NAME__
    | \[object\ Object\]
    | \#(?:REF|NAME|VALUE|N/A|DIV/0|NULL|NUM|NOME|VALOR|N/D)[!?]?(?!\w)  # errors of spreadsheets
    | (?<!\w)XX?[/.]XX?[/.](?:XX){1,2}(?!\w)
    | (?<!\w)XX:XX(?!\w)
    | (?<!\w)(?:dd/mm/(?:aa){1,2}|mm/dd/yyyy|dd/mm/yyyy)(?!\w)
    | (?:R\$|US\$|\$|€)\s?(?:[Xx_]{1,6}(?:[.,][Xx_]{2,3})*(?!\w)|null|undefined|nan|none)
    | (?<!\w)9?X{4,5}-X{4}(?!\w)
    | (?<!\w)_{3,}(?!\w) | (?<!\w)__[/:]__       # blanks to be filled in
    """,
    re.VERBOSE,
)

_MARK_TRIGGER: Final = re.compile(r"[{$#%\[<_€X/]")

_BRACKETED: Final = re.compile(
    r"\[([^\W\d][^\[\]<>«»\n\d:]{1,50})\]|<([^\W\d][^\[\]<>«»\n\d:]{1,50})>|«([^\W\d][^\[\]<>«»\n\d:]{1,50})»"
)

_VALUES: Final = word_set(
    """
    nome nomes sobrenome name names firstname lastname first_name last_name surname nombre nombres apellido apellidos
    empresa company compañía compania cliente client customer contato contact contacto vendedor vendedora seller
    atendente data date fecha dia day día hora horário horario time link url site website telefone phone teléfono
    telefono celular whatsapp email e-mail correo mail endereço endereco address dirección direccion valor value preço
    preco price precio produto product producto serviço servico service servicio cidade city ciudad bairro
    cargo title título titulo
    assinatura signature firma saudação greeting saludo número numero number cupom coupon desconto discount descuento
    placeholder variável variable text texto remetente sender destinatário recipient interesse interest interés
    """
)
_FILLERS: Final = word_set(
    "o a os as do da de dos das e ou the of or and and/or el la los las del y x aqui here aquí completo full completa "
    "your seu sua tu su primeiro first primer last último cliente's customer's company's lead's client's recipient's "
    "lead"
)
_OPENERS: Final = word_set(
    "insert inserir insira insertar inserte add adicione adicionar preencher preencha fill nome name nombre "
    "primeiro_nome first_name recipient's customer's client's"
)
_POSSESSIVES: Final = word_set("your seu sua seus suas tu tus su sus")


def _not_after(words: str) -> str:
    return "".join(rf"(?<!\b{word}[ ])" for word in words.split("|"))


_GREETING: Final = (
    r"ol[áa]|oi+|opa|hola|hi|hello|hey|dear|car[oa]|prezad[oa]|querid[oa]|estimad[oa]|bom\ dia|boa\ tarde|boa\ noite|"
    r"buenos\ d[ií]as|buenas\ tardes|buenas\ noches|"
    r"good\ morning|good\ afternoon|good\ evening|sra?\.?|mrs?\.?|ms\.?"
)
_NAME: Final = r"nome|name|nombre|(?:primeiro|first|primer)[ _]?(?:nome|name|nombre)|firstname|user_?name"
_IS: Final = "an|is|are|was|were|be|been|remains|remain|still|left|as|and|currently|quite|so"
_WRITE: Final = "responda|responder|escreva|marque|coloque|write|put|enter|mark|escriba|escribe|ponga|reply"

_NOTHING: Final = re.compile(
    rf"""
      (?i:\b(?:{_GREETING})[,!]?[ ]+(?:undefined|null|nan|none|nil|n/a|n/d)\b)
    | (?i:\b(?:{_GREETING})[,!]?[ ]+[$@*_|(]{{0,2}}(?:{_NAME})[*_|)]{{0,2}}(?![\w.]|[ ](?!tud|how|como|qu[eé])))
    | (?i:{_not_after(_IS)}(?<![\w-])undefined(?![\w-]))
    | (?<![\w-])(?:null|NULL)(?![\w-]|[ ]and[ ]void|[ ]hypothes|[ ]value)
    | (?<![\w-])NaN(?![\w-])
    | (?i:{_not_after(_WRITE)}(?<![\w/"'])n/a(?![\w/]))
    | (?<=[a-zà-ÿ,][ ])None(?![\w-]|[ ](?:of|the)\b)
    | \ANone[,!]
    """,
    re.VERBOSE,
)
_NOTHING_TRIGGER: Final = re.compile("[nNuU](?i:ndef|ull|ome|one|ame|ombre|an|il|/[ad])")


def placeholder(text: str) -> Finding | None:
    """The first mark in a plain text where a value is missing."""
    for pattern, trigger in ((_MARK, _MARK_TRIGGER), (_NOTHING, _NOTHING_TRIGGER)):
        for found in matches_near(pattern, trigger, text, 40, 80):
            return _finding(found[0])
    for found in _BRACKETED.finditer(text):
        if _is_name_of_value(found[1] or found[2] or found[3]):
            return _finding(found[0])
    return None


def _is_name_of_value(inside: str) -> bool:
    words = inside.casefold().replace("_", " ").replace("/", " ").split()
    if not words or len(words) > 8:
        return False
    if words[0] in _OPENERS or (words[0] in _POSSESSIVES and len(words) <= 3):
        return True
    return any(word in _VALUES for word in words) and all(word in _VALUES or word in _FILLERS for word in words)


def _finding(found: str) -> Finding:
    return Finding(ScreeningRule.PLACEHOLDER, f"a value is missing at {excerpt(found)}")
