from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli import stackfile
from harness_core.domain.errors import InvalidConfiguration, UsageError


def test_the_nearest_stack_file_upwards_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert stackfile.find(str(deep)) is None
    (tmp_path / "harness.yml").write_text("name: x\n")
    assert stackfile.find(str(deep)) == str(tmp_path / "harness.yml")
    (tmp_path / "a" / "harness.yaml").write_text("name: y\n")
    assert stackfile.find(str(deep)) == str(tmp_path / "a" / "harness.yaml")


def test_words_are_files_or_units() -> None:
    Path("existing").write_text("")
    Path("stack").mkdir()
    Path("empty").mkdir()
    Path("stack/harness.yaml").write_text("name: x\n")
    assert stackfile.split(["gone.yaml", "db", "api*"]) == (["gone.yaml"], ["db", "api*"])
    assert stackfile.split(["existing", "stack", "empty", "-"][:2]) == (["existing", "stack"], [])
    assert stackfile.split(["empty"]) == ([], ["empty"])
    assert stackfile.split(["-", "db"]) == (["-"], ["db"])
    with pytest.raises(UsageError):
        stackfile.split(["a.yaml", "b.yaml", "db"])


def test_a_directory_means_the_file_in_it() -> None:
    Path("shop").mkdir()
    Path("shop/harness.yml").write_text("name: shop\n")
    source = stackfile.source("shop", {})
    assert source["filename"] == "shop/harness.yml"
    assert source["base_dir"] == os.path.abspath("shop")


def test_a_stack_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"name: x\n")))
    source = stackfile.source("-", {})
    assert (source["text"], source["filename"], source["base_dir"]) == ("name: x\n", "<stdin>", os.getcwd())


def test_only_what_is_named_and_what_all_need_is_sent() -> None:
    Path("a.yaml").write_text("x: ${A} ${B:-b} ${C:?c} $D $${E} ${db.port}\n")
    environ = dict.fromkeys("ABCDEF", "1") | {"PATH": "/bin", "LC_TIME": "C", "XDG_RUNTIME_DIR": "/run", "LCX": "1"}
    # $${E} is a literal to the daemon; sending E along harms nobody who wrote its name
    assert stackfile.source("a.yaml", environ)["env"].keys() == {
        *("A", "B", "C", "E", "PATH", "LC_TIME", "XDG_RUNTIME_DIR"),
    }


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    Path("a.yaml").write_bytes(b"\xef\xbb\xbfname: x\n")
    assert stackfile.source("a.yaml", {})["text"] == "name: x\n"


def test_values_that_cannot_travel_are_left_out() -> None:
    Path("a.yaml").write_text("x: ${BAD}\n")
    assert stackfile.source("a.yaml", {"BAD": "\udcff"})["env"] == {}
    exported = {"BASH_FUNC_x%%": "() { :; }", "OK": "1"}
    assert stackfile.source("a.yaml", exported, inherit=["all"])["env"] == {"OK": "1", "HARNESS_INHERIT": "OK"}


@pytest.mark.parametrize("assignment", ["novalue", "=x", "1A=x", "A B=x"])
def test_assignments_must_be_assignments(assignment: str) -> None:
    Path("a.yaml").write_text("")
    with pytest.raises(UsageError, match="--set"):
        stackfile.source("a.yaml", {}, assignments=[assignment])


def test_env_files() -> None:
    Path("a.env").write_text("# c\n\nA=1\nexport B = 'two words'\nC=\"x=y\"\nD=\n")
    assert stackfile.read_env_file("a.env") == {"A": "1", "B": "two words", "C": "x=y", "D": ""}
    Path("bad.env").write_text("A=1\nnot an assignment\n")
    with pytest.raises(InvalidConfiguration, match=r"bad\.env:2"):
        stackfile.read_env_file("bad.env")
    with pytest.raises(InvalidConfiguration, match="no such file"):
        stackfile.read_env_file("gone.env")
    Path("latin.env").write_bytes(b"A=\xe4\n")
    with pytest.raises(InvalidConfiguration, match="UTF-8"):
        stackfile.read_env_file("latin.env")


def test_files_that_cannot_be_read_say_why_and_what_is_near() -> None:
    Path("shop.yaml").write_text("name: shop\n")
    with pytest.raises(InvalidConfiguration, match="no such file") as missing:
        stackfile.source("shp.yaml", {})
    assert missing.value.hint == "did you mean shop.yaml?"
    with pytest.raises(InvalidConfiguration) as other:
        stackfile.source("compose.yaml", {})
    assert other.value.hint == "there are: shop.yaml", "what is near is not what has the same suffix"
    Path("loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(InvalidConfiguration, match="symbolic links") as loop:
        stackfile.source("loop.yaml", {})
    assert not loop.value.hint
    with pytest.raises(InvalidConfiguration) as nowhere:
        stackfile.source("no/where.yaml", {})
    assert nowhere.value.hint == "there is no directory no"
    Path("latin.yaml").write_bytes(b"name: x\n# \xe4\n")
    with pytest.raises(InvalidConfiguration, match="line 2 is not UTF-8"):
        stackfile.source("latin.yaml", {})
    Path("large.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(InvalidConfiguration, match="larger than 1 MiB"):
        stackfile.source("large.yaml", {})
    Path("folder.yaml").mkdir()
    with pytest.raises(InvalidConfiguration, match=r"folder\.yaml/harness\.yaml: no such file"):
        stackfile.source("folder.yaml", {})
