"""Room for those who have not shown a credential yet: bounded, and the oldest gives way."""

from __future__ import annotations

import asyncio

from harness_core.doors.arrivals import Arrival, Arrivals
from harness_core.doors.limits import Limits


class Wire:
    """A connection that notes when it was cut."""

    def __init__(self) -> None:
        self.cuts = 0

    def cut(self) -> None:
        self.cuts += 1

    def unsent(self) -> int:
        return 7


def connected(arrivals: Arrivals, source: str, deadline: float = 60.0) -> tuple[Arrival, Wire]:
    wire, arrival = Wire(), arrivals.enter(source)
    arrival.connected(wire, deadline)
    return arrival, wire


async def test_one_too_many_pushes_out_the_oldest_of_all_or_of_its_source() -> None:
    arrivals = Arrivals(Limits(waiting=4, waiting_per_source=2))
    local = [connected(arrivals, "127.0.0.1") for _ in range(3)]
    connected(arrivals, "192.0.2.1")
    connected(arrivals, "127.0.0.1")
    assert [wire.cuts for _, wire in local] == [1, 0, 0]
    second = connected(arrivals, "192.0.2.1")
    assert local[1][1].cuts == 1
    third = connected(arrivals, "192.0.2.1")
    assert (second[1].cuts, third[1].cuts) == (0, 0)
    assert arrivals.waiting <= 4
    arrivals.drop(all=True)


async def test_who_is_admitted_gives_way_to_nobody() -> None:
    arrivals = Arrivals(Limits(waiting=1))
    arrival, wire = connected(arrivals, "127.0.0.1", deadline=0.01)
    arrival.admit()
    assert (arrivals.waiting, arrivals.inside) == (0, 1)
    for _ in range(3):
        connected(arrivals, "127.0.0.1")[0].gone()
    await asyncio.sleep(0.02)  # past the deadline that no longer holds
    assert wire.cuts == 0
    assert arrival.unsent() == 7
    arrival.gone()
    assert await arrivals.wait_empty(0.1)


async def test_waiting_for_the_end_ends() -> None:
    arrivals = Arrivals(Limits())
    arrival, _ = connected(arrivals, "127.0.0.1")
    assert not await arrivals.wait_empty(0.01)
    arrival.gone()
    assert await arrivals.wait_empty(0.01)
