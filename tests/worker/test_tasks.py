"""The table of tasks."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from caf.worker.tasks import TASKS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_leads_to_a_function_of_the_types_it_promises(name: str) -> None:
    task = TASKS[name]
    module, _, function = task.function.partition(":")
    signature = inspect.signature(getattr(import_module(module), function))
    request, progress = list(signature.parameters.values())[:2]
    assert request.annotation is task.request
    assert progress.name == "progress"
    assert signature.return_annotation == task.result


def test_the_callers_side_loads_no_native_library() -> None:
    check = (
        "import sys, caf.worker.pool, caf.pose.source\n"
        "print(*{'numpy', 'cv2', 'av', 'mediapipe', 'urllib.request'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
