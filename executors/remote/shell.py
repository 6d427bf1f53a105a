"""A POSIX shell on another machine that answers requests one after another, over one channel as long as it lives."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import asyncssh

from executors.remote.command import FAR
from executors.remote.lost import LinkLost

__all__ = ["Shell"]

#: for one answer; a machine that needs longer is taken for gone
_DEADLINE = 15.0
#: more than this behind an answer's end, or before it, is no answer
_SLACK = 1 << 16


class Shell:
    """Requests come after one another; one that is given up is still answered, and its answer thrown away.

    Whatever the far side prints beside the answers (a banner, a profile's noise, another program's words) is passed
    over: an answer ends with a random word that only this request had.
    """

    def __init__(self, process: asyncssh.SSHClientProcess[bytes], name: str) -> None:
        self._process = process
        self._name = name
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[bytes]] = set()
        self.lost = ""

    @classmethod
    async def open(cls, connection: asyncssh.SSHClientConnection, name: str, instance: str) -> tuple[Shell, str]:
        """Also the answer to the greeting: boot id, whether there is ``setsid``, and the root. Raises ``LinkLost``."""
        try:
            process: Any = await connection.create_process("exec sh", encoding=None, stderr=asyncssh.DEVNULL)
        except (asyncssh.Error, OSError) as error:
            hint = "its sshd may allow no more sessions: MaxSessions" if _refused(error) else ""
            raise LinkLost(f"{name} opens no shell: {error}", hint=hint) from None
        shell = cls(process, name)
        try:
            # a harmless call gives the noise of a login its end
            words = (await shell.ask(f"{FAR}\nh_hello {instance}")).decode("utf-8", "replace").strip()
        except BaseException:
            shell.close()
            raise
        if not words.startswith("ok "):
            shell.close()
            raise LinkLost(f"{name} cannot keep services: {words.removeprefix('error ') or 'it has no POSIX shell'}")
        return shell, words

    async def ask(self, script: str, *, limit: int = _SLACK) -> bytes:
        """What ``script`` printed, at most ``limit`` bytes. Raises ``LinkLost``; the request may have been carried out.

        Cancelled, it does not come in between: the request is finished by itself.
        """
        task = asyncio.create_task(self._ask(script, limit), name=f"ask {self._name}")
        self._tasks.add(task)
        task.add_done_callback(self._asked)
        return await asyncio.shield(task)

    def _asked(self, task: asyncio.Task[bytes]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked has it, unless they left

    async def _ask(self, script: str, limit: int) -> bytes:
        async with self._turn:
            if self.lost:
                raise LinkLost(self.lost)
            begin, end = secrets.token_hex(16), secrets.token_hex(16)
            request = f"printf '%s\\n' {begin}\n{{ {script}\n}} </dev/null 2>/dev/null\nprintf '\\n%s\\n' {end}\n"
            try:
                async with asyncio.timeout(_DEADLINE):
                    self._process.stdin.write(request.encode("utf-8", "surrogateescape"))
                    await self._process.stdin.drain()
                    return await self._answer(f"{begin}\n".encode(), f"\n{end}\n".encode(), limit)
            except TimeoutError:
                self._lose(f"{self._name} has not answered for {_DEADLINE:g} s")
            except (asyncssh.Error, OSError) as error:
                self._lose(f"the connection to {self._name} broke: {str(error) or type(error).__name__}")
            raise LinkLost(self.lost)

    async def _answer(self, begin: bytes, end: bytes, limit: int) -> bytes:
        data, begun = bytearray(), False
        while True:
            piece = await self._process.stdout.read(1 << 16)
            if not piece:
                self._lose(f"the connection to {self._name} is closed")
                raise LinkLost(self.lost)
            data += piece
            if not begun and (at := data.find(begin)) >= 0:
                del data[: at + len(begin)]
                begun = True
            if begun and data.endswith(end):
                return bytes(data[: -len(end)])
            if len(data) > limit + _SLACK:
                self._lose(f"{self._name} answers with more than was asked for")
                raise LinkLost(self.lost)

    def _lose(self, why: str) -> None:
        """Nothing that comes from here on can be told from what was asked before."""
        self.lost = self.lost or why
        self._process.close()

    def close(self) -> None:
        """End it; what it started lives on."""
        self._lose(f"the connection to {self._name} was closed")

    async def closed(self) -> None:
        """All requests are over."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _refused(error: BaseException) -> bool:
    return isinstance(error, asyncssh.ChannelOpenError)
