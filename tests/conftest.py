"""Every test ends with nothing left: no process, descriptor, thread or task; and a skip may be made a failure."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from harness_core.testing.leaks import Snapshot, become_subreaper, pending_tasks
from tests.engine import Engine
from tests.sshd import Sshd

#: "all": what this machine cannot test is a failure, not a skip
REQUIRE = os.environ.get("HARNESS_TEST_REQUIRE", "")

become_subreaper()
pytest.register_assert_rewrite("harness_core.testing.conformance")


@pytest.fixture(autouse=True)
def leaves_nothing() -> Iterator[None]:
    """Set up before everything else of a test, so that it looks when all the rest is torn down."""
    before = Snapshot.take()
    yield
    leaks = before.leaks()
    if leaks:
        pytest.fail("the test left behind: " + "; ".join(leaks), pytrace=False)


@pytest.fixture
async def _leaves_no_task() -> AsyncIterator[None]:
    before = set(pending_tasks())
    yield
    left = [task for task in pending_tasks() if task not in before]
    if left:
        pytest.fail(f"the test left tasks behind: {left}", pytrace=False)


@pytest.fixture(autouse=True)
def leaves_no_task(request: pytest.FixtureRequest, leaves_nothing: None) -> None:
    """Only a test that has an event loop can leave a task in one."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_leaves_no_task")


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[Engine]:
    """One Docker engine for all tests that leave it running.

    Tests ask for it in their signature: what comes later than ``leaves_nothing`` is taken for left behind.
    """
    with Engine.private() as engine:
        yield engine


@pytest.fixture
def engine(shared_engine: Engine) -> Iterator[Engine]:
    """A Docker engine without any container; whatever the test leaves in it is a failure."""
    yield shared_engine
    left = [row["Names"][0] for row in shared_engine.containers()]
    shared_engine.clear()
    if left:
        pytest.fail(f"the test left containers behind: {', '.join(left)}", pytrace=False)


@pytest.fixture(scope="session")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One SSH server for all tests that leave it running as it is."""
    with Sshd.private(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """An SSH server of the test's own; its home is this process's, with a ``~/.ssh/config`` that calls it ``box``."""
    with Sshd.private(tmp_path / "sshd") as server:
        monkeypatch.setenv("HOME", str(server.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE == "all" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but HARNESS_TEST_REQUIRE=all: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if REQUIRE == "all" and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, but HARNESS_TEST_REQUIRE=all: {_reason(report.longrepr)}"
    return report


def _reason(longrepr: object) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
