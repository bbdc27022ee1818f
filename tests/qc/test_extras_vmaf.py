"""vmaf: by an ffmpeg that has it; without one, or with one that fails, a reason. And nothing of it unless asked."""

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from caf.policies import DEFAULT_POLICY
from caf.ports import Measurement, MeasureRequest
from caf.qc.extras import vmaf
from caf.qc.extras.ffmpeg import ffmpeg_with_vmaf
from caf.qc.gates import evaluate
from caf.qc.measure import find, measure
from caf.qc.metrics import EXTRAS, METRICS
from tests.cli.conftest import end_by_ctrl_c
from tests.clips import write_clip
from tests.hdr import PQ, write_hdr_clip
from tests.qc.metric_clips import FPS, SIZE, pan, picture
from tests.support.pause import glance_aside

ANSWERS = """#!{python}
import json, os, sys, time
words = sys.argv[1:]
if "-version" in words:
    print("ffmpeg version 9.1-made-up Copyright")
elif "-filters" in words:
    print(" .. libvmaf  VV->V  VMAF." if {has_vmaf} else " .. scale  V->V  Scale.")
else:
    open({folder!r} + "/words", "w").write(json.dumps(words))
    open({folder!r} + "/pid", "w").write(str(os.getpid()))
    {does}
"""
WRITES = (
    'print("frame=3", flush=True); open("vmaf.json", "w").write(json.dumps({"version": "3.0.0", "frames":'
    ' [{"frameNum": at, "metrics": {"vmaf": vmaf}} for at, vmaf in enumerate((90.0, 40.0, 65.0))]}))'
)
HANGS = "time.sleep(600)"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A clip and its source."""
    folder, frames = tmp_path_factory.mktemp("clips"), pan(picture("chelsea"), 24)
    source = write_clip(folder / "source.mp4", frames, fps=FPS)
    coarse = {"crf": "38", "preset": "veryfast"}
    return str(write_clip(folder / "clip.mp4", frames, fps=FPS, options=coarse)), str(source)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put an ffmpeg on PATH that does what is said; gives the folder in which it leaves its words and its number."""

    def put(does: str, *, has_vmaf: bool = True) -> Path:
        path = tmp_path / "bin" / "ffmpeg"
        path.parent.mkdir()
        told = ANSWERS.format(python=sys.executable, has_vmaf=has_vmaf, folder=str(tmp_path), does=does)
        path.write_text(told, "utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    return put


def judged(clip: str, source: str) -> Measurement:
    (found,) = measure(MeasureRequest(metrics=("vmaf",), video=clip, source=source), lambda done, of: None)
    return found


def is_gone(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


def test_the_score_is_the_mean_and_every_frame_below_seventy_is_blamed(
    clips: tuple[str, str], program: Callable[..., Path]
) -> None:
    program(WRITES)
    asked = MeasureRequest(metrics=("vmaf",), video=clips[0], source=clips[1])
    (found,) = find(asked, lambda done, of: None).findings
    assert found.measurement.score == 0.65
    assert found.measurement.raw["vmaf_lowest"] == 40.0
    assert found.measurement.worst_frames == (1, 2)
    assert found.blamed == (1, 2)
    assert "vmaf_v0.6.1, libvmaf 3.0.0, ffmpeg 9.1-made-up" in found.measurement.reason
    series = found.series["vmaf"]
    assert series[:3].tolist() == [90.0, 40.0, 65.0]
    assert len(series) == 24
    assert np.isnan(series[3:]).all()


def test_the_clip_is_scaled_to_the_size_of_its_source_and_only_files_are_opened(
    clips: tuple[str, str], program: Callable[..., Path]
) -> None:
    folder = program(WRITES)
    judged(*clips)
    words = (folder / "words").read_text("utf-8")
    assert f"scale={SIZE[0]}:{SIZE[1]}:flags=bicubic" in words
    assert words.count('"-protocol_whitelist", "file", "-i", "file:/') == 2


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ('sys.exit("Invalid data found")', "Invalid data found"),
        ("sys.exit(3)", "it ended with 3"),
        ("pass", "no log"),
        ('open("vmaf.json", "w").write("{")', "cannot be read"),
        ('open("vmaf.json", "w").write(\'{"frames": []}\')', "No frame"),
        ("os.kill(os.getpid(), 9)", "it ended with -9"),
    ],
)
def test_an_ffmpeg_that_fails_gives_a_reason_and_no_score(
    clips: tuple[str, str], program: Callable[..., Path], does: str, words: str
) -> None:
    program(does)
    found = judged(*clips)
    assert found.score is None
    assert words in found.reason


