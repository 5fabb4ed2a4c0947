"""What the instructions and the lead's data have may be said, in any usual form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.screening.finding import ALL, found, other_leads
from trioqueue.domain.screening import ScreeningRule, screen


@pytest.mark.parametrize(
    "text",
    [
        "Ligue (11) 3265-4321 ou +55 11 3265 4321 ou 3265-4321",
        "Este é o seu número? (11) 98765-4321, 11987654321, 5511987654321, +55 11 9 8765 4321",
        "Pix 12345678000190 ou 12.345.678/0001-90",
        "Custa 1500 reais, R$1500, R$ 1.500,00, R$ 1,5 mil, mil e quinhentos reais; sua proposta é de R$ 4.800",
        "Veja horizonte.com.br, www.horizonte.com.br/planos, https://horizonte.com.br/planos/?utm_source=x",
        "Vi o seu site, padaria.com.br",
        "Ana Maria Souza, ANA@PADARIA.COM.BR ou contato@horizonte.com.br",
        "Temos 20% de desconto em todos os planos até sexta-feira, aproveite agora",
    ],
)
def test_what_is_known_in_other_forms(text: str) -> None:
    """Numbers, amounts, links and quoted sentences may be said in any of their usual forms."""
    assert found(text) is None


@given(st.integers(1, 9_999_999), st.sampled_from(["R$ {:,.2f}", "{:.2f} reais", "US$ {:.2f}", "{:,.2f} €"]))
def test_money_is_compared_by_value(cents: int, form: str) -> None:
    """An amount of the lead is known however it is written, and one more cent is not."""
    context = {"deal_value": cents / 100}
    said = [
        screen(f"O total é {form.format(value / 100)}.", instructions="", context=context)
        for value in (cents, cents + 1)
    ]

    assert said[0] is None
    assert said[1] is not None
    assert said[1].rule is ScreeningRule.PRICE


def test_another_lead_is_no_longer_known() -> None:
    """What is taken out is not found any more; a datum of two leads stays as long as one of them."""
    leads = other_leads({"client_name": "Bruno Lima"}, {"client_name": "Bruno Lima"})
    text = "Oi, Bruno Lima!"
    leads.remove(0)

    assert screen(text, instructions="", context={}, others=leads) is not None
    leads.remove(1)
    leads.remove(1)

    assert screen(text, instructions="", context={}, others=leads) is None
    assert len(leads) == 0


def test_data_that_is_shared_is_nobodys_secret() -> None:
    """What this lead or the instructions have too may be said, and a host of many people gives nobody away."""
    leads = other_leads({"client_name": "Maria Silva", "primary_website": "instagram.com/maria"})
    context = {"client_name": "Ana Maria Silva Costa"}

    assert screen("Oi, Ana Maria Silva!", instructions="", context=context, others=leads) is None
    assert screen("Aqui é a Maria Silva.", instructions="Assine Maria Silva.", context={}, others=leads) is None
    only = ALL - {ScreeningRule.OTHER_LEAD}
    assert screen("instagram.com/ana", instructions="", context={}, others=leads, off=only) is None


def test_companies_of_two_words_are_often_something_else() -> None:
    """A company is looked for by a name of three words or more, for Boa Vista is a place too."""
    leads = other_leads({"company": "Boa Vista"}, {"company": "Padaria Boa Vista"})

    assert screen("A loja de Boa Vista abriu.", instructions="", context={}, others=leads) is None
    assert screen("A Padaria Boa Vista abriu.", instructions="", context={}, others=leads) is not None
