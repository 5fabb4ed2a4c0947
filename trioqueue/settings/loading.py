"""Gathers the settings and remembers where each comes from: the one place that reads the environment.

A flag wins over the environment (`TRIOQUEUE_*`), that over `trioqueue.toml`, that over the default. Secrets come from
the environment or from a file that it names (`..._FILE`, as systemd's credentials work), never from the command line,
which every user of the machine can read, nor from trioqueue.toml, which is copied and committed.

typed-settings converts and masks. Its loaders are not used: they read os.environ alone, their errors repeat the
values, and no public function of it says which loader gave a value.
"""

import difflib
import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin

import attrs
from typed_settings.converters import TSConverter

from trioqueue.settings.declaration import PREFIX, SETTINGS, Setting, Settings, SettingsError, clash

CONFIG_FILE: Final = "trioqueue.toml"
CONFIG_VARIABLE: Final = "TRIOQUEUE_CONFIG"

DEFAULT: Final = "default"
"""The source of a setting that nothing sets."""

# The test suite's own variables, such as TRIOQUEUE_TEST_DATABASE_URL, are no settings and no mistakes.
_TEST_PREFIX: Final = "TRIOQUEUE_TEST_"


@attrs.frozen
class ShownSetting:
    """A setting as `trioqueue settings` prints it: secrets masked, None for unset."""

    name: str
    value: str | None
    source: str


@attrs.frozen
class LoadedSettings:
    """The settings, and where each comes from.

    Attributes:
        settings: The settings.
        sources: By name: `DEFAULT`, the path of the settings file, the environment variable, or the flag.
    """

    settings: Settings
    sources: Mapping[str, str]

    def shown(self) -> list[ShownSetting]:
        """Every setting with its source, in the order of `Settings`."""
        return [
            ShownSetting(name, setting.shown(getattr(self.settings, name)), self.sources[name])
            for name, setting in SETTINGS.items()
        ]


@attrs.frozen
class _Given:
    """A value that something sets: where it comes from, how its error names it, what its paths are relative to."""

    name: str
    value: object = attrs.field(repr=False)
    source: str
    named: str
    directory: Path


def load_settings(
    overrides: Mapping[str, object] = MappingProxyType({}),
    environ: Mapping[str, str] = os.environ,
    directory: Path | None = None,
) -> LoadedSettings:
    """Gather the settings from flags, environment, settings file and defaults, in this order of precedence.

    Args:
        overrides: The values of flags, by the setting's name; None for a flag that was not given.
        environ: The environment. An empty variable is as good as none.
        directory: Where trioqueue.toml is looked for and relative paths start; the working directory by default.

    Raises:
        SettingsError: A value is not allowed, a name is not known, or a file cannot be read.
    """
    directory = directory or Path.cwd()
    given: dict[str, _Given] = {}
    problems: list[str] = []
    layers = _from_file(environ, directory), _from_environment(environ, directory), _from_flags(overrides, directory)
    for found in chain(*layers):
        if isinstance(found, _Given):
            given[found.name] = found
        else:
            problems.append(found)
    values: dict[str, Any] = {}
    for name, one in given.items():
        try:
            values[name] = _converted(one)
        except SettingsError as error:
            problems.extend(error.problems)
    if problems:
        raise SettingsError(*problems)
    named = {name: one.named for name, one in given.items()}
    effective = {name: values.get(name, SETTINGS[name].default) for name in ("heartbeat_interval", "lease")}
    if problem := clash(**effective, named=named):
        raise SettingsError(problem)
    sources = {name: given[name].source if name in given else DEFAULT for name in SETTINGS}
    return LoadedSettings(Settings(**values), MappingProxyType(sources))


def _from_file(environ: Mapping[str, str], directory: Path) -> Iterator[_Given | str]:
    chosen = environ.get(CONFIG_VARIABLE, "").strip()
    path = directory / (chosen or CONFIG_FILE)
    try:
        values = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        if chosen:
            yield f"{CONFIG_VARIABLE} names {path}, which does not exist"
        return
    except OSError as error:
        yield f"{path} cannot be read: {error.strerror}"
        return
    except UnicodeDecodeError:
        yield f"{path} is not UTF-8; save it as UTF-8"
        return
    except (ValueError, RecursionError) as error:
        yield f"{path} is not valid TOML: {error}"
        return
    for name, value in values.items():
        setting = SETTINGS.get(name)
        if setting is None:
            yield f"{name} in {path} is not a setting{_nearest(name, SETTINGS)}"
        elif setting.secret:
            yield (
                f"{name} in {path} is a secret and is not read from this file: remove it, and set {setting.variable}, "
                f"or {setting.file_variable} to the path of a file that holds it"
            )
        else:
            yield _Given(name, value, str(path), f"{name} in {path}", path.parent)


