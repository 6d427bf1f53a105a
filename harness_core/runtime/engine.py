"""The one owner of the world: takes stimuli from a mailbox, lets the domain decide, stores, publishes, acts.

A turn is: take all that waits in the mailbox → ``world.handle`` → one commit → publish → carry out effects. The order
is the promise: what is irreversible begins only after the row that says so is on disk, and nobody is told of a state
that is not. Effects run as tasks and post what came of them back as stimuli; no other module changes the world.

When the disk refuses, news is kept in memory and written later, wishes are refused with ``ReadOnly``, and effects that
cannot be taken back wait; services, checks and reading go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness_core.domain.effects import Effect, Tell
from harness_core.domain.errors import Overloaded, ReadOnly
from harness_core.domain.events import Event, EventType
from harness_core.domain.stimuli import Boot, Stimulus, TimePassed
from harness_core.domain.store import Batch, RecordKey, Store, StoreError
from harness_core.domain.world import World, handle
from harness_core.runtime.clock import Clock, SystemClock
from harness_core.runtime.feed import Feed
from harness_core.runtime.keeper.failpoints import failpoint
from harness_core.runtime.owed import Owed, is_irreversible
from harness_core.runtime.persistence import changed_records, world_from_records

__all__ = ["Engine", "Snapshot"]

log = logging.getLogger(__name__)

#: wishes that may wait at once; the doors' own limits are far below
_MAX_WISHES = 10_000
#: how often a refused disk is tried again
_RETRY = 1.0
#: how long the first turn may take before the daemon goes on without having seen it
_FIRST_TURN = 10.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A world that is on disk, and the sequence number of the last event that led to it."""

    world: World
    seq: int


@dataclass(slots=True)
class _Ticket:
    stimulus: Stimulus
    done: asyncio.Future[Snapshot]


