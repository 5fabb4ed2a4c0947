"""What every command does first: read the settings, and set the log up by them."""

from trioqueue.cli.logging import configure_logging
from trioqueue.settings import Settings, load_settings


def prepare(**flags: object) -> Settings:
    """The settings, with those of the command line on top; None for a flag that was not given.

    Raises:
        SettingsError: One of them is wrong.
    """
    settings = load_settings(flags).settings
    configure_logging(settings.log_level, settings.log_format)
    return settings
