"""The tasks that a worker knows: a name, the function's address, and the types that cross over.

Addresses are strings, so that this table is light on the caller's side and the native libraries are
loaded in the child only. A function takes `(request, progress)` and returns the result.
"""

from importlib import import_module
from typing import Any, Final, NamedTuple, cast

from caf.ports import (
    Assembled,
    AssembleRequest,
    DemoRequest,
    Exploded,
    ExplodeRequest,
    Measurement,
    MeasureRequest,
    MediaInfo,
    OpenPoseRequest,
    PoseRequest,
    PoseResult,
    ProbeRequest,
    Produced,
    SheetRequest,
    StageRequest,
    StageResult,
)
from caf.pose.overlay import SkeletonClip, SkeletonRequest
from caf.pose.source import FetchedModel, ModelSource
from caf.qc.calibration import RocRequest
from caf.qc.examination import Examination, ExamineRequest

__all__ = ["TASKS", "TASKS_MODULE", "Task", "load_tasks"]

TASKS_MODULE: Final = "caf.worker.tasks"


class Task(NamedTuple):
    function: str
    """`module:name`."""
    request: type[Any]
    result: Any
    """A type, or a generic alias such as `tuple[Measurement, ...]`."""


TASKS: Final[dict[str, Task]] = {
    "probe": Task("caf.media.probe:probe", ProbeRequest, MediaInfo),
    "model": Task("caf.pose.model:fetch_model", ModelSource, FetchedModel),
    "pose": Task("caf.pose.detect:detect", PoseRequest, PoseResult),
    "skeleton": Task("caf.pose.skeleton:draw_skeleton", SkeletonRequest, SkeletonClip),
    "stage": Task("caf.engines.local:run_stage", StageRequest, StageResult),
    "openpose": Task("caf.pose.openpose:openpose_pictures", OpenPoseRequest, Exploded),
    "explode": Task("caf.media.sequence:explode", ExplodeRequest, Exploded),
    "assemble": Task("caf.media.sequence:assemble", AssembleRequest, Assembled),
    "demo": Task("caf.demo_clips:make", DemoRequest, Produced),
    "steady": Task("caf.engines.steadied:steadied", StageRequest, StageResult),
    "sheet": Task("caf.demo_clips:sheet", SheetRequest, Produced),
    "roc": Task("caf.qc.metrics.roc:draw_roc", RocRequest, Produced),
    "examine": Task("caf.qc.examine:examine", ExamineRequest, Examination),
    "measure": Task("caf.qc.measure:measure", MeasureRequest, tuple[Measurement, ...]),
}


def load_tasks(module: str) -> dict[str, Task]:
    """The `TASKS` of a module. Raises ImportError or AttributeError when there is none."""
    return cast("dict[str, Task]", import_module(module).TASKS)
