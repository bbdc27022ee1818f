"""How a caller counts its waiting."""

from caf.worker.patience import Patience


def test_silence_uses_up_the_stall_budget_and_progress_restores_it() -> None:
    patience = Patience(stall_s=2.0, deadline_s=100.0)
    stalled = []
    for elapsed_s, heard in ((1.0, False), (0.5, False), (0.25, True), (1.0, False), (1.0, False)):
        patience.waited(elapsed_s, heard=heard)
        stalled.append(patience.stalled)
    assert stalled == [False, False, False, False, True]
    assert not patience.expired


def test_progress_does_not_put_off_the_deadline() -> None:
    patience = Patience(stall_s=2.0, deadline_s=3.0)
    for _ in range(3):
        assert not patience.expired
        patience.waited(1.0, heard=True)
    assert patience.expired
    assert patience.slice_s == 0.0


def test_a_caller_that_stood_still_for_an_hour_loses_one_slice() -> None:
    patience = Patience(stall_s=5.0, deadline_s=10.0)
    patience.waited(3600.0, heard=False)
    assert not patience.stalled
    assert not patience.expired


def test_a_wait_never_passes_a_budget() -> None:
    assert Patience(stall_s=0.2, deadline_s=10.0).slice_s == 0.2
    assert Patience(stall_s=5.0, deadline_s=0.3).slice_s == 0.3
    assert Patience(stall_s=50.0, deadline_s=100.0).slice_s == 1.0
