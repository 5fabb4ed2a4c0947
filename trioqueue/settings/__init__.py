"""What can be set, where it comes from, and what is allowed."""

from trioqueue.settings.declaration import SETTINGS, LogFormat, LogLevel, Setting, Settings, SettingsError
from trioqueue.settings.loading import (
    CONFIG_FILE,
    CONFIG_VARIABLE,
    DEFAULT,
    LoadedSettings,
    ShownSetting,
    load_settings,
    secret_files,
)
from trioqueue.settings.rules import Rule, mask_database_url

__all__ = [
    "CONFIG_FILE",
    "CONFIG_VARIABLE",
    "DEFAULT",
    "SETTINGS",
    "LoadedSettings",
    "LogFormat",
    "LogLevel",
    "Rule",
    "Setting",
    "Settings",
    "SettingsError",
    "ShownSetting",
    "load_settings",
    "mask_database_url",
    "secret_files",
]
