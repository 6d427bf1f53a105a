"""When each service is looked at: one heap of times and one timer for all of them, and no timer when there is none."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from harness_core.domain.spec import Check
from harness_core.runtime.logs.store import LogStore
from harness_core.runtime.probes.base import Outcome, ProbeContext, Probing, clip
from harness_core.runtime.probes.build import build

__all__ = ["Post", "Prober"]

log = logging.getLogger(__name__)

#: ``post(key, epoch, ok, detail, seconds)``; ``ok`` None when it could not be found out
Post = Callable[[str, int, "bool | None", str, float], None]

#: until a service is ready it is looked at after so many seconds, then twice as many, up to the last
FIRST_DELAY, LAST_DELAY = 0.02, 0.5
#: a log check is repeated when output comes: after so many seconds at least, doubled up to the second while in vain
OUTPUT_DELAY = (0.001, 0.016)
#: intervals vary by this part to either side, so that services started together are not checked together for ever
JITTER = 0.1
#: the shortest time between two looks at the ordinary pace
SHORTEST = 0.01
NEVER = float("inf")


@dataclass(eq=False, slots=True)
class _Watch:
    """One unit under observation."""

    key: str
    epoch: int
    check: Check
    probe: Probing
    ready: bool
    delay: float = FIRST_DELAY
    ok_in_row: int = 0
    #: loop time of the next look; infinite while one runs or waits for a place
    due: float = NEVER
    #: from when on a failure is news; before it, output alone led to the look
    regular: float = 0.0
    #: how long after a look output may lead to the next one
    output_delay: float = OUTPUT_DELAY[0]
    #: output came while a look was under way
    output: bool = False
    #: somebody asked for a look, whose answer is posted whatever it is
    forced: bool = False
    last_look: float = -NEVER
    task: asyncio.Task[None] | None = None
    unwatch: Callable[[], None] = field(default=lambda: None)


class Prober:
    """Looks at many units, each never twice at a time, and posts every answer.

    A unit is looked at at once (after ``initial_delay``), then after 20, 40, 80 … ms up to half a second until
    ``success_threshold`` looks in a row succeeded, from then on every ``interval``. At most ``limit`` looks run at a
    time. Belongs to one event loop; ``post`` is called on it. Nothing is posted for a unit after ``stop``.
    """

    def __init__(
        self, post: Post, logs: LogStore, *, limit: int = 64, jitter: Callable[[], float] = random.random
    ) -> None:
        self._post = post
        self._logs = logs
        self._limit = limit
        self._jitter = jitter
        self._watches: dict[str, _Watch] = {}
        #: (when, tie-breaker, watch); an entry that is not its watch's ``due`` any more is passed over
        self._heap: list[tuple[float, int, _Watch]] = []
        self._ticket = 0
        self._timer: asyncio.TimerHandle | None = None
        #: due, and waiting for one of the ``limit`` places; each watch is in it once at most
        self._waiting: deque[_Watch] = deque()
        self._running: set[asyncio.Task[None]] = set()

    def start(
        self, key: str, epoch: int, check: Check, context: ProbeContext, *, age: float = 0.0, ready: bool = False
    ) -> None:
        """Begin to look at a unit; an earlier observation of it ends.

        ``age`` is how long the instance has run already, ``ready`` that it was known to be ready (both after a
        restart of the daemon): it is then looked at at once, but at the ordinary pace.
        """
        self.stop(key)
        probe = build(check, check.timeout, key, epoch, context, self._logs)
        watch = self._watches[key] = _Watch(key, epoch, check, probe, ready)
        if probe.reads_output:
            watch.unwatch = self._logs.watch(key, lambda: self._output(watch))
        self._schedule(watch, max(0.0, check.initial_delay - age))

    def stop(self, key: str) -> None:
        """Look no more; a look under way is given up and its answer dropped. Unknown units are no error."""
        watch = self._watches.pop(key, None)
        if watch is None:
            return
        watch.unwatch()
        watch.due = NEVER
        if watch.task is not None:
            watch.task.cancel()
        if not self._watches:
            self._heap.clear()
            self._arm()

    def check_now(self, key: str) -> None:
        """Look at a unit at once, or once more when a look is under way. Unknown units are no error."""
        watch = self._watches.get(key)
        if watch is None:
            return
        watch.forced = True
        if watch.due != NEVER:
            self._schedule(watch, 0.0)

    async def close(self) -> None:
        """Stop all; returns when every look has ended."""
        for key in list(self._watches):
            self.stop(key)
        await asyncio.gather(*self._running, return_exceptions=True)

    # ── when ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _schedule(self, watch: _Watch, delay: float) -> None:
        watch.due = asyncio.get_running_loop().time() + delay
        self._ticket += 1
        heappush(self._heap, (watch.due, self._ticket, watch))
        self._arm()

    def _arm(self) -> None:
        """Have the timer go off at the head of the heap, or not at all."""
        while self._heap and self._heap[0][0] != self._heap[0][2].due:
            heappop(self._heap)
        when = self._heap[0][0] if self._heap else None
        if self._timer is not None:
            if self._timer.when() == when:
                return
            self._timer.cancel()
        self._timer = None if when is None else asyncio.get_running_loop().call_at(when, self._go_off)

    def _go_off(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        # timers may go off a clock's tick early
        while self._heap and self._heap[0][0] <= now + 0.001:
            due, _, watch = heappop(self._heap)
            if due == watch.due:
                watch.due = NEVER
                self._waiting.append(watch)
        self._arm()
        self._launch()

    def _launch(self) -> None:
        while self._waiting and len(self._running) < self._limit:
            watch = self._waiting.popleft()
            if self._watches.get(watch.key) is watch:
                watch.task = asyncio.create_task(self._look(watch), name=f"check {watch.key}")
                self._running.add(watch.task)
                watch.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._launch()

    def _output(self, watch: _Watch) -> None:
        """The unit has written something that may be what its check waits for."""
        if watch.ready:
            return
        if watch.due == NEVER:
            watch.output = True
            return
        now = asyncio.get_running_loop().time()
        self._schedule(watch, min(watch.due, max(now, watch.last_look + watch.output_delay)) - now)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look(self, watch: _Watch) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        news = watch.forced or began >= watch.regular - 0.001
        if not news:
            watch.output_delay = min(2 * watch.output_delay, OUTPUT_DELAY[1])
        watch.forced = watch.output = False
        try:
            outcome = await watch.probe.look()
        except Exception as error:  # a probe that breaks is our defect, and must not end the observation
            log.exception("the check of %s broke", watch.key)
            outcome = Outcome(None, f"the check itself broke: {clip(f'{type(error).__name__}: {error}')}")
        if self._watches.get(watch.key) is not watch:
            return
        watch.task = None
        watch.last_look = loop.time()
        if news or outcome.ok:
            watch.regular = watch.last_look + self._pace(watch, outcome)
            self._post(watch.key, watch.epoch, outcome.ok, outcome.detail, watch.last_look - began)
        if self._watches.get(watch.key) is watch:  # the answer may have led to its being stopped
            self._look_again(watch)

    def _look_again(self, watch: _Watch) -> None:
        delay = max(0.0, watch.regular - watch.last_look)
        if watch.forced:
            delay = 0.0
        elif watch.output and not watch.ready:
            delay = min(delay, watch.output_delay)
        self._schedule(watch, delay)

    def _pace(self, watch: _Watch, outcome: Outcome) -> float:
        """How long the answer is good for."""
        if outcome.ok:
            watch.ok_in_row += 1
            watch.ready = watch.ready or watch.ok_in_row >= watch.check.success_threshold
        elif outcome.ok is False:
            watch.ok_in_row = 0
        interval = max(SHORTEST, watch.check.interval)
        if watch.ready:
            return interval * (1 + JITTER * (2 * self._jitter() - 1))
        delay, watch.delay = watch.delay, min(2 * watch.delay, LAST_DELAY)
        return min(delay, interval)
