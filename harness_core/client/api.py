"""The daemon's operations as methods: keyword arguments in, typed answers out, errors raised as what they are.

One method an operation, named like it (``stack.start`` is ``stack_start``); what the daemon streams comes back as a
``Stream``. ``harness_core.domain.protocol`` says what each field means. Everything blocks, and may be used from several
threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness_core.client import fast, locate
from harness_core.client.administration import Administration
from harness_core.client.lifecycle import Lifecycle
from harness_core.client.observation import Observation

if TYPE_CHECKING:
    from harness_core.client.endpoint import Endpoint
    from harness_core.client.stream import Stream

__all__ = ["Client", "connect"]


def connect(context: str = "", *, start: bool = False, timeout: float = fast.DEFAULT_TIMEOUT) -> Client:
    """A client of the daemon that ``context`` (or ``HARNESS_CONTEXT``) means: a saved name, a connection string, or ""
    for this user's own on this machine, which is started where ``start`` says so and it does not run.

    Raises as ``locate.find`` and ``daemon.ensure`` do. Nothing is sent yet unless the daemon had to be started.
    """
    if start and locate.is_local(context):
        from harness_core.client import daemon  # only those who may have to start one pay for it

        daemon.ensure(locate.state_dir())
    return Client(lambda: locate.find(context), timeout=timeout)


class Client(Lifecycle, Observation, Administration):
    """Speaks to one daemon. ``relocate`` finds it anew by ``find``: after a restart it may have another port.

    ``timeout`` seconds are for each request that is not a stream. Raises ``HarnessError`` only: what the daemon
    answered, ``DaemonUnreachable``, ``NotAllowed`` (no trust, no credential) or ``TimedOut``.
    """

    def __init__(self, find: Callable[[], Endpoint], *, timeout: float = fast.DEFAULT_TIMEOUT) -> None:
        self._find = find
        self._timeout = timeout
        self._endpoint = find()

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    def relocate(self) -> None:
        """Look again where the daemon is. Raises as ``locate.find`` does."""
        self._endpoint = self._find()

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Any operation that answers at once."""
        return fast.call(self._endpoint, method, params, self._timeout)

    def stream(self, method: str, params: Mapping[str, Any] | None = None) -> Stream[Any, Any]:
        """Any operation that streams."""
        from harness_core.client.stream import Stream  # the commands that people repeat open none

        return Stream(self._endpoint, method, params)
