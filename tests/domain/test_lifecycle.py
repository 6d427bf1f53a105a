"""The life of one unit, told as short stories: wishes, starts, ends, health, time, restarts of daemon and machine."""

from __future__ import annotations

from typing import Any

import pytest

from harness_core.domain.effects import Forget, Recover, Spawn, StartChecks, Stop, StopChecks, Tell, Watch
from harness_core.domain.events import EventType
from harness_core.domain.executor import Ended, Gone, Running, StopReport, Unknown
from harness_core.domain.spec import RestartPolicy, RestartSpec, RunWhen, StopSpec, UnitSpec
from harness_core.domain.states import Exit, Health, Phase, Wanted
from harness_core.domain.stimuli import (
    Apply,
    Boot,
    Checked,
    Exited,
    Give,
    Lost,
    Progressed,
    Recovered,
    Spawned,
    SpawnFailed,
    StopEnded,
    Taken,
    WantDown,
    WantUp,
)
from harness_core.domain.unit import Unit
from tests.domain.build import CHECK, Play, service, stack, started, task

A = "s/a"
ONCE = RestartSpec(policy=RestartPolicy.NO)


def running(spec: UnitSpec | None = None, **apply: Any) -> Play:
    play = Play(spec or service("a"), **apply)
    play.feel(Spawned(A, 1, started()))
    play.effects.clear()
    return play


def end(play: Play, code: int = 1, **report: Any) -> None:
    """It ends by itself, and the executor finds nothing left."""
    epoch = play["a"].epoch
    play.feel(Exited(A, epoch, Exit(code=code)))
    play.feel(StopEnded(A, epoch, StopReport(None), **report))


def told(play: Play, type_: EventType) -> list[Tell]:
    return [e for e in play.effects if isinstance(e, Tell) and e.type is type_]


# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_start_is_ordered_once_and_watched_from_its_answer_on() -> None:
    play = Play(service("a"))
    assert play.effects[-1] == Spawn(A, 1)
    assert play["a"].phase is Phase.STARTING
    assert play.feel(WantUp((A,))) == []
    assert play.feel(Spawned(A, 1, started(), {"http": 8000})) == [Watch(A, 1)]
    assert (play["a"].phase, play["a"].ports, play["a"].ready) == (Phase.RUNNING, {"http": 8000}, True)
    assert play.feel(Spawned(A, 1, started(8))) == [], "a second answer to one question is dropped"


def test_a_service_with_a_check_is_ready_only_when_the_check_says_so() -> None:
    play = Play(service("a", check=CHECK))
    assert play.feel(Spawned(A, 1, started())) == [Watch(A, 1), StartChecks(A, 1)]
    assert not play["a"].ready
    play.feel(Checked(A, 1, False, "connection refused"))
    assert play["a"].reason.sentence == "waits for its health check: connection refused"
    play.later(2.0)
    play.feel(Checked(A, 1, True, "ok"))
    assert play["a"].ready
    assert (play["a"].ready_at, play["a"].deadline) == (102.0, None)
    play.feel(Checked(A, 1, True, "ok again"))
    assert play["a"].ready_at == 102.0


def test_one_that_was_never_ready_and_is_unhealthy_says_why_and_waits_for_nothing() -> None:
    play = Play(service("a", check=CHECK))
    play.feel(Spawned(A, 1, started()))
    for answer in ("refused", "refused", "still refused"):
        play.later(2.0)
        play.feel(Checked(A, 1, False, answer))
    assert play["a"].health.status is Health.UNHEALTHY
    assert (play["a"].reason.code, play["a"].reason.sentence) == ("unhealthy", "still refused")


def test_a_start_that_fails_is_tried_again_later_and_one_that_cannot_succeed_is_not() -> None:
    play = Play(service("a"))
    play.feel(SpawnFailed(A, 1, "port 80 is taken"))
    assert play["a"].phase is Phase.BACKOFF
    assert play["a"].reason.sentence == "port 80 is taken; starts again in 0.5 s, start 2 of 5 in 10 s"
    assert play.later(0.5) == [Spawn(A, 2)]
    play.feel(SpawnFailed(A, 2, "no such file", permanent=True))
    assert (play["a"].phase, play["a"].reason.sentence) == (Phase.FAILED, "no such file")
    assert play.feel(SpawnFailed(A, 2, "again")) == []


