"""The executor of compose projects, with a real engine and a real compose tool behind it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from executors.compose.command import LABELS
from executors.compose.plugin import harness_executors
from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.testing.conformance import Bench, ExecutorConformance, Feature, Program, script
from tests.engine import IMAGE, Engine

pytestmark = pytest.mark.timeout(300)


class TestCompose(ExecutorConformance):
    capabilities = Capabilities(listens_here=False, start_deadline=1830.0)
    #: what a container gets is said by the compose file, not by the service; and the engine tells an end by a signal
    #: as an exit code
    features = frozenset(Feature) - {Feature.REPORT, Feature.EXIT_SIGNAL}

    @pytest.fixture(autouse=True)
    def private_engine(self, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        if shutil.which("docker-compose") is None:
            pytest.skip("apt-get install docker-compose")
        self.engine = engine
        self.folder = tmp_path
        monkeypatch.setenv("DOCKER_HOST", engine.host)

    #: eighty compose tools take a minute and say nothing that the other ends do not
    test_an_end_that_comes_at_once_is_not_missed = None

    def make_plugin(self) -> ExecutorPlugin:
        plugins: list[ExecutorPlugin] = []
        harness_executors(plugins.append)
        (plugin,) = plugins
        return plugin

    def target(self, program: Program) -> dict[str, Any]:
        command = ["sh", "-c", script(program), "sh", *program.args]
        # what the shell puts in, compose would
        service: dict[str, Any] = {
            "image": IMAGE,
            "command": [word.replace("$", "$$") for word in command],
            "init": True,
        }
        # the engine's usual way to keep output knows text alone
        service["logging"] = {"driver": "local"}
        return {"type": "compose", "files": [self.file(f"{program.token}.json", {"one": service})]}

    def file(self, name: str, services: dict[str, Any]) -> str:
        path = self.folder / name
        path.write_text(json.dumps({"version": "3.7", "services": services}))
        return str(path)

    def broken_targets(self) -> list[tuple[dict[str, Any], bool]]:
        def broken(name: str, **service: Any) -> dict[str, Any]:
            return {"type": "compose", "files": [self.file(name, {"one": {"image": IMAGE, **service}})]}

        (self.folder / "text.yml").write_text("services: [")
        return [
            ({"type": "compose", "files": ["no-such-file.yml"]}, True),
            ({"type": "compose"}, True),
            ({"type": "compose", "working_dir": "no such folder"}, True),
            ({"type": "compose", "files": [str(self.folder / "text.yml")]}, True),
            (broken("key.json", nonsense=1), True),
            (broken("program.json", command=["no-such-program-anywhere"]), True),
            ({**broken("main.json", command=["sleep", "60"]), "main": "two"}, True),
        ]

    async def dispose(self, bench: Bench) -> None:
        """Instances that ended by themselves stay until they are stopped or started again."""
        for row in self.engine.containers():
            if row["Labels"].get(LABELS.PROJECT, "").startswith("conformance-"):
                self.engine.remove(row["Id"])
        self.engine.clear()
