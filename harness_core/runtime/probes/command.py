"""What a command of the user's says, run in the service's own context."""

from __future__ import annotations

import asyncio

from harness_core.domain.errors import HarnessError
from harness_core.domain.executor import ExecSession, Lost
from harness_core.domain.spec import CommandCheck
from harness_core.domain.states import Exit
from harness_core.runtime.probes.base import Outcome, ProbeContext, clip

__all__ = ["CommandProbe"]

#: how much of the output is kept, from its end, where programs say what went wrong
MAX_OUTPUT = 4096
#: ending a command must not take longer than this
CLOSE_DEADLINE = 5.0


class CommandProbe:
    """Exit code 0 is success. When a look ends, however it does, so have the command and all it started."""

    reads_output = False

    def __init__(self, check: CommandCheck, context: ProbeContext) -> None:
        self._argv = ["/bin/sh", "-c", check.run] if isinstance(check.run, str) else list(check.run)
        self._execute = context.execute
        shown = check.run if isinstance(check.run, str) else " ".join(check.run)
        self.subject = f"command `{clip(shown, 80)}`"

    async def look(self) -> Outcome:
        if self._execute is None:
            return Outcome(None, f"{self.subject} cannot run: this kind of service runs no commands")
        try:
            session = await self._execute(self._argv)
            try:
                exit, output = await self._finish(session)
            finally:
                async with asyncio.timeout(CLOSE_DEADLINE):
                    await session.close()
        except Lost as lost:
            return Outcome(None, f"{self.subject} has no answer: {clip(str(lost)) or 'the link is lost'}")
        except HarnessError as error:
            return Outcome(False, f"{self.subject} could not be run: {clip(error.message)}")
        return self._judge(exit, output)

    async def _finish(self, session: ExecSession) -> tuple[Exit, bytes]:
        await session.write_eof()
        kept = bytearray()
        async for _, data in session.output():
            kept += data[-MAX_OUTPUT:]
            del kept[:-MAX_OUTPUT]
        return await session.wait(), bytes(kept)

    def _judge(self, exit: Exit, output: bytes) -> Outcome:
        if exit.success:
            return Outcome(True, f"{self.subject} succeeded")
        if not exit.known:
            return Outcome(None, f"{self.subject} ended, but not known how")
        lines = output.decode("utf-8", "backslashreplace").split("\n")
        said = next((text for line in reversed(lines) if (text := clip(line, 200))), "")
        how = str(exit) if exit.code is None else f"ended with {exit}"
        return Outcome(False, f"{self.subject} {how}: {said}" if said else f"{self.subject} {how}")