def test_a_start_without_an_answer_is_looked_for_and_only_then_called_failed() -> None:
    play = Play(service("a"))
    assert play.feel(Lost(A, 1, "its start gave no answer")) == []
    assert play["a"].phase is Phase.UNKNOWN
    assert play.later(2.0) == [Recover(A, 1)]
    play.feel(Recovered(A, 1, Gone()))
    assert play["a"].phase is Phase.BACKOFF
    assert play["a"].reason.sentence.startswith("its start gave no answer; starts again in 0.5 s")


def test_starts_that_never_answer_use_up_the_budget_like_other_failures() -> None:
    play = Play(service("a", restart=RestartSpec(burst=2, window=60)))
    for epoch in (1, 2):
        play.feel(Lost(A, epoch, "its start gave no answer"))
        play.later(2.0)
        play.feel(Recovered(A, epoch, Gone()))
        play.later(2.0)
    assert play["a"].phase is Phase.FAILED
    assert play["a"].reason.sentence == "its start gave no answer; gave up after 2 starts in 60 s"


def test_a_start_without_an_answer_that_did_succeed_is_an_ordinary_life() -> None:
    play = Play(service("a"))
    play.feel(Lost(A, 1, "its start gave no answer"))
    play.later(2.0)
    assert play.feel(Recovered(A, 1, Running(started()))) == [Watch(A, 1)]
    assert (play["a"].phase, play["a"].verdict) == (Phase.RUNNING, None)


def test_a_task_whose_start_gave_no_answer_but_which_ended_well_is_done() -> None:
    play = Play(task("a"))
    play.feel(Lost(A, 1, "its start gave no answer"))
    play.later(2.0)
    play.feel(Recovered(A, 1, Ended(Exit(code=0))))
    play.feel(StopEnded(A, 1, StopReport(None)))
    assert play["a"].phase is Phase.COMPLETED


def test_a_definition_that_changes_during_the_start_leads_to_a_second_start() -> None:
    play = Play(service("a"))
    play.feel(Apply(stack(service("a", digest="2")), (A,)))
    assert play["a"].replace
    assert play.feel(Spawned(A, 1, started())) == [Watch(A, 1), Stop(A, 1, 10.0)]
    assert play["a"].reason.sentence == "is restarted with its new definition"
    assert play.feel(StopEnded(A, 1, StopReport(Exit(signal=15)))) == [Spawn(A, 2)]
    play.feel(Spawned(A, 2, started()))
    assert not play["a"].outdated


def test_a_start_that_cannot_succeed_is_tried_again_when_its_definition_has_changed_meanwhile() -> None:
    play = Play(service("a"))
    play.feel(WantUp((A,), restart=True))
    assert play.feel(SpawnFailed(A, 1, "no such file", permanent=True)) == [Spawn(A, 2)]


def test_what_it_is_to_attach_to_is_looked_for_until_its_time_to_start_is_over() -> None:
    play = Play(service("a", start_timeout=2.5, restart=ONCE))
    play.effects.clear()
    for _ in range(2):
        play.feel(SpawnFailed(A, 1, "no container is called x", absent=True))
        assert (play["a"].phase, play["a"].restarts) == (Phase.STARTING, 0)
        assert play["a"].reason.sentence == "waits for it to appear: no container is called x"
        assert play.later(0.9) == []
        assert play.later(0.1) == [Spawn(A, 1)], "the same life: nothing of it was born"
    assert len(told(play, EventType.STATE)) == 1, "it is told once that it waits, not with every look"
    play.feel(SpawnFailed(A, 1, "no container is called x", absent=True))
    assert play.later(0.5) == [Spawn(A, 1)], "the last look is at the end of its time"
    play.feel(SpawnFailed(A, 1, "no container is called x", absent=True))
    assert play["a"].phase is Phase.FAILED
    assert play["a"].reason.sentence == "no container is called x; waited 2.5 s for it"


def test_how_far_a_long_start_has_come_is_its_reason_and_told_once() -> None:
    play = Play(service("a"))
    play.effects.clear()
    for how_far in ("fetches an image", "fetches an image: 1 of 2 layers"):
        assert play.feel(Progressed(A, 1, how_far)) == []
        assert (play["a"].phase, play["a"].reason.sentence) == (Phase.STARTING, how_far)
    assert [event.cause for event in told(play, EventType.STATE)] == ["fetches an image"]
    play.feel(Spawned(A, 1, started()))
    play.feel(Progressed(A, 1, "late"))
    assert (play["a"].phase, play["a"].reason.sentence) == (Phase.RUNNING, "")


