"""`caf qc calibrate`: thresholds from sorted clips, measured by a real child."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import cv2
import jsonschema
import numpy as np
import pytest

from caf.qc.metrics.catalogue import METRICS as CATALOGUE
from tests.cli.conftest import Caf, call_caf, end_by_ctrl_c
from tests.clips import Image, camera_frames, make_picture, subject_sway, texture, write_clip

SIZE = (160, 112)
FRAMES = 30
FINE = {"crf": "1", "preset": "veryfast"}
SCHEMAS = Path(__file__).parents[2] / "schemas"
METRICS = ("--metric", "glitch", "--metric", "freeze", "--metric", "loop_seam")
LOOPS, JUMPS = 5, 3


def frames(seed: int, *, loops: bool = True) -> list[Image]:
    """A disc that sways over a textured scene, seen by a camera that comes back to where it began, or does not."""
    scene = texture(SIZE[0] + 120, SIZE[1] + 120, seed=seed)
    path = np.zeros((FRAMES, 3))
    turn = 2 * np.pi * np.arange(FRAMES) / FRAMES
    path[:, 0] = (9 + seed) * np.sin(turn) if loops else 1.5 * np.arange(FRAMES)
    return camera_frames(scene, path, SIZE, None if loops else subject_sway(scene, SIZE))


def torn(made: list[Image], at: int) -> list[Image]:
    made[at] = np.ascontiguousarray(np.roll(made[at], 40, axis=1))
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good clips that loop and a picture, three that do not loop, two that are torn in one frame, and no clips."""
    folder = tmp_path_factory.mktemp("sorted") / "mine"
    for place in ("good", "bad/loop_seam", "bad/glitch", "bad/feline_presence", "source"):
        (folder / place).mkdir(parents=True)
    for seed in range(LOOPS):
        write_clip(folder / "good" / f"{seed}.mp4", frames(seed), options=FINE)
    for seed in range(JUMPS):
        write_clip(folder / "bad" / "loop_seam" / f"{seed}.mp4", frames(9 + seed, loops=False), options=FINE)
    for seed in range(2):
        write_clip(folder / "bad" / "glitch" / f"{seed}.mp4", torn(frames(20 + seed), 12), options=FINE)
    make_picture(folder / "good" / "still.png")
    shutil.copyfile(folder / "good" / "3.mp4", folder / "good" / "again.mp4")
    (folder / "good" / "cut.mp4").write_bytes((folder / "good" / "0.mp4").read_bytes()[:3000])
    (folder / "bad" / "notes.txt").write_text("what I thought of them")
    (folder / "bad" / ".hidden").write_text("")
    shutil.copyfile(folder / "good" / "1.mp4", folder / "source" / "0.mp4")
    return folder


class Calibration(NamedTuple):
    folder: Path
    out: Path
    told: Any
    """The JSON answer."""
    err: str


