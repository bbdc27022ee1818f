"""The engine's face: what it accepts, what it refuses, and that it repeats itself exactly."""

from pathlib import Path

import pytest

from caf.engines.local import ENGINE_ID, ENGINE_VERSION, PARAMETERS, run_stage
from caf.engines.parameters import settings_for
from caf.errors import InputError
from caf.ports import Parameter, StageRequest, VideoTarget
from tests.clips import make_clip
from tests.engines.stages import run

TARGET = VideoTarget(width=64, height=48, fps=30.0)


def refused(stage: str, **parameters: Parameter) -> InputError:
    request = StageRequest(stage=stage, inputs={}, parameters=parameters, target=TARGET, out_dir=".")
    with pytest.raises(InputError) as caught:
        run_stage(request, lambda done, total: None)
    return caught.value


def test_an_unknown_parameter_is_refused_with_the_allowed_ones_and_their_ranges() -> None:
    fault = refused("motion", pose_wait=0.5)
    assert fault.kind == "unknown_parameter"
    assert "did you mean pose_weight" in fault.message
    for spec in PARAMETERS:
        assert (f"{spec.name} ({spec.range})" in fault.remedy) == (spec.stage == "motion")


@pytest.mark.parametrize(
    ("stage", "name", "value"),
    [
        ("motion", "pose_weight", 1.01),
        ("motion", "pose_weight", float("nan")),
        ("motion", "pose_weight", True),
        ("motion", "pose_weight", "much"),
        ("motion", "motion_intensity", "wild"),
        ("motion", "motion_intensity", 1),
        ("video", "crf", 18.5),
        ("video", "max_frames", -1),
        ("video", "resolution_policy", "stretch"),
        ("frame", "exposure", float("inf")),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(stage: str, name: str, value: Parameter) -> None:
    fault = refused(stage, **{name: value})
    (spec,) = (s for s in PARAMETERS if s.name == name)
    assert fault.kind == "bad_parameter"
    assert name in fault.message
    assert spec.range in fault.remedy


def test_whole_numbers_may_come_as_floats_as_json_writes_them() -> None:
    assert settings_for("video", {"crf": 20.0}).whole("crf") == 20


def test_an_unknown_stage_and_a_missing_input_are_refused() -> None:
    assert refused("paint").kind == "unknown_stage"
    assert refused("video").kind == "missing_input"


def test_every_default_is_in_its_own_range() -> None:
    for spec in PARAMETERS:
        values = settings_for(spec.stage, {spec.name: spec.default})
        assert values is not None
    assert len({spec.name for spec in PARAMETERS}) == len(PARAMETERS)
    assert (ENGINE_ID, bool(ENGINE_VERSION)) == ("local", True)


def test_every_parameter_is_in_the_document_with_its_range_and_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "engine-local.md").read_text()
    for spec in PARAMETERS:
        shown = spec.range.replace("|", r"\|")
        assert f"| `{spec.name}` | {spec.stage} | {shown} | {spec.default} |" in text


def test_the_same_request_gives_the_same_bytes(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "c.mp4", frames=24, size=(96, 64), shake=2.0, flicker=0.1, audio=True)
    wanted: list[tuple[str, str, dict[str, Parameter]]] = [
        ("frame", "source", {"denoise": 0.4, "sharpen": 0.3, "identity_weight": 0.9, "deflicker": 0.5}),
        ("motion", "frames", {"pose_weight": 0.95, "temporal_smoothing": 0.85}),
        ("video", "motion", {"resolution_policy": "pad_reflect"}),
    ]
    for stage, role, parameters in wanted:
        runs = [
            run(stage, tmp_path / f"{stage}{n}", {"source": source, role: source}, TARGET, **parameters)
            for n in (1, 2)
        ]
        (first, a), (second, b) = runs
        assert a.read_bytes() == b.read_bytes()
        assert first.facts == second.facts
