"""How MediaPipe is loaded: without what only its plots and its recordings need."""

import subprocess
import sys
from pathlib import Path

import pytest

from caf.errors import UnavailableError
from caf.pose import runtime

SCRIPT = """
import sys
from caf.pose.runtime import load_mediapipe
mediapipe = load_mediapipe()
assert mediapipe.tasks.vision.PoseLandmarker
assert load_mediapipe() is mediapipe
assert not {"matplotlib", "sounddevice"} & set(sys.modules)
import matplotlib
assert matplotlib.__version__
"""


def test_mediapipe_is_there_without_plots_and_recordings_which_can_still_be_loaded() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], check=True, timeout=240)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no /sys, and no need of it")
def test_where_sys_is_missing_it_is_said_instead_of_an_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_PROCESSORS", Path("/nowhere/possible"))
    with pytest.raises(UnavailableError, match="is not there") as caught:
        runtime.load_mediapipe()
    assert caught.value.kind == "system_files_missing"
