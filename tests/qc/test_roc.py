"""The curves: a panel a metric, with both thresholds."""

from pathlib import Path
from xml.etree import ElementTree

import cv2
import pytest

from caf.errors import InputError
from caf.qc.calibration import RocRequest, Scores, calibrated, panel
from caf.qc.metrics.roc import draw_roc

SVG = "{http://www.w3.org/2000/svg}"


def request(out: Path, metrics: int = 3) -> RocRequest:
    panels = []
    for number in range(metrics):
        bad = (0.1 * number, 0.4) if number else ()
        scores = Scores(
            metric=f"metric_{number}", version=1, threshold=0.3, good=(0.5, 0.6, 0.7, 0.8, 0.9), bad=bad
        )
        panels.append(panel(scores, calibrated(scores, 0.02)))
    return RocRequest(panels=tuple(panels), out=str(out))


def drawn(out: Path, metrics: int = 3) -> bytes:
    made = draw_roc(request(out, metrics), lambda done, of: None)
    assert made.path == str(out)
    return out.read_bytes()


def test_a_panel_has_its_curve_its_area_and_both_thresholds(tmp_path: Path) -> None:
    svg = ElementTree.fromstring(drawn(tmp_path / "roc.svg").decode())
    words = [one.text for one in svg.iter(f"{SVG}text")]
    assert "metric_1" in words
    assert "AUC 1.000, 5 good, 2 bad" in words
    assert "now 0.3: 0 % false, 50 % caught" in words
    assert "proposed 0.45: 0 % false, 100 % caught" in words
    curves = [one for one in svg.iter(f"{SVG}polyline") if one.get("stroke-width") == "2"]
    assert len(curves) == 2  # the first metric has no bad clips
    assert "no bad clip was measured" in words


def test_a_perfect_metric_s_curve_goes_along_the_left_and_the_upper_edge(tmp_path: Path) -> None:
    svg = ElementTree.fromstring(drawn(tmp_path / "roc.svg").decode())
    curve = next(one for one in svg.iter(f"{SVG}polyline") if one.get("stroke-width") == "2")
    points = [tuple(map(float, point.split(","))) for point in (curve.get("points") or "").split()]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top = min(y for _, y in points)
    assert all(x == left or y == top for x, y in points)
    assert (points[0][0], points[-1]) == (left, (right, top))


@pytest.mark.parametrize("name", ["roc.png", "roc.svg"])
def test_the_same_request_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    assert drawn(tmp_path / name) == drawn(tmp_path / name)


def test_the_picture_grows_with_the_number_of_metrics(tmp_path: Path) -> None:
    heights = []
    for metrics in (1, 4, 5):
        drawn(tmp_path / "roc.png", metrics)
        image = cv2.imread(str(tmp_path / "roc.png"))
        assert image is not None
        heights.append(image.shape[0])
    assert heights[0] == heights[1] < heights[2]


def test_a_name_that_no_plot_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        draw_roc(request(tmp_path / "roc.pdf"), lambda done, of: None)
    assert list(tmp_path.iterdir()) == []
