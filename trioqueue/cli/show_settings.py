"""`trioqueue settings`."""

from rich.table import Table

from trioqueue.cli.output import show
from trioqueue.settings import load_settings


def settings() -> None:
    """Print each setting with its value and where it comes from; secrets are masked."""
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "source"):
        table.add_column(heading, overflow="fold")
    for setting in load_settings().shown():
        table.add_row(setting.name, setting.value if setting.value is not None else "-", setting.source)
    show(table)
