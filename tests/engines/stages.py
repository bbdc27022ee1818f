"""Run one stage of the local engine on real files, as a worker would."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caf.engines.local import run_stage
from caf.media.read import read_frames
from caf.ports import Parameter, StageRequest, StageResult, VideoTarget

Image = NDArray[np.uint8]


def run(
    stage: str,
    out_dir: Path,
    inputs: dict[str, Path],
    target: VideoTarget | None = None,
    **parameters: Parameter,
) -> tuple[StageResult, Path]:
    """The stage's result and the path of its only output."""
    out_dir.mkdir()
    request = StageRequest(
        stage=stage,
        inputs={role: str(path) for role, path in inputs.items()},
        parameters=parameters,
        target=target or VideoTarget(width=160, height=120, fps=30.0),
        out_dir=str(out_dir),
    )
    seen: list[tuple[int, int | None]] = []
    result = run_stage(request, lambda done, total: seen.append((done, total)))
    assert seen, "no progress, so no heartbeat"
    assert seen == sorted(seen, key=lambda step: step[0])
    assert all(total is not None and done <= total for done, total in seen)
    (output,) = result.outputs
    assert [path.name for path in out_dir.iterdir()] == [Path(output.path).name]
    return result, Path(output.path)


def images(path: Path) -> list[Image]:
    return [frame.image for frame in read_frames(path)]


def fact(result: StageResult, name: str) -> float:
    value = result.facts[name]
    assert isinstance(value, (int, float))
    return float(value)
