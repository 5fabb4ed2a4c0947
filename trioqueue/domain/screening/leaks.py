"""The prompt in the message: its tags, its rules, the lead's JSON, the operator's instructions, the model's own voice.

Instructions are full of what is to be said, in the same words. Only a passage that speaks of the task itself is a leak,
and never one that the operator put in quotes, or after a colon that does not announce rules.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from trioqueue.domain.prompts import LEAD_RULES, SPLIT_RULES
from trioqueue.domain.screening.findings import Finding, ScreeningRule, excerpt
from trioqueue.domain.screening.near import matches_near
from trioqueue.domain.screening.plain import plain
from trioqueue.domain.screening.words import SHORTEST_PASSAGE, passages_of, word_set, words_of

_MARK: Final = re.compile(
    r"""
      (?:<|\\u003c)\s?/?\s?(?:lead|message|system|assistant|user|think|thinking|instructions?|prompt|context)
        \s?(?:>|\\u003e)
    | <\|[a-z_]{2,30}\|> | \[/?INST\] | <</?SYS>> | </?s>
    | \b(?:client_name|primary_email|primary_phone|primary_website|custom_fields|deal_value|ai_instructions)\b
    | \b(?:system\ prompt|prompt\ (?:do\ sistema|del\ sistema))\b
    | ^\#{1,4}\ ?(?:instructions?|instru[çc][õo]es|instrucciones|system|resposta|response)\b
    | ^(?:assistant|system|user|assistente|usuário):
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_MARK_TRIGGER: Final = re.compile(r"[<\\\[_#:]|[pP]rompt|PROMPT")
_FIELD: Final = re.compile(r"(?:^|[{,])\s{0,5}\"([^\"\n]{1,80})\"\s?:|'([^'\n]{1,80})'\s?:", re.MULTILINE)

