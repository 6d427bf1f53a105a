"""How many connections and requests a token has: a user's own commands more than one that was given away."""

from __future__ import annotations

import time

import pytest

from harness_core.domain.errors import Overloaded
from harness_core.domain.protocol import Role
from harness_core.doors.arrivals import Arrivals
from harness_core.doors.limits import Limits
from harness_core.doors.sessions import Sessions
from harness_core.doors.tokens import Token


def token(name: str) -> Token:
    return Token(name, name, Role.ADMIN, "0" * 64, time.time(), None, "")


@pytest.mark.parametrize(("name", "most"), [("local", 512), ("laptop", 32)])
async def test_connections_are_bounded_by_whose_token_it_is(name: str, most: int) -> None:
    limits = Limits()
    sessions, arrivals = Sessions(limits), Arrivals(limits)
    held = [sessions.enter(token(name), arrivals.enter("127.0.0.1")) for _ in range(most)]
    with pytest.raises(Overloaded, match=f"has {most} already"):
        sessions.enter(token(name), arrivals.enter("127.0.0.1"))
    sessions.leave(held.pop())
    sessions.enter(token(name), arrivals.enter("127.0.0.1"))
    assert len(sessions) == most


@pytest.mark.parametrize(("name", "burst"), [("local", 2000), ("laptop", 200)])
async def test_requests_are_bounded_by_whose_token_it_is(name: str, burst: int) -> None:
    sessions = Sessions(Limits())
    taken = 0
    while not sessions.spend(token(name)):
        taken += 1
    # while they were counted, some came back
    assert burst <= taken < burst * 1.5


async def test_a_full_local_budget_leaves_others_theirs() -> None:
    sessions, arrivals = Sessions(Limits(local_connections=1)), Arrivals(Limits())
    sessions.enter(token("local"), arrivals.enter("127.0.0.1"))
    with pytest.raises(Overloaded):
        sessions.enter(token("local"), arrivals.enter("127.0.0.1"))
    sessions.enter(token("laptop"), arrivals.enter("127.0.0.1"))
