"""Attachments to containers: what they promise, with a real engine and containers that somebody else started."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from executors.docker_attach.plugin import harness_executors
from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.testing.conformance import Bench, ExecutorConformance, Feature, Program, script
from tests.engine import Engine


class TestDockerAttach(ExecutorConformance):
    capabilities = Capabilities(stop=False, listens_here=False)
    features = frozenset({Feature.OUTPUT, Feature.UNSEEN_END})

    @pytest.fixture(autouse=True)
    def private_engine(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        monkeypatch.setenv("DOCKER_HOST", engine.host)

    def make_plugin(self) -> ExecutorPlugin:
        self.foreign: list[str] = []
        plugins: list[ExecutorPlugin] = []
        harness_executors(plugins.append)
        (plugin,) = plugins
        return plugin

    def target(self, program: Program) -> dict[str, Any]:
        name = f"foreign-{uuid.uuid4().hex[:12]}"
        self.foreign.append(self.engine.run(name, "sh", "-c", script(program), HostConfig={"Init": True}))
        return {"type": "docker-attach", "container": name}

    def broken_targets(self) -> list[tuple[dict[str, Any], bool]]:
        return [({"type": "docker-attach", "container": "no-such-container"}, False)]

    async def dispose(self, bench: Bench) -> None:
        for one in self.foreign:
            self.engine.remove(one)
