"""identity_embedding: a model of the user's says whether a face is the reference's; what it cannot do has a reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caf.errors import InputError
from caf.ports import EmbeddingModel, Measurement, MeasureRequest
from caf.qc.extras import embedding_of, extras_of
from caf.qc.extras.embedding import calibration
from caf.qc.extras.fingerprint import fingerprint
from caf.qc.extras.model_file import input_shapes
from caf.qc.measure import measure
from caf.sha256 import sha256_of
from tests.qc.metric_clips import Image, pan, picture
from tests.qc.onnx_bytes import mean_colours, model
from tests.qc.test_metrics_subject import turned

Writer = Callable[..., str]


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], str]:
    folder = tmp_path_factory.mktemp("models")

    def write(content: bytes) -> str:
        path = folder / f"{len(list(folder.iterdir()))}.onnx"
        path.write_bytes(content)
        return str(path)

    return write


@pytest.fixture(scope="module")
def cat(clip_of: Writer) -> str:
    return clip_of(pan(picture("chelsea"), 24))


@pytest.fixture(scope="module")
def reference(picture_file: Callable[[Image], str]) -> str:
    return picture_file(picture("chelsea"))


def judged(clip: str, reference: str | None, embedding: EmbeddingModel | None) -> Measurement:
    request = MeasureRequest(
        metrics=("identity_embedding",), video=clip, source=clip, reference=reference, embedding=embedding
    )
    (found,) = measure(request, lambda done, of: None)
    return found


@pytest.mark.parametrize("colours_first", [True, False])
def test_the_face_of_the_reference_is_it_and_one_in_other_colours_is_not(
    cat: str, clip_of: Writer, reference: str, onnx: Callable[[bytes], str], colours_first: bool
) -> None:
    path = onnx(mean_colours(colours_first=colours_first))
    same = judged(cat, reference, EmbeddingModel(path=path))
    assert same.score is not None, same.reason
    assert same.score > 0.9
    assert same.raw["embedding_values"] == 48
    assert same.raw["sightings"] >= 6
    other = judged(clip_of(turned(pan(picture("chelsea"), 24), 150)), reference, EmbeddingModel(path=path))
    assert other.score is not None
    assert other.score < 0.7
    assert other.raw["cosine_median"] < same.raw["cosine_median"]
    assert other.worst_frames
    assert same.worst_frames == ()


def test_the_score_says_which_model_it_is_of(cat: str, reference: str, onnx: Callable[[bytes], str]) -> None:
    path = onnx(mean_colours())
    found = judged(cat, reference, EmbeddingModel(path=path))
    digest = sha256_of(Path(path))
    assert digest[:12] in found.reason
    assert found.raw["made_with_sha256_48"] == int(digest[:12], 16) == fingerprint(digest)


def test_a_model_that_takes_any_size_is_given_the_one_that_is_said(
    cat: str, reference: str, onnx: Callable[[bytes], str]
) -> None:
    path = onnx(mean_colours("side"))
    assert "size=PIXELS" in judged(cat, reference, EmbeddingModel(path=path)).reason
    found = judged(cat, reference, EmbeddingModel(path=path, size=32))
    assert found.score is not None, found.reason
    assert found.raw["embedding_values"] == 48


def test_mean_scale_and_the_order_of_colours_are_those_that_are_said(
    cat: str, clip_of: Writer, reference: str, onnx: Callable[[bytes], str]
) -> None:
    path = onnx(mean_colours())
    blue = clip_of(turned(pan(picture("chelsea"), 24), 150))
    centred = judged(blue, reference, EmbeddingModel(path=path)).raw["cosine_median"]
    # Without a mean to take away all values are positive, and so all directions alike.
    assert judged(blue, reference, EmbeddingModel(path=path, mean=0.0)).raw["cosine_median"] > centred
    swapped = judged(blue, reference, EmbeddingModel(path=path, colours="bgr")).raw["cosine_median"]
    assert swapped == pytest.approx(centred, abs=1e-5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no model at all", "no ONNX model"),
        (b"", "no ONNX model"),
        (mean_colours()[:40], "no ONNX model"),
        (model([], [], b""), "no ONNX model"),
        (mean_colours(kind="NoSuchNode"), "OpenCV cannot"),
    ],
)
def test_what_is_no_model_for_pictures_is_a_reason_and_no_score(
    cat: str, reference: str, onnx: Callable[[bytes], str], content: bytes, words: str
) -> None:
    found = judged(cat, reference, EmbeddingModel(path=onnx(content)))
    assert found.score is None
    assert words in found.reason


def test_what_is_missing_is_said(
    cat: str, clip_of: Writer, reference: str, onnx: Callable[[bytes], str], picture_file: Callable[..., str]
) -> None:
    given = EmbeddingModel(path=onnx(mean_colours()))
    grey = [np.full((240, 360, 3), 120 + index % 3, np.uint8) for index in range(24)]
    for found, words in (
        (judged(cat, reference, None), "No model"),
        (judged(cat, reference, EmbeddingModel(path="/nowhere/x.onnx")), "There is no model"),
        (judged(cat, None, given), "No picture of the cat"),
        (judged(cat, picture_file(picture("coffee")), given), "No face is found in the picture"),
        (judged(clip_of(grey), reference, given), "No face is found in the clip"),
    ):
        assert found.score is None
        assert words in found.reason


@given(st.binary(max_size=80), st.integers(0, 200))
def test_no_bytes_make_the_reader_of_models_fail(noise: bytes, at: int) -> None:
    content = mean_colours()
    assert input_shapes(content) == [[1, 3, 32, 32]]
    shapes = input_shapes(content[:at] + noise + content[at + len(noise) :])
    assert all(size >= 0 for shape in shapes for size in shape)


def test_a_cosine_of_strangers_scores_nothing_and_the_limit_is_where_it_is_said() -> None:
    assert [calibration(cosine) for cosine in (-0.3, 0.0, 0.4, 0.8, 1.0)] == [0, 0, 0.7, 1, 1]


def test_what_is_said_of_a_models_input_is_read() -> None:
    given = embedding_of("face.onnx", " size=112, mean=0 ,scale=0.00392,colours=bgr")
    assert given == EmbeddingModel(
        path=str(Path("face.onnx").absolute()), size=112, mean=0.0, scale=0.00392, colours="bgr"
    )
    assert embedding_of(None, "size=112") is None


@pytest.mark.parametrize(
    "said",
    [
        "side=3",
        "size=big",
        "colours=grey",
        "size=-1",
        "mean=",
        "112",
        "mean=nan",
        "scale=-inf",
        "scale=1e999",
    ],
)
def test_what_says_nothing_of_an_input_is_refused_with_what_can_be_said(said: str) -> None:
    with pytest.raises(InputError) as refused:
        embedding_of("face.onnx", said)
    assert "size=PIXELS" in refused.value.remedy


def test_extra_metrics_are_those_of_the_setting_and_the_named_ones_once() -> None:
    assert extras_of(" vmaf , identity_embedding", ("vmaf",)) == ("vmaf", "identity_embedding")
    assert extras_of("") == ()
    with pytest.raises(InputError, match="extra metric named glitch"):
        extras_of("glitch")