def test_what_was_waited_for_in_vain_is_waited_for_again_as_the_policy_wants() -> None:
    play = Play(service("a", start_timeout=2.0))
    play.now += 2.0
    play.feel(SpawnFailed(A, 1, "no such process", absent=True))
    assert play["a"].phase is Phase.BACKOFF
    assert play.later(0.5) == [Spawn(A, 2)]
    play.feel(SpawnFailed(A, 2, "no such process", absent=True))
    assert play["a"].phase is Phase.STARTING, "each try has the whole time"
    assert play.later(1.0) == [Spawn(A, 2)]
    assert play.feel(Spawned(A, 2, started())) == [Watch(A, 2)]


def test_waiting_for_it_to_appear_ends_at_once_when_it_is_not_wanted_any_more() -> None:
    play = Play(service("a"))
    assert play.feel(WantDown((A,))) == [], "somebody is looking at this moment"
    play.feel(SpawnFailed(A, 1, "no such process", absent=True))
    assert play["a"].phase is Phase.STOPPED
    play.feel(WantUp((A,)))
    play.feel(SpawnFailed(A, 2, "no such process", absent=True))
    play.feel(WantDown((A,)))
    assert (play["a"].phase, play["a"].deadline) == (Phase.STOPPED, None)


def test_a_definition_that_changes_while_it_is_waited_for_is_looked_for_instead() -> None:
    play = Play(service("a"))
    play.feel(SpawnFailed(A, 1, "no such process", absent=True))
    play.feel(Apply(stack(service("a", digest="2")), (A,)))
    assert play.later(1.0) == [Spawn(A, 1)]
    assert play.feel(SpawnFailed(A, 1, "no such process", absent=True)) == [Spawn(A, 2)]


# ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_only_attached_to_is_let_go_and_has_not_ended() -> None:
    play = running()
    play.feel(WantDown((A,)))
    play.feel(StopEnded(A, 1, StopReport(None, released=True)))
    assert (play["a"].phase, play["a"].started, play["a"].exit) == (Phase.NOT_STARTED, None, None)
    assert play["a"].reason.sentence == "let go; it was not started by harness and goes on"
    assert told(play, EventType.EXITED) == []


def test_what_was_attached_to_by_an_older_definition_is_let_go_and_attached_to_anew() -> None:
    play = running()
    assert play.feel(Apply(stack(service("a", digest="2")), (A,))) == [Stop(A, 1, 10.0)]
    assert play.feel(StopEnded(A, 1, StopReport(None, released=True))) == [Spawn(A, 2)]


def test_what_ended_is_made_sure_of_before_anything_follows() -> None:
    play = running(service("a", stop=StopSpec(timeout=4.0)))
    assert play.feel(Exited(A, 1, Exit(code=3))) == [Stop(A, 1, 4.0)]
    assert play["a"].phase is Phase.STOPPING
    play.feel(StopEnded(A, 1, StopReport(None)))
    assert play["a"].phase is Phase.BACKOFF
    assert play["a"].exit == Exit(code=3)
    assert play["a"].started is None


def test_every_end_is_told_once_with_its_age_and_whether_force_was_needed() -> None:
    play = running()
    play.later(5.0)
    play.feel(WantDown((A,)))
    play.feel(StopEnded(A, 1, StopReport(Exit(signal=9), forced=True)))
    (event,) = told(play, EventType.EXITED)
    assert event.cause == "killed by SIGKILL, killed after the grace period"
    assert (event.data["signal"], event.data["uptime_seconds"]) == (9, 5.0)


def test_an_end_during_a_stop_keeps_its_own_exit_code() -> None:
    play = running()
    play.feel(WantDown((A,)))
    play.feel(Exited(A, 1, Exit(code=7)))
    play.feel(StopEnded(A, 1, StopReport(Exit(signal=15))))
    assert (play["a"].phase, play["a"].exit) == (Phase.STOPPED, Exit(code=7))


def test_news_of_the_end_of_what_does_not_run_is_dropped() -> None:
    play = Play(service("a"))
    assert play.feel(Exited(A, 1, Exit(code=0))) == []
    assert play["a"].phase is Phase.STARTING
    assert play.feel(StopEnded(A, 1, StopReport(None))) == []
    assert play.feel(Recovered(A, 1, Gone())) == []
    assert play.feel(Checked(A, 1, True, "ok")) == []


