"""PostgreSQL's programs are found in a fixed order, and an error says what to do when they are not."""

from pathlib import Path

import pytest

from tests.support.fake_postgres import postgres_of_version, program
from trioqueue.postgres import programs
from trioqueue.postgres.programs import EmbeddedPostgresError


def test_the_version_that_made_the_folder_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several versions installed, a new folder gets the first found and an old one its own."""
    folders = [postgres_of_version(tmp_path / version, version) for version in ("18.4", "17.2", "15.18")]
    monkeypatch.setattr(programs, "_program_folders", lambda: iter(folders))
    choices = [programs.find_programs(None, [], made_by).folder for made_by in (None, "18", "15", "9")]

    assert choices == [folders[0], folders[0], folders[2], folders[0]]


def test_system_versions_are_tried_from_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the versions that Debian keeps side by side the highest number wins, not the last in the alphabet."""
    for version in ("9", "18", "15"):
        postgres_of_version(tmp_path / version / "bin", version)
    monkeypatch.setattr(programs, "WHEELS", ())
    monkeypatch.setattr(programs, "SYSTEM_FOLDER", tmp_path)

    assert programs.find_programs(None, [], None) == programs.Programs(tmp_path / "18" / "bin", 18)


def test_postgres_on_the_path_is_found_through_its_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The link's target says where the other programs are."""
    folder = postgres_of_version(tmp_path / "real", "17.2")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "postgres").symlink_to(folder / "postgres")
    monkeypatch.setattr(programs, "WHEELS", ())
    monkeypatch.setattr(programs, "SYSTEM_FOLDER", tmp_path / "nothing")
    monkeypatch.setenv("PATH", str(tmp_path / "links"))

    assert programs.find_programs(None, [], None) == programs.Programs(folder, 17)


def test_without_programs_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing found: install the extra, or name a server."""
    monkeypatch.setattr(programs, "WHEELS", (("no_such_package", "pginstall"),))
    monkeypatch.setattr(programs, "SYSTEM_FOLDER", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EmbeddedPostgresError, match=r"(?s)trioqueue\[embedded\].*TRIOQUEUE_DATABASE_URL"):
        programs.find_programs(None, [], None)


def test_a_wrong_program_folder_is_named(tmp_path: Path) -> None:
    """A folder given that holds no PostgreSQL is an error, even if there is one elsewhere."""
    with pytest.raises(EmbeddedPostgresError, match=rf"{tmp_path} holds no PostgreSQL.*TRIOQUEUE_PG_BIN"):
        programs.find_programs(tmp_path, [], None)


def test_a_program_that_is_not_postgres_is_named(tmp_path: Path) -> None:
    """A program that does not tell a version is not run as a server."""
    folder = postgres_of_version(tmp_path, "18")
    program(folder, "postgres", "echo hello")

    with pytest.raises(EmbeddedPostgresError, match=r"postgres cannot be run: hello"):
        programs.find_programs(folder, [], None)


@pytest.mark.parametrize("script", ["echo 'unshare failed: Operation not permitted' >&2; exit 1", None])
def test_a_refused_user_namespace_is_explained(script: str | None, tmp_path: Path) -> None:
    """Where root may not make a user namespace, or there is no unshare, the error says what to do instead."""
    if script:
        program(tmp_path, "unshare", script)
    folder = postgres_of_version(tmp_path / "bin", "18")

    with pytest.raises(EmbeddedPostgresError, match="Run trioqueue as an ordinary user, or set TRIOQUEUE_DATABASE_URL"):
        programs.find_programs(folder, [str(tmp_path / "unshare")], None)
