"""Screening of generated texts: what must not leave, whatever the model wrote.

A model invents links and prices, leaves marks of templates, repeats its prompt, or mixes up two leads. Each rule looks
for one such fault, in time linear in the text, and turns a text away rather than mending it.
"""

from trioqueue.domain.screening.findings import Finding, ScreeningRule
from trioqueue.domain.screening.others import KnownLeads
from trioqueue.domain.screening.screen import screen

__all__ = ["Finding", "KnownLeads", "ScreeningRule", "screen"]