@pytest.fixture(scope="module")
def done(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibration:
    """The folder calibrated once, with everything that can be written."""
    out = tmp_path_factory.mktemp("out")
    ran = call_caf(
        out / "workspace", "qc", "calibrate", made, *METRICS, "--json", "--scores", out / "scores.json",
        "--plot", out / "roc.svg", "--target", out / "target.json", "--policy", out / "policy.json",
    )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    return Calibration(made, out, ran.json(), ran.err)


def by_metric(told: Any) -> dict[str, Any]:
    return {one["metric"]: one for one in told["metrics"]}


def valid(path: Path, schema: str) -> Any:
    found = json.loads(path.read_bytes())
    jsonschema.validate(found, json.loads((SCHEMAS / f"{schema}.schema.json").read_text("utf-8")))
    return found


def test_a_clip_that_is_bad_in_one_metric_speaks_of_that_one_only(done: Calibration) -> None:
    found = by_metric(done.told)
    assert list(found) == ["glitch", "freeze", "loop_seam"]
    assert {name: (one["good"], one["bad"]) for name, one in found.items()} == {
        "glitch": (LOOPS, 2),
        "freeze": (LOOPS, 0),
        "loop_seam": (LOOPS, JUMPS),
    }
    assert [one["unmeasured_good"] for one in found.values()] == [1, 1, 1]  # the picture


def test_a_threshold_that_parts_the_clips_is_proposed(done: Calibration) -> None:
    found = by_metric(done.told)
    for name, present in (("glitch", 0.7), ("loop_seam", 0.7)):
        one = found[name]
        assert one["auc"] == 1
        assert one["present"]["threshold"] == present
        assert (one["proposed"]["false_alarms"], one["proposed"]["catch_rate"]) == (0, 1)
        assert one["proposed"]["false_alarm_limit"] == pytest.approx(1 - 0.025 ** (1 / LOOPS))
        of = {"good": [], "bad": []}
        for clip in done.told["clips"]:
            if clip["scores"].get(name) is not None:
                of[clip["label"]].append(clip["scores"][name])
        assert max(of["bad"]) < one["proposed"]["threshold"] <= min(of["good"])


def test_a_metric_without_bad_clips_gets_no_threshold_and_says_why(done: Calibration) -> None:
    freeze = by_metric(done.told)["freeze"]
    assert (freeze["auc"], freeze["proposed"]) == (None, None)
    assert freeze["reason"] == "no bad clip was measured"


def test_files_that_cannot_be_read_are_named_with_their_reason_and_stop_nothing(done: Calibration) -> None:
    left = {one["clip"]: one["kind"] for one in done.told["left_out"]}
    assert left == {
        "bad/notes.txt": "not_a_video",
        "good/cut.mp4": "media_truncated",
        "good/again.mp4": "repeated_clip",
    }
    assert done.err == ""
    assert not any("hidden" in one["clip"] for one in done.told["clips"])


def test_the_target_and_the_policy_are_documents_with_the_proposals(done: Calibration, caf: Caf) -> None:
    found = by_metric(done.told)
    seam, glitch = (found[name]["proposed"]["threshold"] for name in ("loop_seam", "glitch"))
    target = valid(done.out / "target.json", "quality_target.v1")
    assert (target["profile_id"], target["thresholds"]) == ("calibrated_mine", {"loop_seam": seam})
    policy = valid(done.out / "policy.json", "qc_policy.v1")
    thresholds = {gate["metric"]: gate["threshold"] for gate in policy["gates"]}
    assert (thresholds["loop_seam"], thresholds["glitch"], len(thresholds)) == (seam, glitch, 9)
    scores = done.out / "given.json"
    scores.write_text(json.dumps({"metrics": {"glitch": {"score": glitch - 0.01}}}))
    ran = caf("qc", "evaluate", "--policy", done.out / "policy.json", "--metrics", scores)
    gate = next(one for one in ran.json()["gates"] if one["metric"] == "glitch")
    assert (gate["status"], gate["threshold"]) == ("SOFT_FAIL", glitch)


def test_the_plot_has_a_panel_for_each_metric(done: Calibration) -> None:
    svg = ElementTree.fromstring((done.out / "roc.svg").read_text("utf-8"))
    words = [one.text for one in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert [one for one in words if one in ("glitch", "freeze", "loop_seam")] == [
        "glitch",
        "freeze",
        "loop_seam",
    ]
    assert "AUC 1.000, 5 good, 3 bad" in words


def test_kept_scores_name_the_bytes_and_the_version_that_they_are_true_of(done: Calibration) -> None:
    kept = json.loads((done.out / "scores.json").read_bytes())
    by_name = {one["clip"]: one for one in kept["clips"]}
    first = by_name["good/0.mp4"]
    assert first["of"] == {
        "sha256": hashlib.sha256((done.folder / "good" / "0.mp4").read_bytes()).hexdigest(),
        "source_sha256": hashlib.sha256((done.folder / "source" / "0.mp4").read_bytes()).hexdigest(),
    }
    assert by_name["good/1.mp4"]["of"].keys() == {"sha256"}
    assert first["metrics"]["glitch"]["version"] == CATALOGUE["glitch"].version
    assert list(by_name["bad/glitch/1.mp4"]["metrics"]) == ["glitch"]
    assert by_name["good/still.png"]["metrics"]["glitch"]["score"] is None


def test_known_scores_are_taken_and_only_the_rest_is_measured(
    done: Calibration, caf: Caf, tmp_path: Path
) -> None:
    kept = json.loads((done.out / "scores.json").read_bytes())
    by_name = {one["clip"]: one for one in kept["clips"]}
    by_name["good/1.mp4"]["metrics"]["glitch"]["score"] = 0.4321  # nobody measures that
    by_name["good/2.mp4"]["metrics"]["glitch"] = {"version": 99, "score": 0.4321}
    book = tmp_path / "scores.json"
    book.write_text(json.dumps(kept))
    ran = caf("qc", "calibrate", done.folder, "--metric", "glitch", "--scores", book, "--json")
    scores = {one["clip"]: one["scores"] for one in ran.json()["clips"]}
    before = {one["clip"]: one["scores"] for one in done.told["clips"]}
    assert scores["good/1.mp4"] == {"glitch": 0.4321}
    assert scores["good/2.mp4"]["glitch"] == before["good/2.mp4"]["glitch"]
    again = {one["clip"]: one["metrics"] for one in json.loads(book.read_bytes())["clips"]}
    assert again["good/2.mp4"]["glitch"]["version"] == CATALOGUE["glitch"].version
    assert "loop_seam" in again["good/2.mp4"]  # what was kept of others stays


def test_the_table_has_a_row_for_each_metric_and_tells_what_was_left_out(
    done: Calibration, caf: Caf, tmp_path: Path
) -> None:
    book = shutil.copyfile(done.out / "scores.json", tmp_path / "scores.json")
    plot = tmp_path / "roc.png"
    ran = caf("qc", "calibrate", done.folder, *METRICS, "--scores", book, "--plot", plot)
    assert ran.code == 0
    rows = {row[0]: row for row in (line.split("\t") for line in ran.out.splitlines())}
    assert rows["glitch"][1:5] == ["5", "2", "1", "1.000"]
    assert rows["glitch"][5].startswith("0.7: 0 %, ")
    assert rows["glitch"][6].endswith(": 0 % (52 %), 100 %")
    assert rows["freeze"][-1] == "no bad clip was measured"
    assert "clip 1 of 14: good/0.mp4" in ran.err
    assert "bad/notes.txt was left out: " in ran.err
    assert cv2.imread(str(plot)) is not None


def test_without_a_choice_every_metric_with_a_threshold_or_with_bad_clips_of_its_own_is_told(
    done: Calibration, caf: Caf, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    (folder / "bad" / "feline_presence").mkdir(parents=True)
    (folder / "good").mkdir()
    shutil.copyfile(done.folder / "good" / "0.mp4", folder / "good" / "0.mp4")
    shutil.copyfile(done.folder / "good" / "1.mp4", folder / "bad" / "feline_presence" / "1.mp4")
    found = by_metric(caf("qc", "calibrate", folder, "--json").json())
    assert len(found) == 8 + 11 + 1
    assert (found["feline_presence"]["present"], found["feline_presence"]["bad"]) == (None, 1)
    assert "human_presence" not in found
    assert found["identity_consistency"]["unmeasured_good"] == 1  # no picture of the cat was given


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("nowhere",), "bad_layout"),
        (("FOLDER", "--metric", "beauty"), "unknown_metric"),
        (("FOLDER", "--plot", "roc.pdf"), "bad_picture_name"),
        (("FOLDER", "--target", "no/such/folder/target.json"), "not_writable"),
        (("FOLDER", "--scores", "FOLDER/bad/.hidden"), "contract_violation"),
        (("FOLDER", "--scores", "FOLDER/bad/notes.txt"), "bad_output"),
        (("FOLDER", "--policy", "FOLDER/source/0.mp4"), "bad_output"),
        (("FOLDER", "--plot", "FOLDER/good/still.png"), "bad_output"),
        (("FOLDER", "--target", "same.json", "--policy", "./same.json"), "bad_output"),
        (("FOLDER", "--reference", "FOLDER/bad/notes.txt"), "not_a_video"),
    ],
)
def test_what_cannot_be_done_is_a_typed_error_before_anything_is_measured(
    caf: Caf, made: Path, words: tuple[str, ...], kind: str
) -> None:
    ran = caf("qc", "calibrate", *(word.replace("FOLDER", str(made)) for word in words), "--json")
    assert ran.code == 65
    assert ran.json()["error"]["kind"] == kind
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("share", ["-0.1", "1.5", "nan", "many"])
def test_a_share_that_is_none_is_a_mistake_in_the_words(caf: Caf, made: Path, share: str) -> None:
    assert caf("qc", "calibrate", made, "--false-alarms", share).code == 2


def test_ctrl_c_keeps_the_scores_that_were_measured(made: Path, tmp_path: Path) -> None:
    book = tmp_path / "scores.json"
    plot = tmp_path / "roc.png"
    words = ["qc", "calibrate", made, *METRICS, "--scores", book, "--plot", plot]
    assert end_by_ctrl_c(words, tmp_path / "workspace", lambda pid: book.exists()) == b""
    assert json.loads(book.read_bytes())["clips"]
    assert list(tmp_path.iterdir()) == [book]
