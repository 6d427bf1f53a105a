"""From a request to its answer, the same for every door: role and validation by the table, the audit trail, and what
becomes of exceptions.

A change is written to the audit trail before it begins and again, on the disk, before it is answered; when the first
cannot be written, nothing is changed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from concurrent.futures import Future
from functools import partial
from typing import Any

from harness_core.domain.errors import HarnessError, InternalError, UsageError
from harness_core.doors.audit import Audit, digest_of, target_of
from harness_core.doors.sessions import Session
from harness_core.doors.table import Caller, Prepared, Stream, Table
from harness_core.runtime.crew import Crew

__all__ = ["Dispatch"]

_log = logging.getLogger("harness.doors")


class Dispatch:
    """Runs requests. ``close`` waits until the audit trail is written."""

    def __init__(self, table: Table, audit: Audit) -> None:
        self._table = table
        self._audit = audit
        # one thread: the records form a chain, and a slow disk must not take the loop or others' threads
        self._scribe = Crew(1, "audit")

    def open(self) -> None:
        """Have what the audit trail is written with; without it, it is there with the first record."""
        self._scribe.muster()

    def close(self) -> None:
        self._scribe.shutdown(wait=True)

    def prepare(self, session: Session, method: str, params: dict[str, Any] | None) -> Prepared:
        """A request by a session's token. Raises ``HarnessError``."""
        token = session.token
        caller = Caller(token.name, token.role, session.arrival.source, secrets.token_hex(6))
        try:
            return self._table.prepare(method, params, caller)
        except RecursionError:
            raise UsageError(f"cannot {method}: the request is nested too deeply") from None

    async def run(
        self, session: Session, prepared: Prepared, params: dict[str, Any] | None, stream: Stream | None = None
    ) -> Any:
        """Run it and return the answer. Raises ``HarnessError``; being cancelled cancels the handler."""
        if not prepared.operation.mutates:
            return await self._guarded(prepared, stream)
        record = partial(
            self._audit.record,
            token=session.token.id,
            name=session.token.name,
            peer=session.arrival.source,
            operation=prepared.operation.name,
            request=prepared.caller.request,
        )
        await self._write(partial(record, "asked", target=target_of(params), digest=digest_of(params)))
        try:
            answer = await self._guarded(prepared, stream)
        except HarnessError as error:
            await self._close_record(partial(record, "failed", code=error.code))
            raise
        except asyncio.CancelledError:
            self._scribe.submit(record, "left").add_done_callback(_log_failure)
            raise
        await self._close_record(partial(record, "done"))
        return answer

    def refused(self, source: str, reason: str) -> None:
        """Record a credential that was no good; nobody waits for it."""
        task = self._scribe.submit(self._audit.record, "refused", peer=source, reason=reason)
        task.add_done_callback(_log_failure)

    async def _guarded(self, prepared: Prepared, stream: Stream | None) -> Any:
        name, request = prepared.operation.name, prepared.caller.request
        try:
            return await prepared.run(stream)
        except HarnessError:
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # nobody cancelled this request: something inside the handler was cancelled and leaked out
            _log.exception("request %s (%s) was cancelled from within", request, name)
        except ConnectionError:
            raise  # the peer is gone; there is nobody to answer
        except (Exception, SystemExit):  # noqa: BLE001 - whatever a handler or a plugin does, the daemon lives and the caller is told
            _log.exception("request %s (%s) failed", request, name)
        raise InternalError(
            f"cannot {name}: the daemon has a defect",
            hint=f"its log tells more under request {request}: harness daemon logs",
            data={"request": request},
        )

    async def _write(self, record: partial[None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._scribe, record)

    async def _close_record(self, record: partial[None]) -> None:
        """How it ended. It has happened: a trail that cannot be written now is told in the log, not to the caller."""
        try:
            await self._write(record)
        except HarnessError as error:
            _log.error("%s", error.message)


def _log_failure(done: Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.error("%s", error)
