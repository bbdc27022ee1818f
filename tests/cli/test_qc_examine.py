"""`caf qc CLIP`: every metric of a clip, its blamed frames, and the pictures of them."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from tests.cli.conftest import Caf, end_by_ctrl_c
from tests.clips import Image, camera_frames, subject_sway, texture, write_clip
from tests.qc.onnx_bytes import mean_colours

SIZE = (240, 160)
FRAMES = 40
FINE = {"crf": "1", "preset": "veryfast"}
"""A coarser coder repeats frames in which hardly anything moves, and then they are repeated."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clean.mp4", moving(), options=FINE)


@pytest.fixture(scope="module")
def glitched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame 17 is torn, frames 25 to 32 are frame 24."""
    frames = moving()
    frames[17] = np.ascontiguousarray(np.roll(frames[17], 50, axis=1))
    frames[25:33] = [frames[24]] * 8
    return write_clip(tmp_path_factory.mktemp("clips") / "glitched.mp4", frames, options=FINE)


def moving() -> list[Image]:
    """A disc that sways over a textured scene, seen by a slowly moving camera."""
    scene = texture(SIZE[0] + 120, SIZE[1] + 120, seed=3)
    path = np.zeros((FRAMES, 3))
    path[:, 0] = 12 * np.sin(np.arange(FRAMES) / 14)
    return camera_frames(scene, path, SIZE, subject_sway(scene, SIZE))


TECHNICAL = ("--metric", "freeze", "--metric", "glitch", "--metric", "cadence", "--metric", "format")


def test_a_clip_that_is_good_exits_with_zero(caf: Caf, clean: Path) -> None:
    ran = caf("qc", clean, *TECHNICAL, "--json")
    assert ran.code == 0, ran.out
    told = ran.json()["examination"]
    assert told["frames"] == FRAMES
    assert {item["metric"]: item["verdict"] for item in told["metrics"]} == {
        "freeze": "good",
        "glitch": "good",
        "cadence": "good",
        "format": "unknown",
    }


def test_a_poor_clip_exits_with_three_and_names_the_frames(caf: Caf, glitched: Path) -> None:
    ran = caf("qc", "--json", glitched, *TECHNICAL)
    assert ran.code == 3
    found = {item["metric"]: item for item in ran.json()["examination"]["metrics"]}
    assert found["freeze"]["spans"] == [[25, 32]]
    assert found["glitch"]["spans"] == [[17, 17]]
    assert found["glitch"]["verdict"] == "poor"


def test_identity_is_judged_against_a_source_and_unknown_without_one(
    caf: Caf, clean: Path, glitched: Path
) -> None:
    asked = ("--metric", "identity_consistency", "--json")
    alone = caf("qc", clean, *asked).json()["examination"]["metrics"][0]
    assert (alone["verdict"], alone["score"]) == ("unknown", None)
    (told,) = caf("qc", glitched, "--against", clean, *asked).json()["examination"]["metrics"]
    assert told["verdict"] == "measured"
    assert told["score"] > 0.8
    assert told["raw"]["turned_deg"] < 6


def test_the_table_has_a_row_for_each_metric(caf: Caf, glitched: Path) -> None:
    ran = caf("qc", "examine", glitched, *TECHNICAL)
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert [row[0] for row in rows] == ["freeze", "glitch", "cadence", "format"]
    assert rows[0][2:4] == ["poor", "25-32"]


def test_series_plot_and_sheet_are_written_and_the_same_bytes_each_time(
    caf: Caf, glitched: Path, tmp_path: Path
) -> None:
    made = []
    for turn in ("one", "two"):
        names = [tmp_path / f"{turn}{end}" for end in (".npz", "-plot.png", "-sheet.png")]
        caf("qc", glitched, *TECHNICAL, "--series", names[0], "--plot", names[1], "--sheet", names[2])
        made.append(names)
    assert [name.read_bytes() for name in made[0]] == [name.read_bytes() for name in made[1]]
    with np.load(made[0][0]) as series:
        assert series["freeze.spans"].tolist() == [[25, 32]]
        assert series["glitch.excess"].shape == (FRAMES,)
        assert series["time_s"][-1] == pytest.approx((FRAMES - 1) / 30, abs=1e-3)
    for picture in made[0][1:]:
        image = cv2.imread(str(picture))
        assert image is not None
        assert image.shape[1] > 600


def test_a_plot_as_text_says_what_the_picture_says(caf: Caf, glitched: Path, tmp_path: Path) -> None:
    made = []
    for turn in ("one", "two"):
        plot = tmp_path / f"{turn}.svg"
        assert caf("qc", glitched, *TECHNICAL, "--plot", plot).code == 3
        made.append(plot.read_bytes())
    assert made[0] == made[1]
    svg = ElementTree.fromstring(made[0].decode())
    words = [one.text for one in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert [one for one in words if one in TECHNICAL] == ["freeze", "glitch", "cadence", "format"]
    lines = [one.get("points", "") for one in svg.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(line.split()) for line in lines if len(line.split()) > 2] == [FRAMES] * 3


def test_only_what_is_judged_is_drawn_as_good_or_poor(caf: Caf, glitched: Path, tmp_path: Path) -> None:
    words = ("--metric", "glitch", "--metric", "blank", "--metric", "loop_seam", "--metric", "format")
    caf("qc", glitched, *words, "--plot", tmp_path / "plot.svg")
    svg = ElementTree.fromstring((tmp_path / "plot.svg").read_text())
    texts = list(svg.iter("{http://www.w3.org/2000/svg}text"))
    fill = {above.text: below.get("fill") for above, below in itertools.pairwise(texts)}
    poor, good, unjudged, unknown = (fill[name] for name in ("glitch", "blank", "loop_seam", "format"))
    assert len({poor, good, unjudged}) == 3
    assert unjudged == unknown


def test_the_worst_frame_is_on_the_sheet(caf: Caf, glitched: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    caf("qc", glitched, "--metric", "glitch", "--sheet", sheet)
    reader = cv2.VideoCapture(str(glitched))
    reader.set(cv2.CAP_PROP_POS_FRAMES, 17)
    _, worst = reader.read()
    image = cv2.imread(str(sheet))
    assert image is not None
    small = cv2.resize(worst, (232, round(160 * 232 / 240)), interpolation=cv2.INTER_AREA)
    match = cv2.matchTemplate(image, small, cv2.TM_SQDIFF_NORMED)
    assert float(match.min()) < 0.01


def test_a_sheet_of_a_clip_without_fault_says_so(caf: Caf, clean: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert caf("qc", clean, "--metric", "glitch", "--sheet", sheet).code == 0
    assert sheet.stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("missing.mp4",), "not_found"),
        (("CLIP", "--metric", "beauty"), "unknown_metric"),
        (("CLIP", "--metric", "glitch", "--plot", "no/such/folder/plot.png"), "not_writable"),
        (("missing.mp4", "--plot", "plot.pdf"), "bad_picture_name"),
        (("missing.mp4", "--sheet", "sheet.svg"), "bad_picture_name"),
    ],
)
def test_what_cannot_be_done_is_a_typed_error(
    caf: Caf, clean: Path, words: tuple[str, ...], kind: str
) -> None:
    ran = caf("qc", *(str(clean) if word == "CLIP" else word for word in words), "--json")
    assert ran.code == 65
    assert ran.json()["error"]["kind"] == kind
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("words", ["--plot", "--sheet", "--series"])
@pytest.mark.parametrize("read", ["clip", "--against", "--reference"])
def test_no_file_that_is_read_is_written_over(caf: Caf, tmp_path: Path, words: str, read: str) -> None:
    clip, other = tmp_path / "clip.png", tmp_path / "other.png"
    clip.write_bytes(b"mine")
    other.write_bytes(b"mine too")
    given = [clip, words, clip] if read == "clip" else [clip, read, other, words, other]
    ran = caf("qc", "examine", *given, "--json")
    assert (ran.code, ran.json()["error"]["kind"]) == (65, "bad_output")
    assert (clip.read_bytes(), other.read_bytes()) == (b"mine", b"mine too")


def test_a_clip_without_its_reference_is_unknown_in_what_needs_one(caf: Caf, clean: Path) -> None:
    ran = caf("qc", clean, "--metric", "identity_consistency", "--json")
    (found,) = ran.json()["examination"]["metrics"]
    assert (found["score"], found["verdict"]) == (None, "unknown")
    assert "No picture of the cat" in found["reason"]


def has_child(pid: int) -> bool:
    """The child that measures is there, and still has its libraries to load."""
    return any((task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir())


def test_ctrl_c_ends_it_with_nothing_left(clean: Path, tmp_path: Path) -> None:
    out = end_by_ctrl_c(["qc", clean, "--plot", tmp_path / "plot.png"], tmp_path / "workspace", has_child)
    assert out == b""
    assert list(tmp_path.iterdir()) == []


def test_an_extra_metric_is_only_told_of_where_it_is_asked_for(caf: Caf, clean: Path, tmp_path: Path) -> None:
    model = tmp_path / "face.onnx"
    model.write_bytes(mean_colours("any"))
    few = ("qc", clean, "--metric", "format", "--json")

    def told(*words: object, **environ: str) -> dict[str, str]:
        ran = caf(*few, *words, PATH="", **environ)
        assert ran.code == 0, ran.err
        return {item["metric"]: item["reason"] for item in ran.json()["examination"]["metrics"]}

    assert set(told()) == {"format"}
    both = told("--extra", "vmaf", "--extra", "identity_embedding", "--against", clean)
    assert "no source was given" in both["vmaf"]
    assert "No model was given" in both["identity_embedding"]
    named = told("--metric", "identity_embedding", "--identity-model", model)
    assert "size=PIXELS" in named["identity_embedding"]
    set_up = told(
        "--extra", "identity_embedding", CAF_IDENTITY_MODEL=str(model), CAF_IDENTITY_MODEL_INPUT="size=32"
    )
    assert "No picture of the cat" in set_up["identity_embedding"]


def test_the_setting_asks_for_extra_metrics_beside_all_others(caf: Caf, clean: Path) -> None:
    ran = caf("qc", "measure", clean, "--json", PATH="", CAF_EXTRA_METRICS="vmaf")
    names = [item["metric"] for item in ran.json()["measurements"]]
    assert names[-1] == "vmaf"
    assert "identity_embedding" not in names
    wrong = caf("qc", clean, CAF_EXTRA_METRICS="vmaff")
    assert wrong.code == 65
    assert "vmaf, identity_embedding" in wrong.err


def test_what_is_said_wrongly_of_a_model_is_refused_before_anything_is_measured(
    caf: Caf, clean: Path
) -> None:
    ran = caf("qc", clean, "--identity-model", "x.onnx", "--identity-input", "width=3")
    assert ran.code == 65
    assert "size=PIXELS" in ran.err
