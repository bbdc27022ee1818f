"""An event's line says what is special about it; everything stands in `caf events --json`."""

from caf.cli.telling import tell
from caf.engines.parameters import PARAMETERS
from tests.support.jobs import attempt


def test_an_attempt_tells_only_the_parameters_that_are_not_the_usual_ones() -> None:
    usual = {"motion": {"pose_weight": 0.0}, "video": {"resolution_policy": "letterbox"}}
    assert tell(attempt(parameters=usual)) == "run-0001 from artifact with defaults"
    repaired = {**usual, "motion": {"pose_weight": 0.95}}
    assert tell(attempt(2, from_stage="motion", parameters=repaired)) == (
        "run-0002 from motion with motion.pose_weight=0.95"
    )


def test_many_parameters_are_counted() -> None:
    nodes = {str(number): {"seed": number} for number in range(30)}
    assert tell(attempt(parameters=nodes)) == (
        "run-0001 from artifact with 0.seed=0, 1.seed=1, 2.seed=2, 3.seed=3 and 26 more"
    )


def test_the_range_of_a_parameter_has_no_exponent() -> None:
    ranges = {spec.name: spec.range for spec in PARAMETERS}
    assert ranges["max_frames"] == "0 to 1000000"
    assert ranges["exposure"] == "-3 to 3"
    assert ranges["max_crop"] == "0 to 0.3"
