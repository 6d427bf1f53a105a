"""The words for people: how something ended, where it is reached."""

from __future__ import annotations

import pytest

from harness_core.domain.states import ACTIVE, SETTLED, Endpoint, Exit, Phase, Reason


@pytest.mark.parametrize(
    ("exit_", "sentence", "known", "success"),
    [
        (Exit(code=0), "exit code 0", True, True),
        (Exit(code=3), "exit code 3", True, False),
        (Exit(signal=15), "killed by SIGTERM", True, False),
        (Exit(signal=35), "killed by signal 35", True, False),
        (Exit(signal=9, oom=True), "killed by the kernel: out of memory", True, False),
        (Exit(code=137, note="it was removed"), "exit code 137; it was removed", True, False),
        (Exit(), "exit code unknown", False, False),
    ],
)
def test_an_end_is_told_in_words_and_an_unknown_one_is_no_success(
    exit_: Exit, sentence: str, known: bool, success: bool
) -> None:
    assert (str(exit_), exit_.known, exit_.success) == (sentence, known, success)


def test_an_address_of_version_six_stands_in_brackets() -> None:
    assert Endpoint("::1", 80).url == "http://[::1]:80"
    assert Endpoint("10.0.0.7", 5432, "postgres").url == "postgres://10.0.0.7:5432"


def test_no_phase_is_both_alive_and_at_rest() -> None:
    assert not ACTIVE & SETTLED
    assert set(Phase) - ACTIVE - SETTLED == {Phase.WAITING, Phase.BACKOFF, Phase.BLOCKED}


def test_a_reason_reads_as_its_sentence() -> None:
    assert str(Reason("exited", "exit code 3")) == "exit code 3"