def _from_environment(environ: Mapping[str, str], directory: Path) -> Iterator[_Given | str]:
    known = {CONFIG_VARIABLE}
    for setting in SETTINGS.values():
        known.add(setting.variable)
        if value := environ.get(setting.variable, "").strip():
            yield _Given(setting.name, value, setting.variable, setting.variable, directory)
        if setting.secret:
            known.add(setting.file_variable)
            yield from _from_secret_file(setting, environ, directory)
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known and not variable.startswith(_TEST_PREFIX):
            yield f"{variable} is not a setting{_nearest(variable, known)}"


def _from_secret_file(setting: Setting, environ: Mapping[str, str], directory: Path) -> Iterator[_Given | str]:
    named = environ.get(setting.file_variable, "").strip()
    if not named:
        return
    if environ.get(setting.variable, "").strip():
        yield f"{setting.variable} and {setting.file_variable} are both set; unset one of them"
        return
    path = directory / named
    try:
        value = path.read_text("utf-8").strip()
    except OSError as error:
        yield f"{setting.file_variable} names {path}, which cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        yield f"{setting.file_variable} names {path}, which is not UTF-8"
    else:
        source = f"{setting.file_variable} ({path})"
        yield _Given(
            setting.name, value, source, f"the content of {path}, named by {setting.file_variable},", directory
        )


def secret_files(environ: Mapping[str, str] = os.environ, directory: Path | None = None) -> dict[str, Path]:
    """The files with secrets that the environment names, by their variables; see `load_settings`."""
    named = {one.file_variable: environ.get(one.file_variable, "").strip() for one in SETTINGS.values() if one.secret}
    return {variable: (directory or Path.cwd()) / name for variable, name in named.items() if name}


def _from_flags(overrides: Mapping[str, object], directory: Path) -> Iterator[_Given | str]:
    for name, value in overrides.items():
        setting = SETTINGS.get(name)
        if value is None:
            continue
        if setting is None:
            yield f"{name} is not a setting{_nearest(name, SETTINGS)}"
        elif setting.secret:
            yield f"{setting.flag} would show a secret to every user of this machine; set {setting.variable} instead"
        else:
            yield _Given(name, value, setting.flag, setting.flag, directory)


def _nearest(name: str, known: Collection[str]) -> str:
    """What to write instead of an unknown name. The prefix is left out of account: it makes any two names alike."""
    by_stem = {one.removeprefix(PREFIX): one for one in known}
    nearest = difflib.get_close_matches(name.removeprefix(PREFIX), by_stem, n=1)
    return f"; did you mean {by_stem[nearest[0]]}?" if nearest else f"; there are: {', '.join(sorted(known))}"


def _converted(given: _Given) -> object:
    setting = SETTINGS[given.name]
    try:
        value = _structured(given, setting.kind)
    except (TypeError, ValueError, ArithmeticError, RuntimeError):
        # The converter's error says no more than this, and repeats the value.
        raise SettingsError(setting.refusal(given.named, given.value)) from None
    if not setting.allows(value):
        raise SettingsError(setting.refusal(given.named, given.value))
    return value


def _structured(given: _Given, kind: Any) -> object:
    structure = _converter(given.directory).structure
    if get_origin(kind) is tuple:
        return tuple(structure(item, get_args(kind)[0]) for item in _items(given.value))
    return structure(given.value, kind)


def _converter(directory: Path) -> TSConverter:
    """typed-settings' converter, made strict: it takes 1.5 for the whole number 1, and True for the text "True"."""
    converter = TSConverter()
    converter.scalar_converters |= {
        StrEnum: lambda value, kind: kind(_only(str, value).lower()),
        int: lambda value, _: int(_only((int, str), value)),
        float: lambda value, _: float(_only((int, float, str), value)),
        Decimal: lambda value, _: Decimal(str(_only((int, float, str), value))),
        str: lambda value, _: _only(str, value),
        Path: lambda value, _: directory / Path(_only((str, Path), value)).expanduser(),
    }
    return converter


def _items(value: Any) -> list[Any]:
    """The items of a list, or what stands between the commas of a text."""
    if isinstance(value, str):
        return [item for part in value.split(",") if (item := part.strip())]
    return list(_only((list, tuple), value))


def _only(kinds: type | tuple[type, ...], value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TypeError(type(value).__name__)
    return value