class Engine:
    """``carry_out`` is called on the event loop for each effect but ``Tell`` and must return at once."""

    def __init__(self, store: Store, carry_out: Callable[[Effect, World], None], *, clock: Clock | None = None) -> None:
        self._store = store
        self._carry_out = carry_out
        self._clock = clock or SystemClock()
        self._mailbox: deque[Stimulus | Tell | _Ticket] = deque()
        self._mail = asyncio.Event()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="harness-store")
        self._world = World()
        self._owed = Owed()
        #: the highest number that an event may have on disk, even if nobody was told of it
        self._numbered = 0
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.feed = Feed(store)
        self.snapshot = Snapshot(World(), self.feed.seq)
        #: why changes are refused, "" when they are not
        self.read_only = ""

    # ── the life of the engine ───────────────────────────────────────────────────────────────────────────────────────

    async def open(self, *, boot_id: str = "", place: str = "") -> list[str]:
        """Load the world, begin to turn, and begin to look for what an earlier daemon left.

        ``place`` names the state directory: a world that was written in another one is a copy. Returns problems in
        sentences. The snapshot shows by then what is being looked for.
        """
        records, world, problems = await self._in_writer(self._load)
        self._world = world
        self.snapshot = Snapshot(world, self.feed.seq)
        # the boot is stored with the turn that acts on it; without a record of it, what may live is sought
        now = {"id": boot_id, "place": place}
        before = {**now, **records.get(("meta", "boot"), {})}
        self._owed.meta["meta", "boot"] = now
        self._mailbox.append(Boot(same_boot=before["id"] == boot_id, copied=before["place"] != place))
        self._mail.set()
        self._task = asyncio.create_task(self._run(), name="engine")
        await self.feed.wait(_FIRST_TURN)
        return [*self._store.damaged, *problems]

    def _load(self) -> tuple[Mapping[RecordKey, Mapping[str, Any]], World, list[str]]:
        records = self._store.load()

        def last_state(key: str) -> Event | None:
            return next(iter(self._store.events(services=[key], types=[EventType.STATE], limit=1, newest=True)), None)

        return records, *world_from_records(records, last_state)

    async def close(self) -> None:
        """Take in what waits, store it, and stop turning. Instances stay as they are; further wishes are refused."""
        self._closing = True
        self._mail.set()
        try:
            if self._task is not None:
                await self._task
        finally:
            self._writer.shutdown(wait=True)

    async def wait_failed(self) -> None:
        """Return only by raising, should the engine itself break."""
        if self._task is not None:
            await asyncio.shield(self._task)

    # ── the mailbox ──────────────────────────────────────────────────────────────────────────────────────────────────

    def post(self, stimulus: Stimulus) -> None:
        """News: never refused, never waits. Each answers an effect, so their number is bounded by the effects'."""
        self._mailbox.append(stimulus)
        self._mail.set()

    async def submit(self, wish: Stimulus) -> Snapshot:
        """A wish: returns when it is on disk and published, with the world as it was then.

        Raises ``ReadOnly`` when the disk refuses (nothing was changed), ``Overloaded`` when too many wait or the daemon
        is leaving. When the caller is cancelled, the wish may still be carried out.
        """
        if self._closing:
            raise Overloaded("cannot take requests any more: the daemon is leaving", data={"retry_after": 1})
        if self.read_only:
            raise ReadOnly(
                f"cannot change anything: {self.read_only}",
                hint="services go on and reading works; harness tries again by itself",
            )
        if len(self._mailbox) > _MAX_WISHES:
            raise Overloaded("cannot take more requests now", data={"retry_after": 1})
        ticket = _Ticket(wish, asyncio.get_running_loop().create_future())
        self._mailbox.append(ticket)
        self._mail.set()
        return await ticket.done

    # ── turning ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            await self._wait_for_mail()
            news, tickets = self._empty_mailbox()
            await self._turn(news, [])
            if tickets:
                await self._turn([], tickets)
            if self._closing and not self._mailbox:
                return

    async def _wait_for_mail(self) -> None:
        if self._mailbox or self._closing:
            return
        self._mail.clear()
        deadline = self._world.deadline
        if self._owed:
            retry = self._clock.monotonic() + _RETRY
            deadline = retry if deadline is None else min(deadline, retry)
        timeout = None if deadline is None else max(0.0, deadline - self._clock.monotonic())
        try:
            async with asyncio.timeout(timeout):
                await self._mail.wait()
        except TimeoutError:
            pass

    def _empty_mailbox(self) -> tuple[list[Stimulus | Tell], list[_Ticket]]:
        news: list[Stimulus | Tell] = []
        tickets: list[_Ticket] = []
        while self._mailbox:
            letter = self._mailbox.popleft()
            if isinstance(letter, _Ticket):
                tickets.append(letter)
            else:
                news.append(letter)
        deadline = self._world.deadline
        if deadline is not None and deadline <= self._clock.monotonic():
            news.append(TimePassed())
        return news, tickets

    async def _turn(self, news: list[Stimulus | Tell], tickets: list[_Ticket]) -> None:
        now = self._clock.monotonic()
        world = self._world
        effects: list[Effect] = []
        for stimulus in [*news, *(t.stimulus for t in tickets)]:
            if isinstance(stimulus, Tell):
                effects.append(stimulus)
                continue
            world, more = handle(world, stimulus, now)
            effects += more
        owed = self._owed
        if world is self._world and not effects and not owed and not tickets:
            return
        events = [*owed.events, *self._number(effects)]
        changed = changed_records(self._world, world)
        batch = Batch({**owed.records(world), **changed}, events)
        try:
            if batch:
                await self._in_writer(self._commit, batch)
        except StoreError as error:
            self._refused(error, world, changed, events, effects, tickets)
            return
        failpoint("engine.publish")
        self._accepted(world, events, effects)
        failpoint("engine.answer")
        for ticket in tickets:
            if not ticket.done.done():
                ticket.done.set_result(self.snapshot)

    def _accepted(self, world: World, events: list[Event], effects: list[Effect]) -> None:
        held = self._owed.effects
        self._owed = Owed()
        if self.read_only:
            log.info("the registry can be written again")
            self.read_only = ""
        self._publish(world, events)
        self._act([*held.values(), *effects])

    def _refused(
        self,
        error: StoreError,
        world: World,
        changed: Mapping[RecordKey, Any],
        events: list[Event],
        effects: list[Effect],
        tickets: list[_Ticket],
    ) -> None:
        if not self.read_only:
            log.error("the registry cannot be written: %s", error)
        self.read_only = error.message
        self._owed.keys.update(changed)
        if tickets:
            # Whether the wish reached the disk is unknown, so its rows are written again as memory has them. Its
            # events may be there, too: their numbers are never given out again, and what became of them is told.
            refusal = Tell(EventType.DAEMON, "", 0, f"a change was refused: {error.message}")
            self._owed.events += self._number([refusal])
            for ticket in tickets:
                if not ticket.done.done():
                    ticket.done.set_exception(ReadOnly(f"cannot change anything: {error.message}", hint=error.hint))
            return
        self._owed.events = events
        self._owed.hold(effects)
        self._publish(world, [])
        self._act([e for e in effects if not is_irreversible(e)])

    def _commit(self, batch: Batch) -> None:
        failpoint("commit.before")
        self._store.commit(batch)
        failpoint("commit.after")

    def _publish(self, world: World, events: list[Event]) -> None:
        self._world = world
        seq = events[-1].seq if events else self.feed.seq
        self.snapshot = Snapshot(world, seq)
        self.feed.publish(events)

    def _act(self, effects: list[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Tell):
                failpoint(f"engine.act.{type(effect).__name__.lower()}")
                self._carry_out(effect, self._world)

    def _number(self, effects: Iterable[Effect]) -> list[Event]:
        seq, wall = max(self._numbered, self.feed.seq), self._clock.wall()
        tells = [e for e in effects if isinstance(e, Tell)]
        self._numbered = seq + len(tells)
        return [
            Event(seq + n, wall, t.type, t.key, t.epoch, t.cause, t.request, t.data) for n, t in enumerate(tells, 1)
        ]

    def tell(self, cause: str, **data: Any) -> None:
        """Put an event of the daemon's own into the journal, in its turn."""
        self._mailbox.append(Tell(EventType.DAEMON, "", 0, cause, data=data))
        self._mail.set()

    async def _in_writer(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writer, call, *args)
