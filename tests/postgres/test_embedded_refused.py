"""What keeps an embedded PostgreSQL from starting is explained, and left as it is."""

import os
import pwd
from pathlib import Path

import pytest

from tests.support.embedded_users import wait_until_unguarded
from tests.support.fake_postgres import postgres_of_version, program
from trioqueue.postgres.embedded import EmbeddedPostgresError, start


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder that PostgreSQL 17 made, as far as can be seen."""
    (tmp_path / "pgdata").mkdir()
    (tmp_path / "pgdata" / "PG_VERSION").write_text("17\n")
    return tmp_path


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """Programs of PostgreSQL 17."""
    return postgres_of_version(tmp_path / "bin", "17.2")


def test_another_major_version_is_refused(data_dir: Path, bin_dir: Path) -> None:
    """The error names both versions, the folder, and the ways out; the folder is left alone."""
    postgres_of_version(bin_dir, "18.4")
    with pytest.raises(EmbeddedPostgresError) as caught:
        start(data_dir, bin_dir=bin_dir)

    text = str(caught.value)

    assert f"{data_dir / 'pgdata'} was made by PostgreSQL 17, and {bin_dir} is PostgreSQL 18" in text
    assert "TRIOQUEUE_PG_BIN" in text
    assert [path.name for path in (data_dir / "pgdata").iterdir()] == ["PG_VERSION"]


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path, bin_dir: Path) -> None:
    """When initdb fails the error says why, and no folder is taken for a made one."""
    with pytest.raises(EmbeddedPostgresError, match=r"(?s)did not start:.*No space left on device.*initdb"):
        start(tmp_path / "data", bin_dir=bin_dir)

    assert not (tmp_path / "data" / "pgdata").exists()


def test_a_server_that_hangs_is_given_up(data_dir: Path, bin_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start is bounded, and the process that hung is stopped."""
    answer = "[ $1 = --version ] && echo 'postgres (PostgreSQL) 17.2' && exit"
    program(bin_dir, "postgres", f'{answer}; mkfifo "$2/hang"; exec cat "$2/hang"')
    monkeypatch.setattr("trioqueue.postgres.embedded.START_SECONDS", 0.3)

    with pytest.raises(EmbeddedPostgresError, match="does not answer after"):
        start(data_dir, bin_dir=bin_dir)

    wait_until_unguarded(data_dir)


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    """A data directory that cannot be made is an error of ours, which names it."""
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedPostgresError, match=str(tmp_path / "file")):
        start(tmp_path / "file" / "data")


def test_a_foreign_folder_is_explained(tmp_path: Path) -> None:
    """A pgdata that PostgreSQL did not make is left alone."""
    (tmp_path / "pgdata").mkdir()

    with pytest.raises(EmbeddedPostgresError, match=r"is not a PostgreSQL folder.*Move it away"):
        start(tmp_path)


def test_a_folder_of_somebody_else_is_refused(data_dir: Path, bin_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the owner, as whom trioqueue is to be run."""
    owner = os.geteuid()
    other = next(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid not in (0, owner))
    monkeypatch.setattr(os, "geteuid", lambda: other)

    with pytest.raises(EmbeddedPostgresError, match=f"belongs to user {owner}, and this is user {other}"):
        start(data_dir, bin_dir=bin_dir)
