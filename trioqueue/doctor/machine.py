"""Looks at this machine: what it is, its files with secrets, the data directory, and the addresses it is given."""

import os
import platform
import resource
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx

from trioqueue import __version__
from trioqueue.domain.checkup.findings import Check, Finding, failure, ok
from trioqueue.domain.checkup.machine import (
    FolderFacts,
    judge_address,
    judge_folder,
    judge_machine,
    judge_secret_file,
)
from trioqueue.http.proxies import is_loopback
from trioqueue.postgres.folder import DataFolder
from trioqueue.settings import SETTINGS, Settings, secret_files

ADDRESSES: Final = ("openrouter_url", "gateway_url", "gateway_lookup_url")
"""The settings that are addresses to which a key is sent."""

REQUIRED: Final = ("openrouter_api_key", "gateway_url", "gateway_key")
"""The settings without which no worker starts."""


def look_at_settings(settings: Settings) -> Iterator[Finding]:
    """What is missing."""
    missing = [SETTINGS[name] for name in REQUIRED if getattr(settings, name) is None]
    for setting in missing:
        yield failure(Check.SETTINGS, f"{setting.variable} is not set: {setting.help}", f"set {setting.variable}")
    if not missing:
        yield ok(Check.SETTINGS, "each is allowed, and none is missing")


def look_at_machine(environ: Mapping[str, str], settings: Settings | None) -> Finding:
    """What this machine is; of its limits, whether they suit the settings."""
    trivia = {
        "trioqueue": __version__,
        platform.python_implementation(): platform.python_version(),
        platform.system(): f"{platform.release()} {platform.machine()}",
    }
    if environ.get("NOTIFY_SOCKET"):
        trivia["under a service manager (NOTIFY_SOCKET is set)"] = ""
    # Each message in flight holds one connection, to the model or to the gateway; as many may be idle.
    needed = 2 * settings.concurrency + settings.pool_size + 1 if settings is not None else 0
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return judge_machine(trivia, files=0 if limit == resource.RLIM_INFINITY else limit, needed=needed)


def look_at_secrets(environ: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    """Which secrets others may read: in files, and on the way."""
    found = [
        *_secret_files(environ),
        *(finding for name in ADDRESSES if (finding := _address(name, getattr(settings, name))) is not None),
    ]
    yield from found
    if not found:
        yield ok(Check.SECRETS, "no key travels in clear, and none is read from a file")


def _secret_files(environ: Mapping[str, str]) -> Iterator[Finding]:
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    for variable, path in secret_files(environ).items():
        # systemd keeps others out by the directory and an access control list, which shows as a right of the group.
        kept = credentials is not None and path.is_relative_to(credentials)
        yield judge_secret_file(variable, str(path), 0o400 if kept else path.stat().st_mode)


def _address(name: str, url: str | None) -> Finding | None:
    address = httpx.URL(url or "")
    clear = address.scheme == "http" and not is_loopback(address.host)
    return judge_address(SETTINGS[name].variable, address.host, clear=clear)


def look_at_folder(path: Path) -> tuple[Finding, bool]:
    """What the data directory is like, and whether there is an embedded database in it.

    Raises:
        OSError: It cannot be looked at.
    """
    pgdata = DataFolder(path.resolve()).pgdata
    made = pgdata.exists()
    there = next(folder for folder in (pgdata, *pgdata.parents) if folder.exists())
    facts = FolderFacts(
        path=str(path),
        made=made,
        owner=there.stat().st_uid,
        account=os.geteuid(),
        free=shutil.disk_usage(there).free,
    )
    return judge_folder(facts), made
