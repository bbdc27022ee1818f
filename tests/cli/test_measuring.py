"""Many clips, one of which is to blame: what stops that one, and what stops all."""

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from caf.cli.measuring import Measuring, Reference
from caf.errors import CafError, InputError, TryAgainError, UnavailableError
from caf.ports import MediaInfo, ProbeRequest
from caf.qc.examination import Examination, Examined, ExamineRequest
from caf.qc.kept import Kept
from caf.qc.labelled import labelled_clips
from caf.worker.errors import WorkerCrashedError

MEDIA = MediaInfo(
    kind="clip", container="mov", codec="h264", width=4, height=4, rotation_deg=0, pixel_format="yuv420p", frames=3,
    fps=24, variable_fps=False, duration_s=1, has_audio=False, bytes=1,
)  # fmt: skip
REFERENCE = Reference(picture=None, costume_required=False)


class Child:
    """In place of a tool: every clip scores 0.5, and the one named `fatal` raises what it was given."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.steps: list[str] = []

    def step(self, line: str) -> None:
        self.steps.append(line)

    async def call(self, task: str, request: Struct, doing: str, *, total: int | None = None) -> Any:
        if isinstance(request, ProbeRequest):
            return MEDIA
        assert isinstance(request, ExamineRequest)
        video, metrics = request.measure.video, request.measure.metrics
        self.asked.append((Path(video).name, metrics))
        if self.fault is not None and "fatal" in video:
            raise self.fault
        return Examination(
            frames=3,
            duration_s=1,
            metrics=tuple(
                Examined(
                    metric=name, version=1, stage="motion", score=0.5, threshold=None, verdict="", reason="",
                    raw={}, spans=(), worst_frames=(),
                )
                for name in metrics
            ),
        )  # fmt: skip


def sorted_folder(root: Path, *names: str) -> Path:
    for name in names:
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    return root


async def measured(folder: Path, child: Child) -> Measuring:
    measuring = Measuring(child, REFERENCE, {}, None)  # type: ignore[arg-type]  # what it needs of a tool
    await measuring.run(labelled_clips(folder), ("glitch", "freeze"))
    return measuring


async def test_a_clip_that_kills_its_child_is_left_out_and_the_others_are_measured(tmp_path: Path) -> None:
    folder = sorted_folder(tmp_path, "good/a.mp4", "good/fatal.mp4", "good/z.mp4", "bad/b.mp4")
    found = await measured(folder, Child(WorkerCrashedError("examine", "SIGSEGV", "")))
    assert [one.clip for one in found.measured] == ["good/a.mp4", "good/z.mp4", "bad/b.mp4"]
    (out,) = found.left_out
    assert (out.clip, out.kind) == ("good/fatal.mp4", "worker_crashed")
    assert "SIGSEGV" in out.reason


@pytest.mark.parametrize(
    "fault", [TryAgainError("full", remedy=""), UnavailableError("no library", remedy="")]
)
async def test_what_is_about_no_single_clip_stops_all(tmp_path: Path, fault: CafError) -> None:
    folder = sorted_folder(tmp_path, "good/fatal.mp4", "good/z.mp4", "bad/b.mp4")
    with pytest.raises(type(fault)):
        await measured(folder, Child(fault))


async def test_scores_that_cannot_be_kept_stop_all_at_the_first_clip(tmp_path: Path) -> None:
    folder = sorted_folder(tmp_path, "good/a.mp4", "good/b.mp4", "bad/c.mp4")
    child = Child()
    measuring = Measuring(child, REFERENCE, {}, tmp_path / "gone" / "scores.json")  # type: ignore[arg-type]
    with pytest.raises(InputError) as refused:
        await measuring.run(labelled_clips(folder), ("glitch",))
    assert refused.value.kind == "not_writable"
    assert [name for name, _ in child.asked] == ["a.mp4"]


async def test_each_clip_is_asked_for_what_it_speaks_of(tmp_path: Path) -> None:
    folder = sorted_folder(tmp_path, "good/a.mp4", "bad/b.mp4", "bad/freeze/c.mp4")
    child = Child()
    await measured(folder, child)
    both = ("glitch", "freeze")
    assert child.asked == [("a.mp4", both), ("b.mp4", both), ("c.mp4", ("freeze",))]
    assert child.steps == [
        "clip 1 of 3: good/a.mp4", "clip 2 of 3: bad/b.mp4", "clip 3 of 3: bad/freeze/c.mp4",
    ]  # fmt: skip


async def test_one_clip_may_be_bad_in_two_metrics_but_not_good_and_bad(tmp_path: Path) -> None:
    folder = sorted_folder(tmp_path, "good/a.mp4", "bad/glitch/b.mp4", "bad/freeze/b.mp4", "bad/freeze/c.mp4")
    (folder / "bad/freeze/b.mp4").write_text("bad/glitch/b.mp4")
    (folder / "bad/freeze/c.mp4").write_text("good/a.mp4")
    found = await measured(folder, Child())
    assert [one.clip for one in found.measured] == ["good/a.mp4", "bad/freeze/b.mp4", "bad/glitch/b.mp4"]
    (out,) = found.left_out
    assert out.reason == "bad/freeze/c.mp4 is the same file as good/a.mp4."


async def test_one_clip_is_not_good_and_bad_because_only_one_copy_has_a_source(tmp_path: Path) -> None:
    folder = sorted_folder(tmp_path, "good/a.mp4", "bad/b.mp4", "source/b.mp4")
    (folder / "bad/b.mp4").write_text("good/a.mp4")
    found = await measured(folder, Child())
    assert [one.clip for one in found.measured] == ["good/a.mp4"]
    (out,) = found.left_out
    assert (out.clip, out.kind) == ("bad/b.mp4", "repeated_clip")


async def test_a_file_that_may_not_be_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sorted_folder(tmp_path, "good/a.mp4", "good/b.mp4", "bad/c.mp4")
    whole = Path.open

    def guarded(path: Path, *words: Any, **named: Any) -> Any:
        if path.name == "b.mp4":
            raise PermissionError(13, "Permission denied")
        return whole(path, *words, **named)

    monkeypatch.setattr(Path, "open", guarded)
    found = await measured(folder, Child())
    assert [(one.clip, one.kind) for one in found.left_out] == [("good/b.mp4", "not_readable")]


async def test_a_clip_or_a_source_that_is_no_file_is_left_out_and_not_waited_for(tmp_path: Path) -> None:
    folder = sorted_folder(tmp_path, "good/a.mp4", "good/b.mp4", "source/x.mp4", "bad/c.mp4")
    os.mkfifo(folder / "good" / "pipe.mp4")
    os.mkfifo(folder / "source" / "b.mp4")
    (folder / "bad" / "link.mp4").symlink_to("nowhere")
    found = await measured(folder, Child())
    assert [(one.clip, one.kind) for one in found.left_out] == [
        ("good/b.mp4", "not_a_file"), ("good/pipe.mp4", "not_a_file"), ("bad/link.mp4", "not_a_file"),
    ]  # fmt: skip


@pytest.mark.parametrize("written", ["good/a.mp4", "source/a.mp4", "cat.png"])
async def test_scores_of_what_was_written_to_meanwhile_are_not_kept_for_what_was_there_before(
    tmp_path: Path, written: str
) -> None:
    folder = sorted_folder(tmp_path, "good/a.mp4", "bad/b.mp4", "source/a.mp4", "cat.png")

    class Writing(Child):
        async def call(self, task: str, request: Struct, doing: str, *, total: int | None = None) -> Any:
            if isinstance(request, ExamineRequest) and request.measure.video.endswith("a.mp4"):
                (folder / written).write_text("another one")
            return await super().call(task, request, doing, total=total)

    kept: Kept = {}
    reference = Reference(picture=folder / "cat.png", costume_required=False)
    measuring = Measuring(Writing(), reference, kept, None)  # type: ignore[arg-type]
    await measuring.run(labelled_clips(folder), ("glitch",))
    assert [(one.clip, one.kind) for one in measuring.left_out] == [("good/a.mp4", "changed_meanwhile")]
    assert [one.clip for one in kept.values()] == ["bad/b.mp4"]
