"""The lifecycle explored exhaustively, and proof that the explorer finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness_core.domain import aftermath, gates, lifecycle, news, steps, world
from harness_core.domain.effects import Recover, Spawn, Stop
from harness_core.domain.spec import RestartPolicy
from harness_core.domain.states import Kind, Phase, Reason, Wanted
from harness_core.domain.unit import Unit
from tests.domain.exploration import SPECS, explore, explored


@pytest.mark.parametrize("name", SPECS)
def test_every_reachable_state_keeps_the_invariants(name: str) -> None:
    spec, _ = SPECS[name]
    found = explored(name)
    expected = set(Phase) - {Phase.SETUP_REQUIRED, Phase.SETTING_UP, Phase.NOT_STARTED}
    expected.add(Phase.NOT_STARTED)  # asked to stop before it was ever started
    if not spec.edges:
        expected -= {Phase.WAITING, Phase.BLOCKED}
    if spec.kind is Kind.SERVICE and spec.restart.policy is RestartPolicy.ALWAYS:
        expected -= {Phase.COMPLETED}
    if spec.restart.policy is RestartPolicy.NO:
        expected -= {Phase.BACKOFF}
    assert found.phases == expected


def test_a_stop_that_the_user_asked_for_leads_to_no_new_life() -> None:
    """From every phase, what follows "asked to stop" is never a start."""
    for kind in SPECS:
        for _, name, to in explored(kind).edges:
            assert not (name in ("asked to stop", "asked to kill") and to in (Phase.WAITING, Phase.BACKOFF))


def test_late_news_changes_nothing() -> None:
    for kind in SPECS:
        for before, name, after in explored(kind).edges:
            assert name != "late news" or before is after


# ── bugs sown on purpose: the explorer must tell of each ─────────────────────────────────────────────────────────────

Sow = Callable[[pytest.MonkeyPatch], None]


def _hear_news_of_every_epoch(patch: pytest.MonkeyPatch) -> None:
    genuine = news.hear
    patch.setattr(lifecycle, "hear", lambda unit, item, now: genuine(unit.with_(epoch=item.epoch), item, now))


def _hold_stops_for_ever(patch: pytest.MonkeyPatch) -> None:
    held = gates.Hold(Reason("dependent", "waits", "nobody"))
    patch.setattr(gates, "may_stop", lambda unit, dependents: held)


def _stop_without_waiting_for_dependents(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gates, "may_stop", lambda unit, dependents: gates.Open())


def _hold_starts_for_ever(patch: pytest.MonkeyPatch) -> None:
    held = gates.Hold(Reason("dependency", "waits", ""))
    patch.setattr(gates, "may_start", lambda unit, units: held)


def _skip_the_stopping_door(patch: pytest.MonkeyPatch) -> None:
    """A lost start begins again at once instead of being looked for."""

    def at_once(unit: Unit, grace: float, reason: Reason, now: float) -> steps.Step:
        return aftermath.after_death(unit, 0.0, now)

    patch.setattr(lifecycle, "stop", at_once)


def _take_a_lost_start_for_a_failed_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(news, "_unknown", lambda unit, why, now: aftermath.after_death(unit, 0.0, now))


def _forget_to_look_after_a_restart_of_the_daemon(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lifecycle, "_seek", lambda unit, now: (unit, ()))


def _no_deadline_while_stopping(patch: pytest.MonkeyPatch) -> None:
    genuine = steps.stop

    def without(unit: Unit, grace: float, reason: Reason, now: float) -> steps.Step:
        after, effects = genuine(unit, grace, reason, now)
        return after.with_(deadline=None), tuple(e for e in effects if not isinstance(e, Stop))

    patch.setattr(lifecycle, "stop", without)


def _restart_against_the_users_wish(patch: pytest.MonkeyPatch) -> None:
    genuine = aftermath.after_death

    def stubborn(unit: Unit, jitter: float, now: float) -> steps.Step:
        wanted = unit.wanted
        after, effects = genuine(unit.with_(wanted=Wanted.UP, replace=False), jitter, now)
        return after.with_(wanted=wanted), effects

    patch.setattr(aftermath, "after_death", stubborn)


def _leave_a_deadline_on_what_rests(patch: pytest.MonkeyPatch) -> None:
    genuine = aftermath.fail

    def ticking(unit: Unit, reason: Reason, now: float) -> steps.Step:
        after, effects = genuine(unit, reason, now)
        return after.with_(deadline=now + 1), effects

    patch.setattr(aftermath, "fail", ticking)


def _start_twice(patch: pytest.MonkeyPatch) -> None:
    """The retry of an unknown instance starts a new one instead of asking again."""
    genuine = lifecycle.pass_time

    def hasty(unit: Unit, now: float) -> lifecycle.Step:
        after, effects = genuine(unit, now)
        return after, tuple(Spawn(e.key, e.epoch) if isinstance(e, Recover) else e for e in effects)

    patch.setattr(lifecycle, "pass_time", hasty)


def _wait_without_looking_again(patch: pytest.MonkeyPatch) -> None:
    """What a dependency does is not told to those that wait for it."""
    patch.setattr(world, "dependents_of", lambda units: {})
    patch.setattr("tests.domain.exploration.dependents_of", lambda units: {})


BUGS: dict[str, tuple[Sow, str, str]] = {
    "news of another life is believed": (_hear_news_of_every_epoch, "service", "a start that nobody makes"),
    "a stop is held for nobody": (_hold_stops_for_ever, "service", "although it is to end"),
    "a stop waits for no dependent": (
        _stop_without_waiting_for_dependents,
        "another depends on it",
        "before what depends on it",
    ),
    "a start is held for nobody": (_hold_starts_for_ever, "service", "does not say for whom"),
    "a stop is not verified": (_skip_the_stopping_door, "service", "beside a living|nobody knows"),
    "a start without answer is taken for failed": (_take_a_lost_start_for_a_failed_one, "service", "beside|nobody"),
    "a restarted daemon does not look": (_forget_to_look_after_a_restart_of_the_daemon, "service", "nobody makes"),
    "a stop nobody carries out": (_no_deadline_while_stopping, "service", "stranded in stopping"),
    "the policy wins over the user": (_restart_against_the_users_wish, "service", "against the user's wish"),
    "what failed has a deadline": (_leave_a_deadline_on_what_rests, "service", "to what rests"),
    "an unknown instance is started again": (_start_twice, "service", "beside a living|stranded"),
    "the waiting are not told": (_wait_without_looking_again, "depends on another", "does not start"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_explorer_finds_a_bug_that_was_sown(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sow, name, finding = BUGS[bug]
    sow(monkeypatch)
    with pytest.raises(AssertionError, match=finding):
        explore(*SPECS[name])
