"""Private files: their mode whatever the umask, links and foreign things refused, content whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from harness_core.domain.errors import NotAllowed
from harness_core.doors.private import private_directory, read_private, set_aside, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_files_and_directories_are_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        folder = private_directory(tmp_path / "folder")
        write_private(folder / "file", b"content")
    finally:
        os.umask(before)
    assert mode(folder) == 0o700
    assert mode(folder / "file") == 0o600
    assert read_private(folder / "file") == b"content"
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_loose_mode_is_tightened(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    path.chmod(0o666)
    tmp_path.chmod(0o777)
    private_directory(tmp_path)
    assert read_private(path) == b"x"
    assert (mode(path), mode(tmp_path)) == (0o600, 0o700)


def test_links_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"x")
    target.chmod(0o644)
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(NotAllowed, match="it is a link"):
        read_private(link)
    with pytest.raises(NotAllowed, match="it is a link"):
        write_private(link, b"y")
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    with pytest.raises(NotAllowed, match="a link"):
        private_directory(tmp_path / "folder")
    assert target.read_bytes() == b"x"
    assert mode(target) == 0o644


def test_what_is_no_regular_file_or_too_large_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NotAllowed, match="not a regular file"):
        read_private(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * 11)
    with pytest.raises(NotAllowed, match="larger than 10 bytes"):
        read_private(tmp_path / "large", limit=10)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotAllowed, match="not a directory"):
        private_directory(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    os.chown(path, 12345, -1)
    with pytest.raises(NotAllowed, match="belongs to user 12345"):
        read_private(path)
    folder = tmp_path / "folder"
    folder.mkdir()
    os.chown(folder, 12345, -1)
    with pytest.raises(NotAllowed, match="belongs to user 12345"):
        private_directory(folder)


def test_setting_aside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert set_aside(path, "mark") is None
    path.write_bytes(b"x")
    assert set_aside(path, "mark") == tmp_path / "file.mark"
    assert not path.exists()
