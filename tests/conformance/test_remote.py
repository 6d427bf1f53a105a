"""The executor of processes on other machines, with a real OpenSSH server before it."""

from __future__ import annotations

from typing import Any

import pytest

from executors.remote.plugin import harness_executors
from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.testing.conformance import Bench, ExecutorConformance, Program, script
from tests.sshd import Sshd


class TestRemote(ExecutorConformance):
    capabilities = Capabilities(adopt=False, listens_here=False)

    @pytest.fixture(autouse=True)
    def reached_by_the_ssh_configuration(self, shared_sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(shared_sshd.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    def make_plugin(self) -> ExecutorPlugin:
        plugins: list[ExecutorPlugin] = []
        harness_executors(plugins.append)
        (plugin,) = plugins
        return plugin

    def target(self, program: Program) -> dict[str, Any]:
        args = ["-c", script(program), "sh", *program.args]
        return {"type": "remote", "host": "box", "binary": "sh", "args": args}

    def broken_targets(self) -> list[tuple[dict[str, Any], bool]]:
        base = {"type": "remote", "host": "box", "binary": "sh"}
        return [
            ({**base, "binary": "no-such-program-anywhere"}, True),
            ({**base, "binary": "/etc"}, True),
            ({**base, "binary": "/etc/passwd"}, True),
            ({**base, "working_dir": "no such folder"}, True),
            ({**base, "host": "127.0.0.1"}, False),
        ]

    async def test_it_runs_in_the_directory_that_was_asked_for(self) -> None:
        """Directories are the other machine's."""
        async with Bench(self) as bench:
            inner = bench.base / "in side"
            inner.mkdir()
            spec = bench.spec(Program(reports=True, args=("x",)))
            options = spec.options.model_copy(update={"working_dir": str(inner)})
            started = await bench.executor.start(type(spec)(spec.marker, options, spec.env, spec.base_dir))
            assert (await bench.executor.wait(spec.marker, started.handle)).success
            assert bench.output().split(b"\0")[1].decode() == str(inner)