_VOICE: Final = re.compile(
    r"""
      \bas\ an?\ (?:ai|artificial\ intelligence|large|language)(?:\ (?:language\ )?(?:model|assistant)|,)
    | \bi(?:'m|\ am)\ (?:just\ |only\ )?an?\ (?:ai|artificial\ intelligence|(?:large\ )?language\ model)\b
    | \b(?:como|sou|soy|por\ ser|enquanto)\ (?:apenas\ |sólo\ |solo\ )?(?:uma?\ |una?\ |um\ grande\ )?
        (?:modelo\ de\ (?:linguagem|ia|lengua(?:je)?)|ia\b(?!-)|inteligência\ artificial|inteligencia\ artificial
          |assistente\ de\ (?:ia|inteligência\ artificial)|asistente\ de\ ia)
    | \b(?:desculpe|lo\ siento|sorry|i'm\ sorry),?\ (?:mas\ |but\ |pero\ )?(?:eu\ )?
        (?:não\ posso|no\ puedo|i\ (?:can't|cannot|can\ not))\ (?:ajudar|gerar|escrever|criar|ayudar|escribir|generar
          |crear|help\ with\ that|assist|write|generate|create|fulfill|comply)
    | \bi(?:'m|\ am)\ (?:unable|not\ able)\ to\ (?:assist|write|generate|fulfill|comply|help\ with\ that)
    | \b(?:would\ you\ like|if\ you(?:'d|\ would)\ like|if\ you\ want|let\ me\ know\ if\ you\ want)\ me\ to
        \ (?:adjust|rewrite|revise|tweak|shorten|change)\ (?:it\b|the\ (?:message|text|draft|tone|wording))
    | \b(?:quer|gostaria|quieres|te\ gustaría)\ que\ (?:eu\ |yo\ )?
        (?:ajuste|altere|mude|reescreva|encurte|cambie|reescriba|acorte)
        \ (?:[oa]|el|la|est[ae]|essa|esse)\ (?:mensagem|mensaje|texto|tono?|tom)\b
    | \b(?:hope|espero\ que)\ (?:this|the|est[ae]|essa|a|o|el)\ (?:message|text|mensagem|mensaje|texto)
        \ (?:helps|meets|works|atenda|ajude|sirva|ayude|cumpla)
    | \b(?:according\ to|as\ per|segundo|conforme|según)\ (?:as\ )?(?:my|minhas|mis)
        \ (?:instructions|instruções|instrucciones)
    | [(\[][^()\[\]\n]{0,30}\b\d{2,4}\ (?:caracteres|characters|palavras|palabras|words)[)\]]\s*\Z
    | \b(?:training\ data|knowledge\ cutoff|dados\ de\ treinamento|datos\ de\ entrenamiento)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)

_VOICE_WORDS: Final = word_set(
    """
    ai artificial large language modelo ia inteligência inteligencia assistente asistente desculpe siento sorry unable
    able adjust rewrite revise tweak shorten change ajuste altere mude reescreva encurte cambie reescriba acorte hope
    espero according per segundo conforme según caracteres characters palavras palabras words training cutoff
    treinamento entrenamiento
    """
)
"""One of these stands in whatever the pattern above matches: a pattern so broad is slow to find nothing."""

_PREAMBLE: Final = re.compile(
    r"""
    \A[\s*_"'`\#>-]{0,6}
    (?:(?:claro(?:\ que\ sim)?|com\ certeza|certo|sure(?:\ thing)?|certainly|of\ course|absolutely|por\ supuesto
          |perfeito|perfecto|ok(?:ay)?|entendido)[!,.]{0,3}\s{0,3})?
    (?:
      (?:here(?:'s|\ is|\ are)|aqui\ (?:est[áa]|vai|segue|tens?)|segue|eis|aquí\ (?:est[áa]|tienes|va)|est[ae]\ es
         |below\ is|abaixo\ (?:está|segue))
      \ (?:\S{1,20}\ ){0,5}?
      (?:(?:message|draft|mensagem|mensaje|rascunho|borrador)s?\b
          (?!\ (?:que|that)\ (?!voc|you|pedist|solicit))[^:\n]{0,90}
        |(?:text|texto|version|versão|versión|reply|response|resposta|respuesta|sugestão|sugerencia)\s?):
    | (?:message|mensagem|mensaje|draft|rascunho|borrador|resposta|output|assunto|subject|asunto)
      (?:\ (?:para|for|to)\ [^:\n]{1,40})?\**\s?:\**(?:\s|\Z)
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)

_TASK: Final = re.compile(
    r"""
    \b(?: (?:the|this|o|do|ao|pelo|el|al|del|este)\ lead
    | \d+\ (?:caracteres|characters|palavras|palabras|words|frases|sentences|linhas|líneas|lines
        |parágrafos|paragraphs|párrafos|emojis?)
    | (?:sem|no|sin|use|usa|without|any|com|muitos|many)\ emojis?
    | (?:não|nunca|no|do\ not|don't|never)
        \ (?:invente|mencione|inclua|repita|escreva|inventes|menciones|incluyas|repitas|escribas
        |invent|make\ up|mention|include|repeat|write)
    | (?:escreva|redija|gere|crie|elabore|envie|write|compose|draft|create|generate|send|escrib[ea]|redact[ea]|genera
        |crea|envía)\ (?:\w+\ ){0,3}?(?:mensagem|mensagens|texto|messages?|text|mensajes?)
    | (?:escreva|write|escrib[ea])\ (?:sempre|always|siempre|em|in|en|como|as|like)
    | (?:comece|termine|encerre|assine|begin|start|end|sign|empieza|termina|firma)\ (?:a|the|your|el)
        \ (?:mensagem|message|mensaje)
    | (?:você\ é|you\ are|eres|usted\ es)\ (?:\w+\ ){0,4}?
        (?:assistente|asistente|assistant|atendente|agente|agent|consultora?|consultant|vendedora?|representative
        |representante|especialista|specialist)
    | cumprimente | greet\ (?:the|them|him|her) | saluda\ (?:al?|por)
    | tom\ (?:cordial|amigável|profissional|informal|formal|leve|consultivo)
    | (?:friendly|professional|casual|formal|warm)\ tone
    | tono\ (?:cordial|amable|amistoso|profesional|informal|formal|cercano) )\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_RULES_FOLLOW: Final = re.compile(
    r"\W*(?:regras|rules|reglas|instruções|instructions|instrucciones|diretrizes|guidelines|directrices|restrições|"
    r"restrictions|restricciones|tarefa|task|tarea|objetivo|goal|tom|tone|tono|estilo|style|formato|format|importante?|"
    r"important|atenção|atención)\b[^:]{0,40}:",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(r'"[^"]*"|«[^»]*»|`[^`]*`|(?<!\w)\'[^\n]*?\'(?!\w)')
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;])\s+")
_OUR_RULES: Final = frozenset(
    passage for rules in (LEAD_RULES, SPLIT_RULES) for passage in passages_of(words_of(rules))
)


def prompt_leak(text: str, instructions: str, context: Mapping[str, Any]) -> Finding | None:
    """The first piece of the prompt, or of the model's own voice, in a plain text."""
    mark = next(matches_near(_MARK, _MARK_TRIGGER, text, 40, 60), None)
    if mark is not None:
        return _finding("a piece of the prompt", mark[0])
    words = words_of(text)
    voice = None if _VOICE_WORDS.isdisjoint(words) else _VOICE.search(text)
    for said, what in ((_PREAMBLE.match(text), "words around the message"), (voice, "the model's voice")):
        if said is not None and said[0].strip().casefold() not in plain(instructions).casefold():
            return _finding(what, said[0])
    names = {str(name) for name in context} | {str(name) for name in _mapping(context.get("custom_fields"))}
    for field in _FIELD.finditer(text):
        if (field[1] or field[2]) in names:
            return _finding("a field of the lead's data", field[0])
    orders = _orders(instructions)
    for passage in passages_of(words):
        if passage in _OUR_RULES or passage in orders:
            return _finding("a passage of the instructions", passage)
    return None


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


@lru_cache(maxsize=64)
def _orders(instructions: str) -> frozenset[str]:
    """The passages of the instructions that speak of the task, from before the words that do so to beyond them.

    What stands in quotes is to be said, and so is what follows a colon: up to the end of its sentence, or of its
    paragraph where the colon ends a line.
    """
    passages: set[str] = set()
    for order in _sentences(_QUOTED.sub(" ", plain(instructions))):
        for task in _TASK.finditer(order):
            before, about, after = words_of(order[: task.start()]), words_of(task[0]), words_of(order[task.end() :])
            reach = max(SHORTEST_PASSAGE - len(about), 0)
            passages.update(passages_of([*before[max(len(before) - reach, 0) :], *about, *after[:reach]]))
    return frozenset(passages)


def _sentences(instructions: str) -> Iterator[str]:
    to_be_said = False
    for line in map(str.strip, instructions.split("\n")):
        if not to_be_said:
            for sentence in _SENTENCE_END.split(line):
                yield sentence if _RULES_FOLLOW.match(sentence) else sentence.partition(": ")[0]
        announced = line.endswith(":") and not _RULES_FOLLOW.match(line)
        to_be_said = announced or (to_be_said and bool(line))


def _finding(what: str, found: str) -> Finding:
    return Finding(ScreeningRule.PROMPT_LEAK, f"{what}: {excerpt(found)}")