def test_news_of_another_life_is_dropped() -> None:
    play = running()
    before = play.world
    play.feel(Exited(A, 0, Exit(code=0)))
    play.feel(Lost(A, 2, "link"))
    assert play.world.units == before.units


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [
        (RestartPolicy.NO, 0, Phase.COMPLETED),
        (RestartPolicy.NO, 3, Phase.FAILED),
        (RestartPolicy.ON_FAILURE, 0, Phase.COMPLETED),
        (RestartPolicy.ON_FAILURE, 3, Phase.BACKOFF),
        (RestartPolicy.ALWAYS, 0, Phase.BACKOFF),
    ],
)
def test_what_follows_an_end_is_the_policys_affair(policy: RestartPolicy, code: int, phase: Phase) -> None:
    play = running(service("a", restart=RestartSpec(policy=policy)))
    end(play, code)
    assert play["a"].phase is phase


def test_it_gives_up_after_its_budget_and_says_so() -> None:
    play = running(service("a", restart=RestartSpec(burst=1)))
    end(play, 3)
    assert (play["a"].phase, play["a"].reason.code) == (Phase.FAILED, "gave_up")
    assert play["a"].reason.sentence == "exit code 3; gave up after 1 starts in 10 s"


def test_what_will_not_die_is_named_and_tried_again() -> None:
    play = running()
    play.feel(WantDown((A,)))
    play.feel(StopEnded(A, 1, StopReport(None, leftovers=("pid 7", "pid 9"))))
    assert (play["a"].phase, play["a"].reason.sentence) == (Phase.STOPPING, "cannot be ended: pid 7, pid 9")
    assert play.later(10.0) == [Stop(A, 1, 0.0)]
    play.feel(StopEnded(A, 1, StopReport(Exit(signal=9))))
    assert play["a"].phase is Phase.STOPPED


def test_a_stop_that_nobody_answers_is_asked_again_to_kill() -> None:
    play = running()
    play.feel(WantDown((A,)))
    assert play.later(39.9) == []
    assert play.later(0.1) == [Stop(A, 1, 0.0)]


# ── wishes against each other ────────────────────────────────────────────────────────────────────────────────────────


def test_a_stop_in_the_middle_of_a_start_ends_what_is_born_and_starts_nothing() -> None:
    play = Play(service("a"))
    assert play.feel(WantDown((A,))) == []
    assert play.feel(Spawned(A, 1, started())) == [Watch(A, 1), Stop(A, 1, 10.0)]
    play.feel(StopEnded(A, 1, StopReport(Exit(signal=15))))
    assert play["a"].phase is Phase.STOPPED


def test_a_stop_ends_waiting_for_the_next_try() -> None:
    play = running()
    end(play)
    play.feel(WantDown((A,)))
    assert (play["a"].phase, play["a"].deadline) == (Phase.STOPPED, None)
    assert play.later(100.0) == []


def test_a_stop_of_what_does_not_run_changes_only_the_wish() -> None:
    play = running(service("a", restart=ONCE))
    end(play, 0)
    play.feel(WantDown((A,)))
    assert (play["a"].phase, play["a"].wanted) == (Phase.COMPLETED, Wanted.DOWN)


def test_a_kill_during_a_stop_kills_at_once() -> None:
    play = running()
    assert play.feel(WantDown((A,), grace=60.0)) == [Stop(A, 1, 60.0)]
    assert play.feel(WantDown((A,))) == [], "asked again without a grace, the stop goes on as it is"
    assert play.feel(WantDown((A,), grace=0.0)) == [Stop(A, 1, 0.0)]


def test_a_start_during_a_stop_begins_a_new_life_when_the_old_one_is_gone() -> None:
    play = running()
    play.feel(WantDown((A,)))
    assert play.feel(WantUp((A,))) == []
    assert play["a"].replace
    assert play.feel(StopEnded(A, 1, StopReport(Exit(signal=15)))) == [Spawn(A, 2)]


def test_a_kill_that_was_taken_back_does_not_kill_the_next_stop() -> None:
    play = Play(service("a"))
    play.feel(WantDown((A,), grace=0.0))
    play.feel(WantUp((A,)))
    play.feel(Spawned(A, 1, started()))
    assert play["a"].phase is Phase.RUNNING
    assert play.feel(WantUp((A,), restart=True)) == [Stop(A, 1, 10.0)]


