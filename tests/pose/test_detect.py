"""Poses in real pictures, by the real model."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from caf.errors import InputError, MediaError, UnavailableError
from caf.ports import PoseRequest, PoseResult
from caf.pose.detect import detect
from caf.pose.landmarks import Landmarks, load_landmarks
from caf.worker.host import Worker
from tests.pose.conftest import MakeClip, Picture

NOSE, LEFT_SHOULDER, RIGHT_SHOULDER = 0, 11, 12


def ignore(done: int, total: int | None) -> None:
    pass


def found(video: str, model: str, out: Path) -> tuple[PoseResult, Landmarks]:
    out.mkdir(exist_ok=True)
    result = detect(PoseRequest(video=video, model=model, out_dir=str(out)), ignore)
    return result, load_landmarks(Path(result.landmarks))


def shifted(picture: Picture, shift_px: int) -> Picture:
    return np.asarray(
        cv2.copyMakeBorder(picture, 0, 0, shift_px, 0, cv2.BORDER_REPLICATE)[:, : picture.shape[1]], np.uint8
    )


def test_a_person_in_a_still_is_found_where_she_is(person: Picture, model: str, tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    cv2.imwrite(str(still), person)
    result, landmarks = found(str(still), model, tmp_path / "out")
    assert (result.frames, result.detected) == (1, 1)
    x, y = landmarks.points[0, NOSE, :2]
    assert 95 < x < 130, "her nose is between the columns of her ears"
    assert 45 < y < 80, "her nose is between the rows of her eyes and her mouth"
    assert landmarks.points[0, LEFT_SHOULDER, 0] > x > landmarks.points[0, RIGHT_SHOULDER, 0]


def test_the_pose_follows_a_person_who_moves_a_known_way(
    person: Picture, model: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    seen: list[tuple[int, int | None]] = []
    clip = make_clip("moving.mkv", ((shifted(person, 5 * n), n / 25) for n in range(8)))
    out = tmp_path / "out"
    out.mkdir()
    result = detect(
        PoseRequest(video=clip, model=model, out_dir=str(out)), lambda done, total: seen.append((done, total))
    )
    assert (result.frames, result.detected) == (8, 8)
    assert seen == [(n, 8) for n in range(1, 9)]
    nose_x = load_landmarks(Path(result.landmarks)).points[:, NOSE, 0]
    assert nose_x[-1] - nose_x[0] == pytest.approx(35, abs=5)


def test_a_clip_without_anyone_has_no_pose(model: str, make_clip: MakeClip, tmp_path: Path) -> None:
    grey = np.full((256, 256, 3), 127, np.uint8)
    result, landmarks = found(
        make_clip("empty.mkv", ((grey, n / 25) for n in range(3))), model, tmp_path / "out"
    )
    assert (result.frames, result.detected) == (3, 0)
    assert np.isnan(landmarks.points).all()
    assert not landmarks.detected.any()


def test_frames_closer_than_a_millisecond_are_still_followed_in_order(
    person: Picture, model: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    times = (0.0, 0.0002, 0.0004, 0.04, 0.5)
    result, _ = found(make_clip("dense.mkv", ((person, t) for t in times)), model, tmp_path / "out")
    assert (result.frames, result.detected) == (5, 5)


def test_the_same_clip_gives_the_same_bytes(
    person: Picture, model: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("clip.mkv", ((shifted(person, 3 * n), n / 25) for n in range(4)))
    both = [Path(found(clip, model, tmp_path / name)[0].landmarks).read_bytes() for name in ("a", "b")]
    assert both[0] == both[1]


def test_a_person_and_her_mirror_image_are_told_apart_and_the_choice_is_kept(
    person: Picture, model: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    both = np.hstack([person[:, ::-1], person])
    clip = make_clip("both.mkv", ((both, n / 25) for n in range(4)))
    chosen = {}
    for subject in ("0,0,256,256", "256,0,512,256"):
        out = tmp_path / subject
        out.mkdir()
        request = PoseRequest(video=clip, model=model, out_dir=str(out), max_subjects=3, subject=subject)
        result = detect(request, ignore)
        landmarks = load_landmarks(Path(result.landmarks))
        assert result.subjects >= 2
        assert landmarks.everyone is not None
        assert landmarks.everyone.shape == (result.subjects, 4, 33, 4)
        assert landmarks.subject == result.subject
        chosen[subject] = float(np.nanmedian(landmarks.points[:, NOSE, 0]))
    assert chosen["0,0,256,256"] < 256 < chosen["256,0,512,256"]


@pytest.mark.parametrize(
    ("wrong", "said"), [({"max_subjects": 0}, "max_subjects is 0"), ({"workers": 65}, "workers is 65")]
)
def test_a_request_out_of_bounds_is_a_sentence(wrong: dict[str, int], said: str, tmp_path: Path) -> None:
    request = PoseRequest(video="clip.mp4", model="model.task", out_dir=str(tmp_path))
    with pytest.raises(InputError, match=said):
        detect(replace(request, **wrong), ignore)


def test_a_model_that_is_none_is_a_sentence(person: Picture, tmp_path: Path) -> None:
    still, model = tmp_path / "still.png", tmp_path / "not.task"
    cv2.imwrite(str(still), person)
    model.write_bytes(b"nothing like a bundle")
    for path in (model, tmp_path / "gone.task"):
        with pytest.raises(UnavailableError, match="cannot be loaded") as caught:
            found(str(still), str(path), tmp_path / "out")
        assert caught.value.kind == "model_unavailable"


def test_a_clip_that_is_none_is_a_sentence(model: str, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("not a video", encoding="ascii")
    with pytest.raises(MediaError):
        found(str(text), model, tmp_path / "out")
    with pytest.raises(InputError):
        found(str(tmp_path / "gone.mp4"), model, tmp_path / "out")


async def test_in_a_worker_the_noise_of_the_model_goes_to_the_log(
    person: Picture, model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    still, log = tmp_path / "still.png", tmp_path / "log"
    cv2.imwrite(str(still), person)
    async with Worker() as worker:
        result = await worker.call(
            "pose",
            PoseRequest(video=str(still), model=model, out_dir=str(tmp_path)),
            progress=ignore,
            stall_s=120,
            deadline_s=240,
            log=log,
        )
    assert (result.frames, result.detected) == (1, 1)
    assert result.landmarks == str(tmp_path / "landmarks.npz")
    assert "inference_feedback_manager" in log.read_text(encoding="utf-8")
    assert capfd.readouterr() == ("", "")
