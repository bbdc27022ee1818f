"""The `.task` bundle: the same bytes every time, aligned, and with the scale of each input."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_fb
from mediapipe.tasks.metadata import schema_py_generated as model_fb

from caf.pose.bundle import DETECTOR_NAME, LANDMARKS_NAME, build_bundle, without_mask
from caf.pose.landmarker import follow
from tests.pose.conftest import MakeClip, Picture
from tests.pose.networks import a_network, a_picture_network

BUNDLE = build_bundle(a_network(2), a_network(5, salt=40))


def payload(name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(BUNDLE)) as archive:
        return archive.read(name)


def tree(name: str) -> Any:
    return model_fb.ModelT.InitFromPackedBuf(payload(name))


def metadata(name: str) -> Any:
    model = tree(name)
    entry = next(e for e in model.metadata if e.name == b"TFLITE_METADATA")
    data = bytes(model.buffers[entry.buffer].data)
    assert data[4:8] == b"M001"
    return metadata_fb.ModelMetadataT.InitFromPackedBuf(data)


def test_the_same_networks_make_the_same_bytes() -> None:
    assert build_bundle(a_network(2), a_network(5, salt=40)) == BUNDLE


def test_the_bundle_is_a_stored_zip_with_aligned_payloads() -> None:
    with zipfile.ZipFile(io.BytesIO(BUNDLE)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [DETECTOR_NAME, LANDMARKS_NAME]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    for name in (DETECTOR_NAME, LANDMARKS_NAME):
        assert BUNDLE.index(payload(name)) % 16 == 0


@pytest.mark.parametrize("name", [DETECTOR_NAME, LANDMARKS_NAME])
def test_every_constant_is_aligned(name: str) -> None:
    data = payload(name)
    model = model_fb.Model.GetRootAs(data)
    starts = []
    for index in range(model.BuffersLength()):
        table = model.Buffers(index)._tab
        if field := table.Offset(4):
            starts.append(table.Vector(field))
    assert len(starts) >= 3
    assert [start % 16 for start in starts] == [0] * len(starts)


@pytest.mark.parametrize(
    ("name", "mean", "std", "outputs"), [(DETECTOR_NAME, 127.5, 127.5, 2), (LANDMARKS_NAME, 0.0, 255.0, 5)]
)
def test_each_network_is_told_how_its_input_is_scaled(
    name: str, mean: float, std: float, outputs: int
) -> None:
    graph = metadata(name).subgraphMetadata[0]
    options = graph.inputTensorMetadata[0].processUnits[0].options
    assert (list(options.mean), list(options.std)) == ([mean], [std])
    assert len(graph.inputTensorMetadata) == 1
    assert len(graph.outputTensorMetadata) == outputs


def test_only_the_mask_is_no_longer_computed() -> None:
    before = model_fb.ModelT.InitFromPackedBuf(a_network(5, salt=40)).subgraphs[0]
    after = tree(LANDMARKS_NAME).subgraphs[0]
    mask = int(before.outputs[2])
    assert list(after.outputs) == list(before.outputs)
    made = {int(op.outputs[0]) for op in after.operators}
    assert made == {int(op.outputs[0]) for op in before.operators} - {mask, mask - 1}
    zeros = tree(LANDMARKS_NAME).buffers[after.tensors[mask].buffer].data
    assert zeros.tobytes() == np.zeros((1, 3, 3), np.float32).tobytes()


def test_the_constants_keep_their_values() -> None:
    before = model_fb.ModelT.InitFromPackedBuf(a_network(2)).buffers
    after = tree(DETECTOR_NAME).buffers
    assert [bytes(b.data) for b in after[1:3]] == [bytes(b.data) for b in before[1:]]


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="TFL3"):
        build_bundle(b"<html>not found</html>", a_network(5))
    with pytest.raises(ValueError, match="it has 2 outputs"):
        build_bundle(a_network(2), a_network(2))


def test_a_ready_bundle_loses_its_mask_and_nothing_else() -> None:
    ready = build_bundle(a_network(2), a_picture_network(), mask=True)
    slim = without_mask(ready)
    assert slim is not None
    with zipfile.ZipFile(io.BytesIO(ready)) as before, zipfile.ZipFile(io.BytesIO(slim)) as after:
        assert before.read(DETECTOR_NAME) == after.read(DETECTOR_NAME)
        trees = [model_fb.ModelT.InitFromPackedBuf(a.read(LANDMARKS_NAME)) for a in (before, after)]
    graphs = [tree.subgraphs[0] for tree in trees]
    mask = int(graphs[0].outputs[2])
    assert list(graphs[0].outputs) == list(graphs[1].outputs)
    made = [{int(op.outputs[0]) for op in graph.operators} for graph in graphs]
    assert made[0] - made[1] == {mask, mask - 1}
    assert without_mask(slim) is None, "there is nothing to leave out any more"


def test_a_bundle_that_is_laid_out_otherwise_is_left_alone() -> None:
    assert without_mask(b"no bundle") is None
    assert without_mask(build_bundle(a_network(2), a_network(5), mask=True)) is None, (
        "its third output is no picture"
    )
    assert without_mask(build_bundle(a_network(2), a_picture_network(outputs=6), mask=True)) is None
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr(LANDMARKS_NAME, a_picture_network())
    assert without_mask(other.getvalue()) is None


def test_a_damaged_bundle_is_left_to_mediapipe_which_says_what_it_is() -> None:
    ready = build_bundle(a_network(2), a_picture_network(), mask=True)
    with zipfile.ZipFile(io.BytesIO(ready)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    whole = parts[LANDMARKS_NAME]
    listed = ready.index(b"PK\x01\x02")
    damaged = [changed(ready, at) for at in range(listed, listed + 46)]
    for at in range(8, 800, 5):
        written = io.BytesIO()  # with a check sum that is right
        with zipfile.ZipFile(written, "w") as archive:
            archive.writestr(DETECTOR_NAME, parts[DETECTOR_NAME])
            archive.writestr(LANDMARKS_NAME, changed(whole, at))
        damaged.append(written.getvalue())
    slim = [without_mask(bundle) for bundle in damaged]
    assert None in slim


def changed(payload: bytes, at: int) -> bytes:
    return payload[:at] + bytes([payload[at] ^ 0xFF]) + payload[at + 1 :]


def test_without_the_mask_the_real_networks_find_the_same_to_the_bit(
    networks: tuple[bytes, bytes],
    person: Picture,
    make_clip: MakeClip,
    tmp_path: Path,
) -> None:
    ready = build_bundle(*networks, mask=True)
    slim = without_mask(ready)
    assert slim is not None
    turned = (np.roll(person, 4 * n, axis=1) if n % 9 else np.full_like(person, 127) for n in range(20))
    clip = make_clip("clip.mkv", ((picture, n / 25) for n, picture in enumerate(turned)))
    found = []
    for name, payload in (("ready", ready), ("slim", slim), ("built", build_bundle(*networks))):
        (tmp_path / name).write_bytes(payload)
        found.append([f.poses for f in follow(clip, str(tmp_path / name))])
    assert sum(len(poses) for poses in found[0]) > 10
    for ready_poses, *others in zip(*found, strict=True):
        for poses in others:
            np.testing.assert_array_equal(ready_poses, poses)
