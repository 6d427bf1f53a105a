"""What a task leaves in its output file, and what of it is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness_core.runtime import outputs
from tests.domain.build import task


def written(tmp_path: Path, content: bytes) -> dict[str, str]:
    path = tmp_path / "outputs" / "s" / "t" / "1.env"
    outputs.prepare(path, None)
    path.write_bytes(content)
    return outputs.read(path, "s/t")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"revision=abc\nURL=http://x/?a=b\n", {"revision": "abc", "URL": "http://x/?a=b"}),
        (b"# a remark\n\n  padded=yes  \nempty=\n", {"padded": "yes", "empty": ""}),
        (b"twice=1\ntwice=2", {"twice": "2"}),
        (b"crlf=1\r\n", {"crlf": "1"}),
        (b"odd=\xff\n", {"odd": "\\xff"}),
        (b"", {}),
    ],
)
def test_lines_of_key_and_value_are_read(tmp_path: Path, content: bytes, found: dict[str, str]) -> None:
    assert written(tmp_path, content) == found


def test_a_line_that_is_none_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert written(tmp_path, b"1st=no\nexport A=1\nfine=yes\n") == {"fine": "yes"}
    assert caplog.text.count("is not KEY=value and is left out") == 2


def test_too_much_is_left_out_as_a_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert written(tmp_path, b"k=" + b"x" * 65_535) == {}
    assert "longer than 65536 bytes" in caplog.text


def test_a_file_that_is_gone_is_nothing(tmp_path: Path) -> None:
    assert outputs.read(tmp_path / "gone", "s/t") == {}


def test_the_file_is_private_and_empty_at_each_life(tmp_path: Path) -> None:
    path = outputs.path_for(tmp_path, task("t"), 1)
    outputs.prepare(path, None)
    path.write_text("k=v")
    outputs.prepare(path, None)
    assert path.read_text() == ""
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_somebody_put_in_its_place_is_not_followed(tmp_path: Path) -> None:
    path = outputs.path_for(tmp_path, task("t"), 1)
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        outputs.prepare(path, None)


def test_a_task_of_another_user_leaves_them_where_that_user_may_write(tmp_path: Path) -> None:
    spec = task("t", user="postgres", base_dir=str(tmp_path))
    path = outputs.path_for(tmp_path / "state", spec, 3)
    assert path == tmp_path / ".harness" / "outputs" / "s" / "t.3.env"
    before = os.umask(0o077)
    try:
        outputs.prepare(path, (os.getuid(), os.getgid()))
    finally:
        os.umask(before)
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (os.getuid(), 0o600)
    assert {folder.stat().st_mode & 0o777 for folder in path.parents[:3]} == {0o711}, "that user must get there"


def test_forgetting_a_unit_removes_its_files(tmp_path: Path) -> None:
    path = outputs.path_for(tmp_path, task("t"), 1)
    outputs.prepare(path, None)
    outputs.forget(tmp_path, "s/t")
    outputs.forget(tmp_path, "s/t")
    assert not path.parent.exists()
