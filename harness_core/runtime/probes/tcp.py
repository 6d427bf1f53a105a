"""Whether something accepts connections on a port."""

from __future__ import annotations

import asyncio

from harness_core.domain.spec import TcpCheck
from harness_core.runtime.probes.base import Outcome, ProbeContext, why

__all__ = ["TcpProbe"]


class TcpProbe:
    """Connects and hangs up at once; nothing is sent. Making one may raise ``CannotCheck``."""

    reads_output = False

    def __init__(self, check: TcpCheck, context: ProbeContext) -> None:
        endpoint = context.endpoint(check.port)
        self._host = check.host or endpoint.host
        self._port = endpoint.port
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.subject = f"connect to {shown}:{self._port}"

    async def look(self) -> Outcome:
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, self._host, self._port)
        except OSError as error:
            reason = why(error)
            return Outcome(False, f"{self.subject} {reason}" if reason == "refused" else f"{self.subject}: {reason}")
        transport.abort()
        return Outcome(True, f"{self.subject} accepted")
