"""Writes the messages of the simulated model: short outreach in Portuguese, the same for the same prompt.

They have what makes splitting hard: addresses, amounts of money, emoji of several code points, bold text, quotes and
apostrophes. About a third are too short to be split at all.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

SHORTEST: Final = 60
LONGEST: Final = 700
"""Characters of a message, both inclusive."""

_LONGEST_NAME: Final = 40
_SPACE: Final = re.compile(r"\s+")

_GREETINGS: Final = (
    "Oi, {name}, tudo bem?",
    "Olá, {name}! Como você está?",
    "Bom dia, {name}! 😊",
    "{name}, tudo certo por aí?",
    "Oi, {name}! Espero que a semana esteja boa.",
)
_OPENINGS: Final = (
    "Aqui é o João. Posso te mandar uma ideia para a {company}?",
    "Aqui é a Marina, do time comercial; vi que a {company} está crescendo e lembrei de você.",
    "Aqui é o Rafael. Dei uma olhada no trabalho da {company} e gostei muito do que encontrei.",
    "Falo em nome da equipe que cuida de novos projetos, e a {company} apareceu na nossa lista.",
    "Conversamos rapidamente no mês passado sobre a {company} e fiquei de voltar com uma ideia.",
)
_DETAILS: Final = (
    "Separei um resumo curto em https://exemplo.com.br/resumo?origem=whats&id=42.",
    "O plano sai por R$ 1.500,00 por mês, sem fidelidade e sem taxa de instalação.",
    "Quem começou no trimestre passado reduziu o custo em 12,5% já nas primeiras semanas. 👍🏽",
    "A *proposta comercial completa* cabe em uma página, e não precisa de reunião longa.",
    'Se não fizer sentido agora, é só responder "agora não" que eu não insisto.',
    "É simples como pedir um copo d'água: a gente configura tudo e você acompanha pelo celular.",
    "O time inteiro fica junto no começo 👩‍💻, então ninguém precisa parar o que está fazendo.",
    "São 3 etapas, cerca de 20 minutos cada uma, e o contrato é mensal.",
    "Os clientes da região costumam recuperar o investimento de R$ 4.800 em menos de 90 dias…",
    "Posso mandar um áudio explicando, ou, se preferir, um vídeo de 2 minutos: https://exemplo.com.br/v/7.",
)
_QUESTIONS: Final = (
    "Podemos conversar dez minutos ainda esta semana?",
    "Qual o melhor horário para eu te ligar?",
    "Faz sentido para você?",
    "Posso te mandar os detalhes por aqui? 🚀",
    "O que acha?",
)
_LINK_OR_PRICE: Final = re.compile(r"https?://[^\s]*\w|R\$ [\d.,]*\d")
LINKS_AND_PRICES: Final = (
    "https://exemplo.com.br/resumo?origem=whats&id=42, https://exemplo.com.br/v/7, R$ 1.500,00, R$ 4.800"
)
"""What a prompt has to say for messages to have all that they may have."""

_JOINTS: Final = (" ", "\n", "\n\n")


def outreach_message(lead: Mapping[str, Any], prompt: str) -> str:
    """A message to a lead, of 60 to 700 characters.

    Args:
        lead: The lead's context; any of it may be missing or of any type.
        prompt: All that the model was asked; the same prompt gives the same message.
    """
    picks = _Picks(prompt)
    name = _short(lead.get("client_name")).partition(" ")[0] or "pessoal"
    company = _short(lead.get("company")) or "sua empresa"
    opening = picks.one(_GREETINGS).format(name=name) + " " + picks.one(_OPENINGS).format(company=company)
    detail_count = picks.number(8) - 2
    if detail_count <= 0:
        return opening
    details = picks.several(_known_details(prompt), min(detail_count, 4))
    middle = picks.one(_JOINTS).join(details)
    return picks.one(_JOINTS).join((opening, middle, picks.one(_QUESTIONS)))


def _known_details(prompt: str) -> Sequence[str]:
    """What may be said: a model that does as it is told takes links and prices from its prompt and invents none."""
    return [detail for detail in _DETAILS if all(fact in prompt for fact in _LINK_OR_PRICE.findall(detail))]


class _Picks:
    """Choices drawn from a text, far cheaper than a random generator seeded for each message."""

    def __init__(self, text: str) -> None:
        self._left = int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=16).digest())

    def number(self, below: int) -> int:
        self._left, picked = divmod(self._left, below)
        return picked

    def one(self, options: Sequence[str]) -> str:
        return options[self.number(len(options))]

    def several(self, options: Sequence[str], count: int) -> list[str]:
        rest = list(options)
        return [rest.pop(self.number(len(rest))) for _ in range(count)]


def _short(value: Any) -> str:
    return _SPACE.sub(" ", value).strip()[:_LONGEST_NAME] if isinstance(value, str) else ""