def test_a_restart_is_a_fresh_start_with_a_fresh_budget() -> None:
    play = running()
    end(play)
    play.later(0.5)
    play.feel(Spawned(A, 2, started()))
    assert play["a"].restarts == 1
    assert play.feel(WantUp((A,), restart=True)) == [Stop(A, 2, 10.0)]
    assert play["a"].reason.sentence == "is restarted"
    assert play.feel(StopEnded(A, 2, StopReport(Exit(signal=15)))) == [Spawn(A, 3)]
    assert play["a"].restarts == 0


def test_asking_again_for_what_backs_off_starts_it_at_once() -> None:
    play = running()
    end(play)
    assert play.feel(WantUp((A,))) == [Spawn(A, 2)]
    assert (play["a"].restarts, play["a"].deadline) == (0, None)


def test_after_a_long_good_life_the_next_start_is_measured_on_its_own() -> None:
    play = running()
    play.later(3600.0)
    end(play)
    play.later(0.5)
    assert play["a"].released_at == play.now
    play.feel(Spawned(A, 2, started()))
    end(play)
    play.later(1.0)
    assert play["a"].released_at == play.now - 1.0, "a quick death after it belongs to the same start"


# ── health and time ──────────────────────────────────────────────────────────────────────────────────────────────────


def ill(play: Play) -> None:
    play.feel(Checked(A, 1, True, "ok"))
    for _ in range(CHECK.retries):
        play.feel(Checked(A, 1, False, "503"))


def test_an_ill_service_is_shown_ill_and_left_running() -> None:
    play = running(service("a", check=CHECK))
    ill(play)
    assert (play["a"].phase, play["a"].health.status, play["a"].reason.sentence) == (
        Phase.RUNNING,
        Health.UNHEALTHY,
        "503",
    )
    play.feel(Checked(A, 1, True, "ok"))
    assert (play["a"].ready, play["a"].reason.sentence) == (True, "")


def test_an_ill_service_is_restarted_where_the_policy_says_so() -> None:
    play = running(service("a", check=CHECK, restart=RestartSpec(on_unhealthy=True)))
    ill(play)
    assert play["a"].phase is Phase.STOPPING
    assert [e for e in play.effects if isinstance(e, (Stop, StopChecks))] == [StopChecks(A), Stop(A, 1, 10.0)]
    play.feel(StopEnded(A, 1, StopReport(Exit(code=0))))
    assert play["a"].phase is Phase.BACKOFF, "that it ended well when told to does not make it a success"
    assert play["a"].reason.sentence.startswith("unhealthy: 503; starts again")


def test_a_check_that_cannot_be_made_is_unknown_and_restarts_nothing() -> None:
    play = running(service("a", check=CHECK, restart=RestartSpec(on_unhealthy=True)))
    play.feel(Checked(A, 1, None, "link lost"))
    assert (play["a"].phase, play["a"].health.status) == (Phase.RUNNING, Health.UNKNOWN)


@pytest.mark.parametrize(("detail", "sentence"), [("", "not ready within 5 s"), ("503", "not ready within 5 s: 503")])
def test_what_is_not_ready_in_time_is_ill(detail: str, sentence: str) -> None:
    play = running(service("a", check=CHECK, start_timeout=5.0))
    if detail:
        play.feel(Checked(A, 1, False, detail))
    play.later(5.0)
    assert (play["a"].phase, play["a"].health.status) == (Phase.RUNNING, Health.UNHEALTHY)
    assert play["a"].reason.sentence == sentence
    play.feel(Checked(A, 1, True, "ok"))
    assert play["a"].ready, "late is better than never"


def test_a_deadline_of_what_rests_means_nothing() -> None:
    play = Play(service("a"))
    units = {A: play["a"].with_(phase=Phase.STOPPED, wanted=Wanted.DOWN, deadline=100.0)}
    play.world = play.world.__class__(play.world.stacks, units, {})
    assert play.later(1.0) == []
    assert play["a"].deadline is None


# ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def done_task(**fields: Any) -> Play:
    play = Play(task("a", **fields), fingerprints={A: "f1"})
    play.feel(Spawned(A, 1, started()))
    end(play, 0, at=5.0, outputs={"revision": "abc"})
    assert play["a"].phase is Phase.COMPLETED
    play.effects.clear()
    return play


