from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_core.domain import graph
from harness_core.domain.errors import InvalidConfiguration
from harness_core.domain.spec import Condition, Edge, UnitSpec
from harness_core.domain.states import Kind


def units(**needed: str) -> dict[str, UnitSpec]:
    """``units(a="b c")``: a needs b and c."""
    return {
        name: UnitSpec(
            stack="s",
            name=name,
            kind=Kind.SERVICE,
            target={"type": "process"},
            base_dir="/",
            edges=tuple(Edge(name=n, kind=Kind.SERVICE, condition=Condition.STARTED) for n in names.split()),
        )
        for name, names in needed.items()
    }


def test_order_puts_every_unit_after_what_it_needs_and_keeps_the_order_of_the_file() -> None:
    stack = units(web="api", worker="", api="db cache", db="", cache="")
    assert graph.order(stack) == ["worker", "db", "cache", "api", "web"]
    assert graph.reverse_order(stack) == ["web", "api", "cache", "db", "worker"]


def test_waves_hold_what_can_start_together() -> None:
    stack = units(web="api", worker="", api="db cache", db="", cache="")
    assert graph.waves(stack) == [["worker", "db", "cache"], ["api"], ["web"]]
    assert graph.waves({}) == []


def test_neighbours() -> None:
    stack = units(a="b c b gone", b="c", c="")
    assert graph.dependencies(stack) == {"a": ["b", "c"], "b": ["c"], "c": []}
    assert graph.dependents(stack) == {"a": [], "b": ["a"], "c": ["a", "b"]}


def test_closures() -> None:
    stack = units(a="b", b="c", c="", d="c", e="")
    assert graph.closure(stack, ["b"]) == ["b", "c"]
    assert graph.closure(stack, ["d", "a", "unknown"]) == ["a", "b", "c", "d"]
    assert graph.dependents_closure(stack, ["c"]) == ["a", "b", "c", "d"]
    assert graph.dependents_closure(stack, ["e"]) == ["e"]


@pytest.mark.parametrize(
    ("needed", "path"),
    [
        ({"a": "a"}, ["a", "a"]),
        ({"a": "b", "b": "a"}, ["a", "b", "a"]),
        ({"x": "a", "a": "b", "b": "c", "c": "a"}, ["a", "b", "c", "a"]),
        ({"a": "b c", "b": "", "c": "d", "d": "c b"}, ["c", "d", "c"]),
    ],
)
def test_a_cycle_is_told_as_a_path(needed: dict[str, str], path: list[str]) -> None:
    stack = units(**needed)
    assert graph.find_cycle(stack) == path
    with pytest.raises(graph.CycleError) as caught:
        graph.order(stack)
    assert caught.value.path == path
    assert caught.value.data == {"cycle": path}
    assert isinstance(caught.value, InvalidConfiguration)
    assert " → ".join(path) in caught.value.message


def test_no_cycle_in_a_diamond() -> None:
    assert graph.find_cycle(units(a="b c", b="d", c="d", d="")) is None


def test_critical_path_is_the_slowest_chain() -> None:
    stack = units(web="api cache", api="db", cache="", db="", lone="")
    assert graph.critical_path(stack, {"db": 2.0, "api": 1.0, "cache": 2.5, "web": 0.5}) == (["db", "api", "web"], 3.5)
    assert graph.critical_path(stack, lambda name: 9.0 if name == "lone" else 1.0) == (["lone"], 9.0)
    assert graph.critical_path({}, {}) == ([], 0.0)


def test_long_chains_are_ordinary() -> None:
    chain = units(**{f"u{n}": f"u{n + 1}" if n < 2999 else "" for n in range(3000)})
    before = time.perf_counter()
    assert graph.order(chain)[0] == "u2999"
    assert len(graph.waves(chain)) == 3000
    assert len(graph.closure(chain, ["u0"])) == 3000
    assert graph.find_cycle(chain) is None
    assert graph.critical_path(chain, lambda _: 1.0)[1] == 3000.0
    assert time.perf_counter() - before < 2


@st.composite
def dags(draw: st.DrawFn) -> dict[str, UnitSpec]:
    size = draw(st.integers(1, 12))
    rank = draw(st.permutations(range(size)))
    return units(
        **{
            f"u{a}": " ".join(f"u{b}" for b in range(size) if rank[b] < rank[a] and draw(st.booleans()))
            for a in range(size)
        }
    )


@given(dags())
def test_any_acyclic_graph_is_ordered_rightly_and_always_alike(stack: dict[str, UnitSpec]) -> None:
    order = graph.order(stack)
    position = {name: index for index, name in enumerate(order)}
    needed = graph.dependencies(stack)
    assert sorted(order) == sorted(stack)
    assert all(position[other] < position[name] for name in stack for other in needed[name])
    assert order == graph.order(stack)
    level = {name: index for index, wave in enumerate(graph.waves(stack)) for name in wave}
    assert all(level[name] == 1 + max((level[o] for o in needed[name]), default=-1) for name in stack)
    for name in stack:
        below = graph.closure(stack, [name])
        assert all(name in graph.dependents_closure(stack, [other]) for other in below)
    path, seconds = graph.critical_path(stack, lambda _: 1.0)
    assert seconds == len(path) == len(graph.waves(stack))


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=4), min_size=6))
def test_a_cycle_is_found_exactly_when_there_is_no_order(edges: dict[str, list[str]]) -> None:
    stack = units(**{name: " ".join(others) for name, others in edges.items()})
    path = graph.find_cycle(stack)
    if path is None:
        assert len(graph.order(stack)) == len(stack)
    else:
        needed = graph.dependencies(stack)
        assert path[0] == path[-1]
        assert len(set(path)) == len(path) - 1
        assert all(b in needed[a] for a, b in pairwise(path))
