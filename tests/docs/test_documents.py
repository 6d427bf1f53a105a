"""What the documents say is true: their stack files are valid, and their commands do what is printed there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.domain.loading import load_stack
from harness_core.domain.protocol import StackSource
from harness_core.runtime.plugins import load_plugins
from tests.engine import Engine
from tests.sshd import Sshd

from .documents import Block, blocks, commands, completed, explain_mismatch
from .session import ROOT, Session

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
#: in a document whose commands need an engine; it has the image busybox:1
NEEDS_ENGINE = "<!-- needs: a Docker engine -->"
#: in one whose commands need another machine, which is called box
NEEDS_SSHD = "<!-- needs: an SSH server -->"
RUNNABLE = {"console", "sh"}
ALL = [block for document in DOCUMENTS for block in blocks(document)]


def _name(value: object) -> str:
    return str(value) if isinstance(value, Block) else str(getattr(value, "name", value))


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "yaml" and not b.not_run], ids=_name)
def test_stack_files_are_valid(block: Block) -> None:
    options = {kind: plugin.options for kind, plugin in load_plugins().executors.items()}
    source = StackSource(text=completed(block), filename=str(block), base_dir=str(ROOT), env=dict(os.environ))
    loaded = load_stack(source, options, read=lambda path: Path(path).read_bytes())
    assert [f"{d['line']}: {d['message']}" for d in loaded.diagnostics] == []


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session(tmp_path)
    yield session
    session.close()


def _to_run(needs: str = "") -> list[Path]:
    """The documents with commands, by what these need."""
    runnable = {b.document for b in ALL if b.language in RUNNABLE and not b.not_run}
    return sorted(d for d in runnable if _needs(d) == needs)


def _needs(document: Path) -> str:
    text = document.read_text(encoding="utf-8")
    return next((need for need in (NEEDS_ENGINE, NEEDS_SSHD) if need in text), "")


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", _to_run(), ids=_name)
def test_commands_do_what_is_printed(document: Path, session: Session) -> None:
    type_all(document, session)


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", _to_run(NEEDS_ENGINE), ids=_name)
def test_commands_for_containers_do_what_is_printed(document: Path, session: Session, engine: Engine) -> None:
    engine.make_image("busybox:1")
    session.env["DOCKER_HOST"] = engine.host
    type_all(document, session)


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", _to_run(NEEDS_SSHD), ids=_name)
def test_commands_for_other_machines_do_what_is_printed(document: Path, sshd: Sshd, session: Session) -> None:
    shutil.copytree(sshd.home / ".ssh", Path(session.env["HOME"], ".ssh"))
    type_all(document, session)


def type_all(document: Path, session: Session) -> None:
    """Top to bottom, in one folder, with one daemon: as a reader would type it."""
    for block in blocks(document):
        if block.file:
            place = session.folder / block.file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text, encoding="utf-8")
        if block.language not in RUNNABLE or block.not_run:
            continue
        for command in commands(block):
            done = session.run(command.line)
            told = f"{block}\n$ {command.line}\n{done.stdout}"
            assert done.returncode == command.code, f"exit code {done.returncode}, not {command.code}: {told}"
            if command.expected is not None:
                mismatch = explain_mismatch(command.expected, done.stdout)
                assert not mismatch, f"{mismatch}: {told}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r'(?:src|href)="([^"#]+)"', text)
    missing = [
        t for t in targets if "://" not in t and not t.startswith("mailto:") and not (document.parent / t).exists()
    ]
    assert missing == []


def test_blocks_that_are_not_run_say_why() -> None:
    assert [str(b) for b in ALL if b.not_run and len(b.not_run) < 10] == []