def test_a_task_that_ended_well_is_done_and_keeps_what_it_gave() -> None:
    play = done_task()
    assert play["a"].outputs == {"revision": "abc"}
    assert (play["a"].done.at, play["a"].done.fingerprint) == (5.0, "f1")  # type: ignore[union-attr]


def test_a_task_that_is_done_and_unchanged_is_not_run_again() -> None:
    play = done_task()
    assert play.feel(WantUp((A,), fingerprints={A: "f1"})) == []
    play.feel(WantDown((A,)))
    play.feel(Boot(same_boot=True))
    assert play.feel(WantUp((A,), fingerprints={A: "f1"})) == []


def test_a_skipped_task_says_that_it_was_done_before() -> None:
    play = Play(task("a"), fingerprints={A: "f1"})
    play.feel(SpawnFailed(A, 1, "no such file", permanent=True))
    failed = play["a"]
    done = done_task()["a"].done
    play.world = play.world.__class__(play.world.stacks, {A: failed.with_(done=done)}, {})
    assert play.feel(WantUp((A,))) == []
    assert (play["a"].phase, play["a"].reason.code) == (Phase.COMPLETED, "already_done")
    assert told(play, EventType.TASK)[-1].data["outcome"] == "skipped"


@pytest.mark.parametrize("wish", [{"fingerprints": {A: "f2"}}, {"rerun": True}])
def test_a_task_runs_again_when_what_it_would_do_changed_or_when_told_to(wish: dict[str, Any]) -> None:
    play = done_task()
    assert play.feel(WantUp((A,), **wish)) == [Spawn(A, 2)]
    play.feel(Spawned(A, 2, started()))
    end(play, 0)
    assert play.feel(WantUp((A,))) == [], "once"


def test_a_task_that_always_runs_always_runs() -> None:
    assert done_task(run=RunWhen.ALWAYS).feel(WantUp((A,))) == [Spawn(A, 2)]


def test_a_failed_task_is_tried_again_as_often_as_it_says() -> None:
    play = Play(task("a", retries=1, retry_delay=2.0))
    play.feel(Spawned(A, 1, started()))
    end(play, 3)
    assert play["a"].reason.sentence == "exit code 3; try 2 of 2 in 2 s"
    assert play.later(2.0) == [Spawn(A, 2)]
    play.feel(Spawned(A, 2, started()))
    end(play, 3)
    assert (play["a"].phase, play["a"].reason.sentence) == (Phase.FAILED, "exit code 3")
    assert told(play, EventType.TASK)[-1].data["outcome"] == "failed"


def test_a_task_that_takes_too_long_is_ended_and_has_failed_whatever_its_exit_code() -> None:
    play = running(task("a", timeout=3.0))
    assert play.later(3.0) == [Stop(A, 1, 10.0)]
    play.feel(StopEnded(A, 1, StopReport(Exit(code=0))))
    assert (play["a"].phase, play["a"].reason.sentence) == (Phase.FAILED, "took longer than 3 s")


def test_a_task_that_was_told_to_end_is_stopped_and_not_done() -> None:
    play = running(task("a"))
    play.feel(WantDown((A,)))
    play.feel(StopEnded(A, 1, StopReport(Exit(signal=15))))
    assert (play["a"].phase, play["a"].done) == (Phase.STOPPED, None)


# ── out of sight ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_link_is_unknown_and_asked_about_until_the_truth_is_known() -> None:
    play = running(service("a", check=CHECK))
    assert play.feel(Lost(A, 1, "link lost")) == [StopChecks(A)]
    assert (play["a"].phase, play["a"].health.status) == (Phase.UNKNOWN, Health.UNKNOWN)
    assert play.later(2.0) == [Recover(A, 1)]
    play.feel(Recovered(A, 1, Unknown("host is down")))
    assert play["a"].reason.sentence == "host is down"
    assert play.later(2.0) == [Recover(A, 1)]
    assert play.feel(Recovered(A, 1, Running(started()))) == [Watch(A, 1), StartChecks(A, 1)]
    assert (play["a"].epoch, play["a"].started_at) == (1, 100.0), "the same life, as old as it is"
    assert play.feel(Lost(A, 1, "again")) != []
    assert play.feel(Lost(A, 1, "and again")) == [], "what is unknown cannot be lost"


