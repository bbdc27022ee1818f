"""Puts two bare BlazePose networks together as the `.task` bundle that MediaPipe's landmarker reads."""

import io
import struct
import zipfile
from typing import Any, Final

import flatbuffers
import numpy as np
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_fb
from mediapipe.tasks.metadata import schema_py_generated as model_fb

__all__ = ["DETECTOR_NAME", "LANDMARKS_NAME", "build_bundle", "without_mask"]

DETECTOR_NAME: Final = "pose_detector.tflite"
LANDMARKS_NAME: Final = "pose_landmarks_detector.tflite"

_ALIGNMENT: Final = 16
"""TensorFlow Lite reads constants in place and asks for this. Source: schema.fbs, Buffer, force_align."""

_MODEL_ID: Final = b"TFL3"
_METADATA_ID: Final = b"M001"
_METADATA_BUFFER: Final = "TFLITE_METADATA"
_DETECTOR_MEAN_STD: Final = (127.5, 127.5)
"""The detector sees pixels as -1..1. Source: MediaPipe's pose_detection graph, output range of the tensor."""

_LANDMARKS_MEAN_STD: Final = (0.0, 255.0)
"""The landmark network sees pixels as 0..1. Source: MediaPipe's pose_landmark graph."""

_MASK_OUTPUT: Final = 2
"""The landmark network's outputs are landmarks, presence, mask, heatmap, world landmarks.

Source: MediaPipe's pose_landmark graph, the split of the tensors.
"""

_OUTPUTS: Final = 5

_ALIGNMENT_EXTRA: Final = 0xD935
"""The zip extra field that pads a stored file to an alignment. Source: Android's zipalign."""

_LOCAL_HEADER_BYTES: Final = 30
"""Before a zip entry's name. Source: the zip format's local file header."""


def build_bundle(detector: bytes, landmarks: bytes, *, mask: bool = False) -> bytes:
    """The bytes of a `.task` file: a stored zip of the two networks, each told how its input is scaled.

    The branch that computes the person's mask is left out: nothing here asks for it, the landmarks stay
    the same to the bit, and a frame costs a quarter less. Asked for a mask, this bundle gives an empty one. `mask`
    keeps the branch, as other people's bundles have it: to compare with.

    The same two payloads always make the same bytes. Raises ValueError for a payload that is no
    TensorFlow Lite model of the expected kind.
    """
    finder, follower = _parsed(detector), _parsed(landmarks)
    if not mask:
        _leave_out(follower.subgraphs[0], follower.buffers, _MASK_OUTPUT)
    return _zipped(
        {
            DETECTOR_NAME: _with_metadata(finder, *_DETECTOR_MEAN_STD),
            LANDMARKS_NAME: _with_metadata(follower, *_LANDMARKS_MEAN_STD),
        }
    )


def without_mask(bundle: bytes) -> bytes | None:
    """A ready `.task` file without the branch that computes the mask, all else as it was.

    None where that is not sure to change no landmark: for a bundle that is damaged, or of other parts than a
    detector and a landmark network, or a network that is not laid out like BlazePose's, has files appended to
    it, or computes no mask as it is.
    """
    try:
        return _slim(bundle)
    except Exception:  # noqa: BLE001  zipfile and the generated code raise what they like; MediaPipe says what it is
        return None


def _slim(bundle: bytes) -> bytes | None:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        if set(archive.namelist()) != {DETECTOR_NAME, LANDMARKS_NAME}:
            return None
        parts = {name: archive.read(name) for name in archive.namelist()}
    if zipfile.is_zipfile(io.BytesIO(parts[LANDMARKS_NAME])):
        return None
    network = _parsed(parts[LANDMARKS_NAME])
    if not _computes_a_mask(network):
        return None
    _leave_out(network.subgraphs[0], network.buffers, _MASK_OUTPUT)
    return _zipped({**parts, LANDMARKS_NAME: _aligned(network)})


def _computes_a_mask(network: Any) -> bool:
    """Whether the third of five outputs is made by an operator and is a picture as large as the one input."""
    if len(network.subgraphs) != 1:
        return False
    graph = network.subgraphs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != _OUTPUTS:
        return False
    mask = int(graph.outputs[_MASK_OUTPUT])
    _, height, width, _ = (*graph.tensors[int(graph.inputs[0])].shape, 0, 0, 0, 0)[:4]
    made = any(mask in map(int, operator.outputs) for operator in graph.operators)
    return made and list(graph.tensors[mask].shape) == [1, height, width, 1]