def test_hdr_is_not_held_against_what_is_none(
    clips: tuple[str, str], program: Callable[..., Path], tmp_path: Path
) -> None:
    program(WRITES)
    hdr = write_hdr_clip(tmp_path / "hdr.mp4", pan(picture("chelsea"), 3), PQ)
    assert "HDR" in judged(clips[0], str(hdr)).reason
    assert judged(clips[0], str(hdr)).score is None


def test_an_ffmpeg_that_gives_no_frame_is_ended(
    clips: tuple[str, str], program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = program(HANGS)
    monkeypatch.setattr(vmaf, "_STALL_S", 0.5)
    found = judged(*clips)
    assert "gave no frame" in found.reason
    assert is_gone(int((folder / "pid").read_text("ascii")))


def test_an_ffmpeg_that_says_no_more_and_stays_is_ended_too(
    clips: tuple[str, str], program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = program(f"os.close(1); {HANGS}")
    monkeypatch.setattr(vmaf, "_STALL_S", 0.5)
    assert "it ended with -9" in judged(*clips).reason
    assert is_gone(int((folder / "pid").read_text("ascii")))


def test_it_ends_with_whoever_asked_for_it(
    clips: tuple[str, str], program: Callable[..., Path], tmp_path: Path
) -> None:
    folder = program(HANGS)
    number = folder / "pid"
    asked = ["qc", clips[0], "--against", clips[1], "--metric", "vmaf"]
    end_by_ctrl_c(
        asked, tmp_path / "workspace", lambda pid: number.exists() and number.read_text("ascii") != ""
    )
    pid = int(number.read_text("ascii"))
    while not is_gone(pid):
        glance_aside()


def test_without_a_program_or_its_filter_or_a_source_the_reason_says_so(
    clips: tuple[str, str], program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no source was given" in judged(clips[0], clips[0]).reason
    program("pass", has_vmaf=False)
    assert "9.1-made-up" in judged(*clips).reason
    assert "without libvmaf" in judged(*clips).reason
    monkeypatch.setenv("PATH", "")
    found = judged(*clips)
    assert (found.score, found.reason) == (None, "There is no ffmpeg on PATH.")


def test_a_gate_on_what_is_not_there_is_unknown_and_says_why(
    clips: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    found = judged(*clips)
    gate = replace(DEFAULT_POLICY.gates[0], gate_id="vmaf_gate", metric="vmaf")
    report = evaluate(
        replace(DEFAULT_POLICY, gates=(gate,)),
        {"vmaf": found.score},
        job_id="job",
        generated_at="2026-01-01T00:00:00Z",
        inputs={},
        reasons={"vmaf": found.reason},
    )
    (judged_gate,) = report.gates
    assert judged_gate.status == "UNKNOWN"
    assert "There is no ffmpeg on PATH" in judged_gate.reason
    assert not report.overall.passed


@pytest.mark.skipif(isinstance(ffmpeg_with_vmaf(), str), reason="the ffmpeg at hand has no libvmaf")
def test_the_real_one_sees_nothing_in_the_source_and_much_in_a_coarse_copy(clips: tuple[str, str]) -> None:
    clip, source = clips
    same = Path(clip).with_name("same.mp4")
    shutil.copy(source, same)
    (best, worse) = (judged(str(path), source).score or 0 for path in (same, clip))
    assert best > 0.97
    assert worse < 0.8


def test_no_extra_metric_is_measured_unless_it_is_asked_for() -> None:
    assert set(EXTRAS) == {"vmaf", "identity_embedding"}
    assert not set(EXTRAS) & set(METRICS)