@pytest.mark.parametrize(("recovery", "exit_"), [(Ended(Exit(code=3)), Exit(code=3)), (Gone(), Exit())])
def test_what_ended_out_of_sight_is_taken_as_its_end(recovery: Ended | Gone, exit_: Exit) -> None:
    play = running(service("a", restart=ONCE))
    play.feel(Lost(A, 1, "link lost"))
    assert play.feel(Recovered(A, 1, recovery)) == [Stop(A, 1, 10.0)]
    play.feel(StopEnded(A, 1, StopReport(None)))
    assert (play["a"].phase, play["a"].exit) == (Phase.FAILED, exit_), "an end of unknown manner is no success"


def test_a_stop_of_what_is_out_of_sight_is_carried_out_when_it_is_seen_again() -> None:
    play = running()
    play.feel(Lost(A, 1, "link lost"))
    assert play.feel(WantDown((A,))) == []
    assert play.feel(Recovered(A, 1, Running(started()))) == [Watch(A, 1), Stop(A, 1, 10.0)]


def test_a_stop_of_what_is_there_and_does_not_run_is_carried_out() -> None:
    play = running()
    play.feel(Lost(A, 1, "paused"))
    play.feel(Recovered(A, 1, Unknown("paused", started())))
    assert (play["a"].phase, play["a"].reason.sentence) == (Phase.UNKNOWN, "paused"), "wanted up, it is left alone"
    assert play.feel(WantDown((A,))) == []
    assert play.later(2.0) == [Recover(A, 1)]
    assert play.feel(Recovered(A, 1, Unknown("paused", started()))) == [Watch(A, 1), Stop(A, 1, 10.0)]


# ── a new daemon, a new machine ──────────────────────────────────────────────────────────────────────────────────────


def test_a_new_daemon_takes_back_what_runs_without_touching_it() -> None:
    play = running(service("a", check=CHECK))
    play.feel(Checked(A, 1, True, "ok"))
    assert play.feel(Boot(same_boot=True)) == [Recover(A, 1)]
    assert play["a"].phase is Phase.UNKNOWN
    assert play.feel(Recovered(A, 1, Running(started()))) == [Watch(A, 1), StartChecks(A, 1)]
    assert (play["a"].phase, play["a"].health.status) == (Phase.RUNNING, Health.HEALTHY)


def test_what_was_not_ready_yet_keeps_the_rest_of_its_time() -> None:
    play = running(service("a", check=CHECK, start_timeout=5.0))
    play.now += 3.0
    play.feel(Boot(same_boot=True))
    play.feel(Recovered(A, 1, Running(started())))
    assert (play["a"].deadline, play["a"].reason.sentence) == (105.0, "taken back")


def test_a_task_that_is_half_way_keeps_the_rest_of_its_time() -> None:
    play = running(task("a", timeout=60.0))
    play.now += 10.0
    play.feel(Boot(same_boot=True))
    play.feel(Recovered(A, 1, Running(started())))
    assert (play["a"].phase, play["a"].deadline) == (Phase.RUNNING, 160.0)


def test_an_intent_that_was_not_carried_out_is_carried_out_now_under_a_new_number() -> None:
    play = Play(service("a"))
    play.feel(WantUp((A,), restart=True))
    assert play.feel(Boot(same_boot=True)) == [Recover(A, 1)]
    assert play.feel(Recovered(A, 1, Gone())) == [Spawn(A, 2)]
    assert not play["a"].replace, "a start that never was needs no replacement"
    assert play.feel(Spawned(A, 2, started())) == [Watch(A, 2)]


def test_an_intent_that_was_not_carried_out_is_dropped_when_it_is_not_wanted_any_more() -> None:
    play = Play(service("a"))
    play.feel(WantDown((A,)))
    play.feel(Boot(same_boot=True))
    assert play.feel(Recovered(A, 1, Gone())) == []
    assert play["a"].phase is Phase.STOPPED


def test_a_stop_that_was_under_way_goes_on_with_the_rest_of_its_grace() -> None:
    play = running(service("a", stop=StopSpec(timeout=60.0)))
    assert play.feel(WantDown((A,))) == [Stop(A, 1, 60.0)]
    play.now += 20.0
    play.feel(Boot(same_boot=True))
    assert play.feel(Recovered(A, 1, Running(started()))) == [Watch(A, 1), Stop(A, 1, 40.0)]


