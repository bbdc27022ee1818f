"""What follows from a look at the queue, and what does not."""

from caf.comfy.answers import Account, Queue, Queued
from caf.comfy.flights import Board, Flight
from tests.comfy.given import frames


def queue(running: str = "", pending: str = "") -> Queue:
    """Prompt ids of one letter."""

    def items(ids: str) -> tuple[Queued, ...]:
        return tuple(Queued(number=0, prompt_id=prompt_id, extra_data={}) for prompt_id in ids)

    return Queue(running=items(running), pending=items(pending))


def under_way(*ids: str, sent_at: float = 0.0) -> tuple[Board, list[Flight]]:
    board = Board(tuple(frames(len(ids))))
    for flight, prompt_id in zip(board.flights, ids, strict=True):
        board.name(flight, prompt_id)
        flight.leave(prompt_id, None, sent_at)
    return board, list(board.flights)


def test_a_look_says_nothing_of_a_prompt_that_was_sent_after_it_was_asked_for() -> None:
    board, (flight,) = under_way("a", sent_at=5.0)
    assert board.look(queue(), asked_at=4.0, now=6.0, client_id=None).absent == ()
    assert board.look(queue(), asked_at=5.5, now=6.0, client_id=None).absent == (flight,)


def test_every_copy_but_one_of_a_waiting_prompt_is_surplus() -> None:
    board, _ = under_way("a")
    assert board.look(queue(pending="abaa"), 1.0, 1.0, None).surplus == ("a", "a")


def test_every_waiting_copy_of_a_running_prompt_is_surplus() -> None:
    board, _ = under_way("a")
    assert board.look(queue(running="a", pending="ba"), 1.0, 1.0, None).surplus == ("a",)


def test_a_copy_of_a_prompt_that_is_over_is_surplus_unless_the_look_is_older_than_its_end() -> None:
    board, (flight,) = under_way("a")
    flight.land(Account(outputs={}, ok=True), 2.0)
    assert board.look(queue(pending="a"), 1.5, 2.0, None).surplus == ()
    assert board.look(queue(pending="a"), 2.5, 3.0, None).surplus == ("a",)


def test_of_two_submissions_of_one_prompt_the_one_that_runs_counts() -> None:
    board, (flight,) = under_way("a")
    board.name(flight, "b")
    flight.leave("b", None, 1.0)
    assert board.look(queue(running="a", pending="b"), 2.0, 2.0, None).surplus == ("b",)
    assert flight.prompt_id == "a"


def test_of_two_submissions_that_wait_the_newer_counts() -> None:
    board, (flight,) = under_way("a")
    board.name(flight, "b")
    flight.leave("b", None, 1.0)
    assert board.look(queue(pending="ab"), 2.0, 2.0, None).surplus == ("a",)
    assert flight.prompt_id == "b"


def test_a_prompt_that_was_believed_lost_and_shows_up_is_taken_up() -> None:
    board, (flight,) = under_way("a")
    flight.lose()
    assert board.look(queue(pending="a"), 1.0, 1.0, None).surplus == ()
    assert (flight.stage, flight.prompt_id) == ("away", "a")


def test_what_belongs_to_others_is_never_surplus() -> None:
    board, _ = under_way("a")
    assert board.look(queue(running="x", pending="xyxya"), 1.0, 1.0, None).surplus == ()
    assert board.other_runs == "x"


def test_prompts_that_wait_while_none_runs_may_be_wedged_until_one_runs() -> None:
    board, _ = under_way("a")
    board.look(queue(pending="a"), 1.0, 1.0, None)
    board.look(queue(pending="a"), 2.0, 2.0, None)
    assert board.wedged_since == 1.0
    board.look(queue(running="a"), 3.0, 3.0, None)
    assert board.wedged_since is None
