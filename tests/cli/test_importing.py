"""``harness import`` on the command line: which files, which format, where to, and how it fails."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.kit import line

PROCFILE = "web: ./serve\n"
LOSING = "[program:x]\ncommand=cat\nstartsecs=3\n"


def test_it_writes_to_standard_output_and_says_what_it_did(capfd: Any) -> None:
    Path("Procfile").write_text(PROCFILE)
    ran = line(capfd, "import")
    assert ran.code == 0
    assert ran.out.startswith("# yaml-language-server: $schema=")
    assert "name: work\n" in ran.out
    assert ran.err == "procfile: 1 service\n"
    assert line(capfd, "import", "Procfile", "-q").err == ""


def test_what_is_lost_is_told_as_compilers_do(capfd: Any) -> None:
    Path("supervisord.conf").write_text(LOSING)
    ran = line(capfd, "import", "supervisord.conf", "-o", "harness.yaml")
    assert ran.code == 0
    assert ran.err.splitlines()[0].startswith("supervisord.conf:3:1: not carried over: [program:x].startsecs: ")
    assert ran.err.splitlines()[1] == "wrote harness.yaml, 1 service; 1 thing is not carried over"
    assert ran.out == ""
    strict = line(capfd, "import", "supervisord.conf", "-o", "other.yaml", "--strict")
    assert (strict.code, Path("other.yaml").exists()) == (3, False)


def test_a_file_that_is_there_is_kept_unless_said_otherwise(capfd: Any) -> None:
    Path("Procfile").write_text(PROCFILE)
    Path("harness.yaml").write_text("mine")
    ran = line(capfd, "import", "-o", "harness.yaml")
    assert (ran.code, Path("harness.yaml").read_text()) == (6, "mine")
    assert "--force" in ran.err
    assert line(capfd, "import", "-o", "harness.yaml", "--force").code == 0
    assert "name: work" in Path("harness.yaml").read_text()
    Path("harness.yaml").write_text("mine")
    assert line(capfd, "import", "-o", "harness.yaml", "-y").code == 0
    assert "name: work" in Path("harness.yaml").read_text()
    assert {path.name for path in Path().iterdir()} == {"Procfile", "harness.yaml"}
    assert line(capfd, "import", "-o", "no/such/folder.yaml").code == 3
    Path("folder").mkdir()
    assert line(capfd, "import", "-o", "folder", "--force").code == 3


def test_paths_follow_the_stack_file(capfd: Any) -> None:
    Path("app").mkdir()
    Path("app/Procfile").write_text(PROCFILE)
    assert "working_dir: ./app" in line(capfd, "import", "app/Procfile").out
    assert line(capfd, "import", "app/Procfile", "-o", "app/harness.yaml").code == 0
    assert "working_dir" not in Path("app/harness.yaml").read_text()
    assert "name: app" in Path("app/harness.yaml").read_text()


def test_formats_are_told_by_name_by_content_or_by_the_caller(capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("anything").write_text("processes: {a: {command: cat}}\n")
    assert line(capfd, "import", "anything").err == "process-compose: 1 service\n"
    Path("compose.yaml").write_text("processes: {a: {command: cat}}\n")
    assert line(capfd, "import", "compose.yaml").err == "process-compose: 1 service\n"
    Path("plain").write_text("job: cat\n")
    unknown = line(capfd, "import", "plain")
    assert unknown.code == 3
    assert "--from compose or procfile or supervisord or process-compose or services.json" in unknown.err
    assert line(capfd, "import", "plain", "--from", "procfile").code == 0
    assert line(capfd, "import", "plain", "--from", "cron").code == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"web: cat\n")))
    assert line(capfd, "import", "-", "--name", "piped").out.count("name: piped") == 1


def test_without_a_file_what_lies_here_is_taken_if_it_is_one_thing(capfd: Any) -> None:
    none = line(capfd, "import")
    assert (none.code, "there is no compose file" in none.err) == (2, True)
    Path("docker-compose.yml").write_text("services: {web: {image: a}}\n")
    Path("docker-compose.override.yml").write_text("services: {web: {image: b}}\n")
    assert "image: b" in line(capfd, "import").out
    assert "image: a" in line(capfd, "import", "docker-compose.yml").out
    Path("Procfile").write_text(PROCFILE)
    two = line(capfd, "import")
    assert (two.code, "docker-compose.yml, Procfile" in two.err) == (2, True)
    assert line(capfd, "import", "Procfile", "docker-compose.yml").code == 2


def test_data_for_programs(capfd: Any) -> None:
    Path("supervisord.conf").write_text(LOSING)
    told = line(capfd, "import", "-o", "json").json
    assert (told["format"], told["name"], told["written"]) == ("supervisord", "work", "-")
    assert [(one["file"], one["line"], one["column"], one["what"]) for one in told["lost"]] == [
        ("supervisord.conf", 3, 1, "[program:x].startsecs")
    ]
    assert told["text"].startswith("# yaml-language-server")
    assert line(capfd, "import", "-o", "name").out == "work\n"
    assert line(capfd, "-o", "json", "import", "-o", "x.yaml").json["written"] == "x.yaml"


def test_mistakes_are_findings_with_their_place(capfd: Any) -> None:
    Path("compose.yaml").write_text("services:\n  web:\n    image: a\n    image: b\n")
    ran = line(capfd, "import")
    assert ran.code == 3
    assert "compose.yaml:4:5" in ran.err
    assert "cannot import compose.yaml: there is one mistake in it" in ran.err
    assert line(capfd, "import", "nothing.yaml").code == 3
    assert line(capfd, "import", "--name", "No Name").code == 2
    Path("big").write_bytes(b"#" * ((1 << 20) + 1))
    assert line(capfd, "import", "big").code == 3
    Path("latin").write_bytes(b"web: \xe4")
    assert line(capfd, "import", "latin").code == 3