def test_a_new_daemon_keeps_the_back_off() -> None:
    play = running()
    end(play)
    before = play["a"]
    assert play.feel(Boot(same_boot=True)) == []
    assert play["a"] == before
    assert play.later(0.5) == [Spawn(A, 2)]


@pytest.mark.parametrize(
    ("autostart", "phase", "wanted"), [(True, Phase.STARTING, Wanted.UP), (False, Phase.STOPPED, Wanted.DOWN)]
)
def test_after_a_restart_of_the_machine_only_what_wants_it_starts(
    autostart: bool, phase: Phase, wanted: Wanted
) -> None:
    play = running(service("a", autostart=autostart))
    play.effects.clear()
    play.feel(Boot(same_boot=False))
    assert (play["a"].phase, play["a"].wanted, play["a"].started) == (phase, wanted, None)
    assert told(play, EventType.STATE), "followers hear of it"


@pytest.mark.parametrize("same_boot", [True, False])
def test_what_a_copied_state_directory_tells_of_is_neither_sought_nor_started(same_boot: bool) -> None:
    play = running(service("a", autostart=True))
    assert play.feel(Boot(same_boot=same_boot, copied=True)) == []
    assert (play["a"].phase, play["a"].wanted, play["a"].reason.code) == (Phase.STOPPED, Wanted.DOWN, "copied")


def test_after_a_restart_of_the_machine_what_had_failed_gets_another_chance() -> None:
    play = running(service("a", autostart=True, restart=ONCE))
    end(play)
    assert play["a"].phase is Phase.FAILED
    assert play.feel(Boot(same_boot=False)) == [Spawn(A, 2)]


@pytest.mark.parametrize("autostart", [True, False])
def test_after_a_restart_of_the_machine_a_done_task_is_still_done(autostart: bool) -> None:
    play = done_task(autostart=autostart)
    assert play.feel(Boot(same_boot=False)) == []
    assert play["a"].phase is Phase.COMPLETED


def test_what_was_being_stopped_when_the_machine_went_down_is_stopped() -> None:
    play = running(service("a", autostart=True))
    play.feel(WantDown((A,)))
    play.feel(Boot(same_boot=False))
    assert (play["a"].phase, play["a"].stopping_since) == (Phase.STOPPED, None)


# ── taking over, giving up ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_runs_already_is_taken_over_as_a_life_of_its_own() -> None:
    play = Play(service("a"), want=())
    assert play.feel(Taken(A, started(99))) == [Watch(A, 1)]
    unit = play["a"]
    assert (unit.phase, unit.wanted, unit.epoch, unit.outdated) == (Phase.RUNNING, Wanted.UP, 1, False)
    assert unit.started is not None
    assert unit.started.pid == 99


def test_a_unit_that_runs_takes_over_nothing_else() -> None:
    play = running()
    before = play["a"]
    assert play.feel(Taken(A, started(99))) == []
    assert play["a"] is before


def test_what_is_given_up_runs_on_and_is_not_ours_any_more() -> None:
    play = running()
    assert play.feel(Give(A, "r1")) == [StopChecks(A), Forget(A, 1)]
    unit = play["a"]
    assert (unit.phase, unit.wanted, unit.epoch, unit.started) == (Phase.NOT_STARTED, Wanted.DOWN, 2, None)
    assert play.feel(Exited(A, 1, Exit(code=0))) == [], "its end is nobody's business"
    assert told(play, EventType.STACK)[-1].cause == "given up"


@pytest.mark.parametrize("moment", ["starting", "stopping"])
def test_nothing_is_given_up_in_the_middle_of_a_start_or_a_stop(moment: str) -> None:
    play = Play(service("a"))
    if moment == "stopping":
        play.feel(Spawned(A, 1, started()))
        play.feel(WantDown((A,)))
    before: Unit = play["a"]
    assert play.feel(Give(A)) == []
    assert play["a"] is before


def test_what_ran_for_the_original_of_a_copied_directory_is_not_ours() -> None:
    play = Play(service("a", autostart=True))
    play.feel(Spawned("s/a", 1, started()))
    play.feel(Boot(same_boot=False, copied=True))
    assert play["a"].phase is Phase.STOPPED
    assert play["a"].reason.code == "copied"
    assert play["a"].wanted is Wanted.DOWN
