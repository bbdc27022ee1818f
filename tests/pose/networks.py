"""Small networks made by code, and a wheel that carries them, in the shape of the real ones."""

import hashlib
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
from mediapipe.tasks.metadata import schema_py_generated as model_fb

from caf.pose.wheel import PinnedFile, PinnedWheel

__all__ = ["DETECTOR_PATH", "LANDMARKS_PATH", "a_network", "a_picture_network", "a_wheel"]

DETECTOR_PATH = "mediapipe/modules/pose_detection/pose_detection.tflite"
LANDMARKS_PATH = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"


def a_network(outputs: int, salt: int = 0) -> bytes:
    """A TensorFlow Lite model with this many outputs.

    Output i is 2 ADD operators after the input, with a constant of its own; the constants have odd
    lengths, so that nothing is aligned by chance.
    """
    graph = model_fb.SubGraphT()
    graph.tensors, graph.operators = [_tensor("input", 0)], []
    buffers = [model_fb.BufferT()]
    ends = []
    for index in range(outputs):
        buffers.append(model_fb.BufferT(data=np.full(5 + 2 * index, salt + index, np.uint8)))
        constant, middle, end = range(len(graph.tensors), len(graph.tensors) + 3)
        graph.tensors += [
            _tensor(f"constant_{index}", len(buffers) - 1),
            _tensor(f"middle_{index}", 0),
            _tensor(f"end_{index}", 0),
        ]
        graph.operators += [_add([0, constant], middle), _add([middle, constant], end)]
        ends.append(end)
    graph.inputs, graph.outputs = [0], ends
    tree = model_fb.ModelT(version=3, operatorCodes=[model_fb.OperatorCodeT()], subgraphs=[graph])
    tree.buffers = buffers
    return _packed(tree)


def a_picture_network(outputs: int = 5) -> bytes:
    """As `a_network`; it takes a picture, and its third output is a mask of that size."""
    tree = model_fb.ModelT.InitFromPackedBuf(a_network(outputs))
    graph = tree.subgraphs[0]
    graph.tensors[0].shape = [1, 8, 8, 3]
    graph.tensors[int(graph.outputs[2])].shape = [1, 8, 8, 1]
    return _packed(tree)


def a_wheel(folder: Path, detector: bytes, landmarks: bytes) -> PinnedWheel:
    """Writes a wheel that pip accepts, and pins what is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
    about = "mediapipe-0.10.21.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(DETECTOR_PATH, detector)
        archive.writestr(LANDMARKS_PATH, landmarks)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n")
        archive.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp311-cp311-manylinux_2_28_x86_64\n",
        )
        archive.writestr(f"{about}/RECORD", "")
    return PinnedWheel(
        requirement="mediapipe==0.10.21",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        bytes=path.stat().st_size,
        detector=PinnedFile(DETECTOR_PATH, hashlib.sha256(detector).hexdigest()),
        landmarks=PinnedFile(LANDMARKS_PATH, hashlib.sha256(landmarks).hexdigest()),
    )


def _packed(tree: model_fb.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, buffer: int) -> model_fb.TensorT:
    return model_fb.TensorT(shape=[1, 3, 3], name=name, buffer=buffer)


def _add(inputs: list[int], output: int) -> model_fb.OperatorT:
    return model_fb.OperatorT(opcodeIndex=0, inputs=inputs, outputs=[output])
