"""The one directory of a daemon: private, locked, and not to be mistaken for a copy of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness_core.domain.errors import Conflict, InvalidConfiguration
from harness_core.runtime.statedir import StateDir, default_path


def test_it_is_made_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with StateDir(tmp_path / "a" / "state") as state:
            state.write_card({"pid": 1, "url": "x"})
            modes = {path.name: path.stat().st_mode & 0o777 for path in state.path.iterdir()}
            assert state.path.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
    assert modes == {"daemon.lock": 0o600, "daemon.json": 0o600}


def test_a_directory_that_others_may_enter_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    with StateDir(tmp_path / "state") as state:
        assert state.path.stat().st_mode & 0o777 == 0o700


def test_a_second_daemon_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    with StateDir(tmp_path) as state:
        state.write_card({"pid": 4711, "url": "https://127.0.0.1:9443"})
        with (
            pytest.raises(Conflict, match=r"pid 4711 at https://127\.0\.0\.1:9443 holds it") as caught,
            StateDir(tmp_path),
        ):
            pass
        assert caught.value.hint == "harness daemon status"
        assert state.read_card() is not None, "the first one's card stays"


def test_a_second_daemon_is_refused_while_the_first_has_not_said_who_it_is(tmp_path: Path) -> None:
    with StateDir(tmp_path), pytest.raises(Conflict, match="another daemon holds it"), StateDir(tmp_path):
        pass


def test_the_lock_ends_with_its_holder_and_the_card_with_it(tmp_path: Path) -> None:
    with StateDir(tmp_path) as state:
        state.write_card({"pid": 1, "url": "x"})
    with StateDir(tmp_path) as state:
        assert state.read_card() is None


def test_a_directory_made_anew_in_its_place_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "state"
    with ExitStack() as old:
        old.enter_context(StateDir(place))
        shutil.rmtree(place)
        with StateDir(place) as second:
            second.write_card({"pid": 2, "url": "y"})
            old.close()
            assert second.read_card() is not None, "the card of the one that is there now"


def test_the_lock_is_not_inherited_by_what_the_daemon_starts(tmp_path: Path) -> None:
    with StateDir(tmp_path):
        program = [sys.executable, "-c", "print('here', flush=True); input()"]
        child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
        assert child.stdout is not None
        # what is closed on exec is closed only once the program itself runs
        assert child.stdout.readline() == b"here\n"
    try:
        with StateDir(tmp_path):
            pass
    finally:
        child.communicate(b"\n")


@pytest.mark.parametrize("kind", ["file", "link", "unreachable"])
def test_what_cannot_be_the_state_directory_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state"
    if kind == "file":
        path.write_text("")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
    else:
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "state"
    with pytest.raises(InvalidConfiguration, match="as state directory: "), StateDir(path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(InvalidConfiguration, match="it belongs to another user"), StateDir(tmp_path):
        pass
    os.chown(tmp_path, os.geteuid(), os.getegid())


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "daemon.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidConfiguration, match=r"daemon\.lock"), StateDir(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "no json", "[]", "{}", '{"pid": 1}'])
def test_a_card_that_is_none_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "daemon.json").write_text(content)
    assert StateDir(tmp_path).read_card() is None


def test_a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    with StateDir(tmp_path) as state:
        (tmp_path / f".token.{os.getpid()}").write_text("left by one that died")
        state.write("token", b"one")
        state.write("token", b"two")
        assert (tmp_path / "token").read_bytes() == b"two"
        assert {path.name for path in tmp_path.iterdir()} == {"daemon.lock", "token"}


def test_its_identity_stays_and_a_copy_has_another(tmp_path: Path) -> None:
    with StateDir(tmp_path / "first") as state:
        identity = state.instance()
    with StateDir(tmp_path / "first") as state:
        assert state.instance() == identity
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    with StateDir(tmp_path / "copy") as state:
        copied = state.instance()
        assert copied != identity
        assert state.instance() == copied


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"place": 1}'])
def test_an_identity_that_cannot_be_read_is_made_anew(tmp_path: Path, content: str) -> None:
    with StateDir(tmp_path) as state:
        (tmp_path / "instance").write_text(content)
        fresh = state.instance()
        assert len(fresh) == 16
        assert state.instance() == fresh


def test_where_it_is_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_STATE_DIR", str(tmp_path))
    assert default_path() == tmp_path
    monkeypatch.setenv("HARNESS_STATE_DIR", "~/x")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / "x"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_STATE_DIR", "relative")
    assert default_path() == tmp_path / "relative"
    monkeypatch.delenv("HARNESS_STATE_DIR")
    assert default_path().name == "harness"
