"""Operations that change units: stacks, services, tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness_core.client.caller import Caller, as_params

if TYPE_CHECKING:
    from harness_core.client.stream import Stream
    from harness_core.domain.protocol import (
        Done,
        ExecResult,
        FollowItem,
        OperationResult,
        PlanResult,
        StackSource,
        ValidateResult,
    )

__all__ = ["Lifecycle"]


class Lifecycle(Caller):
    """Operations that change units: stacks, services, tasks; mixed into ``Client``."""

    def stack_validate(self, *, source: StackSource, strict: bool = False) -> ValidateResult:
        """Check a stack file."""
        answer: ValidateResult = self.call("stack.validate", {"source": as_params(source), "strict": strict})
        return answer

    def stack_plan(self, *, source: StackSource, names: Sequence[str] = (), profiles: Sequence[str] = ()) -> PlanResult:
        """What starting this file would do."""
        answer: PlanResult = self.call(
            "stack.plan", {"source": as_params(source), "names": list(names), "profiles": list(profiles)}
        )
        return answer

    def stack_start(
        self,
        *,
        source: StackSource,
        names: Sequence[str] = (),
        profiles: Sequence[str] = (),
        no_deps: bool = False,
        timeout: float | None = None,
        wait: bool = True,
        rollback: bool = False,
        rerun_tasks: bool = False,
    ) -> Stream[FollowItem, OperationResult]:
        """Define and start a stack."""
        return self.stream(
            "stack.start",
            {
                "source": as_params(source),
                "names": list(names),
                "profiles": list(profiles),
                "no_deps": no_deps,
                "timeout": timeout,
                "wait": wait,
                "rollback": rollback,
                "rerun_tasks": rerun_tasks,
            },
        )

    def stack_forget(self, *, stack: str) -> Done:
        """Remove a stopped stack's record."""
        answer: Done = self.call("stack.forget", {"stack": stack})
        return answer

    def service_start(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        all: bool = False,
        no_deps: bool = False,
        timeout: float | None = None,
        wait: bool = True,
        force: bool = False,
        grace: float | None = None,
    ) -> Stream[FollowItem, OperationResult]:
        """Start units."""
        return self.stream(
            "service.start",
            {
                "names": list(names),
                "stack": stack,
                "cwd": cwd,
                "all": all,
                "no_deps": no_deps,
                "timeout": timeout,
                "wait": wait,
                "force": force,
                "grace": grace,
            },
        )

    def service_stop(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        all: bool = False,
        no_deps: bool = False,
        timeout: float | None = None,
        wait: bool = True,
        force: bool = False,
        grace: float | None = None,
    ) -> Stream[FollowItem, OperationResult]:
        """Stop units."""
        return self.stream(
            "service.stop",
            {
                "names": list(names),
                "stack": stack,
                "cwd": cwd,
                "all": all,
                "no_deps": no_deps,
                "timeout": timeout,
                "wait": wait,
                "force": force,
                "grace": grace,
            },
        )

    def service_restart(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        all: bool = False,
        no_deps: bool = False,
        timeout: float | None = None,
        wait: bool = True,
        force: bool = False,
        grace: float | None = None,
    ) -> Stream[FollowItem, OperationResult]:
        """Restart units."""
        return self.stream(
            "service.restart",
            {
                "names": list(names),
                "stack": stack,
                "cwd": cwd,
                "all": all,
                "no_deps": no_deps,
                "timeout": timeout,
                "wait": wait,
                "force": force,
                "grace": grace,
            },
        )

    def service_wait(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        condition: str = "ready",
        timeout: float | None = None,
    ) -> Stream[FollowItem, OperationResult]:
        """Wait for a condition."""
        return self.stream(
            "service.wait",
            {"names": list(names), "stack": stack, "cwd": cwd, "condition": condition, "timeout": timeout},
        )

    def service_affected(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        all: bool = False,
        no_deps: bool = False,
        timeout: float | None = None,
        wait: bool = True,
        force: bool = False,
        grace: float | None = None,
    ) -> PlanResult:
        """What stopping these would stop besides."""
        answer: PlanResult = self.call(
            "service.affected",
            {
                "names": list(names),
                "stack": stack,
                "cwd": cwd,
                "all": all,
                "no_deps": no_deps,
                "timeout": timeout,
                "wait": wait,
                "force": force,
                "grace": grace,
            },
        )
        return answer

    def service_adopt(
        self,
        *,
        name: str,
        stack: str | None = None,
        cwd: str = "",
        pid: int | None = None,
        port: int | None = None,
        pid_file: str | None = None,
        match: str | None = None,
        container: str | None = None,
    ) -> Done:
        """Take over a running process or container."""
        what = {"pid": pid, "port": port, "pid_file": pid_file, "match": match, "container": container}
        answer: Done = self.call("service.adopt", {"name": name, "stack": stack, "cwd": cwd, **what})
        return answer

    def service_forget(self, *, name: str, stack: str | None = None, cwd: str = "") -> Done:
        """Give up without stopping."""
        answer: Done = self.call("service.forget", {"name": name, "stack": stack, "cwd": cwd})
        return answer

    def task_run(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        again: bool = False,
        timeout: float | None = None,
    ) -> Stream[FollowItem, OperationResult]:
        """Run tasks."""
        return self.stream(
            "task.run", {"names": list(names), "stack": stack, "cwd": cwd, "again": again, "timeout": timeout}
        )

    def logs_clear(self, *, names: Sequence[str] = (), stack: str | None = None, cwd: str = "") -> Done:
        """Drop stored output."""
        answer: Done = self.call("logs.clear", {"names": list(names), "stack": stack, "cwd": cwd})
        return answer

    def exec(
        self,
        *,
        name: str,
        argv: Sequence[str],
        stack: str | None = None,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        tty: bool = False,
        rows: int = 24,
        columns: int = 80,
    ) -> Stream[tuple[dict[str, Any], bytes], ExecResult]:
        """Run a command in a unit's context."""
        return self.stream(
            "exec",
            {
                "name": name,
                "stack": stack,
                "cwd": cwd,
                "argv": list(argv),
                "env": dict(env or {}),
                "tty": tty,
                "rows": rows,
                "columns": columns,
            },
        )