def _zipped(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for name, payload in parts.items():
            bundle.writestr(_entry(name, at=buffer.tell()), payload)
    return buffer.getvalue()


def _entry(name: str, *, at: int) -> zipfile.ZipInfo:
    """A zip entry whose payload starts at a multiple of the alignment when its header is written `at`."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    info.external_attr = 0o644 << 16
    header = struct.Struct("<HHH")
    payload = at + _LOCAL_HEADER_BYTES + len(name.encode()) + header.size
    padding = -payload % _ALIGNMENT
    info.extra = header.pack(_ALIGNMENT_EXTRA, 2 + padding, _ALIGNMENT) + bytes(padding)
    return info


def _parsed(model: bytes) -> Any:
    if model[4:8] != _MODEL_ID:
        raise ValueError("not a TensorFlow Lite model: it lacks the mark TFL3")
    return model_fb.ModelT.InitFromPackedBuf(model)


def _leave_out(graph: Any, buffers: list[Any], output: int) -> None:
    """Removes the operators that only this output needs, and makes the output a constant of zeros."""
    if len(graph.outputs) <= output:
        raise ValueError(f"not a landmark network: it has {len(graph.outputs)} outputs")
    dropped = int(graph.outputs[output])
    needed = {int(tensor) for tensor in graph.outputs} - {dropped}
    kept = []
    for operator in reversed(graph.operators):
        if not needed.isdisjoint(map(int, operator.outputs)):
            needed.update(map(int, operator.inputs))
            kept.append(operator)
    graph.operators = kept[::-1]
    tensor = graph.tensors[dropped]
    tensor.buffer = len(buffers)
    zeros = np.zeros(int(np.prod(tensor.shape)) * np.dtype(np.float32).itemsize, np.uint8)
    buffers.append(model_fb.BufferT(data=zeros))


def _with_metadata(tree: Any, mean: float, std: float) -> bytes:
    """The model's bytes, with a metadata buffer that describes the first subgraph's tensors."""
    graph = tree.subgraphs[0]
    description = _metadata(len(graph.inputs), len(graph.outputs), mean, std)
    entry = model_fb.MetadataT()
    entry.name = _METADATA_BUFFER
    entry.buffer = len(tree.buffers)
    tree.metadata = [*(tree.metadata or []), entry]
    tree.buffers.append(model_fb.BufferT(data=np.frombuffer(description, np.uint8)))
    return _aligned(tree)


def _aligned(tree: Any) -> bytes:
    tree.buffers = [_AlignedBuffer(data=b.data, offset=b.offset, size=b.size) for b in tree.buffers]
    return _packed(tree, _MODEL_ID)


def _metadata(inputs: int, outputs: int, mean: float, std: float) -> bytes:
    options = metadata_fb.NormalizationOptionsT()
    options.mean = [mean]
    options.std = [std]
    unit = metadata_fb.ProcessUnitT()
    unit.optionsType = metadata_fb.ProcessUnitOptions.NormalizationOptions
    unit.options = options
    graph = metadata_fb.SubGraphMetadataT()
    graph.inputTensorMetadata = [metadata_fb.TensorMetadataT() for _ in range(inputs)]
    graph.outputTensorMetadata = [metadata_fb.TensorMetadataT() for _ in range(outputs)]
    graph.inputTensorMetadata[0].processUnits = [unit]
    tree = metadata_fb.ModelMetadataT()
    tree.subgraphMetadata = [graph]
    return _packed(tree, _METADATA_ID)


def _packed(tree: Any, file_id: bytes) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_id)
    return bytes(builder.Output())


class _AlignedBuffer(model_fb.BufferT):  # type: ignore[misc]
    """A buffer that keeps the alignment which the schema demands and the Python generator forgets."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802  called by the generated code
        data = None
        if self.data is not None:
            payload = bytes(self.data)
            builder.StartVector(1, len(payload), _ALIGNMENT)
            builder.head -= len(payload)
            builder.Bytes[builder.head : builder.head + len(payload)] = payload
            data = builder.EndVector()
        model_fb.BufferStart(builder)
        if data is not None:
            model_fb.BufferAddData(builder, data)
        model_fb.BufferAddOffset(builder, self.offset)
        model_fb.BufferAddSize(builder, self.size)
        return model_fb.BufferEnd(builder)
