"""How MediaPipe is loaded: without what only its plots need."""

import subprocess
import sys

SCRIPT = """
import sys
from caf.pose.runtime import load_mediapipe
mediapipe = load_mediapipe()
assert mediapipe.tasks.vision.PoseLandmarker
assert load_mediapipe() is mediapipe
assert "matplotlib" not in sys.modules
import matplotlib
assert matplotlib.__version__
"""


def test_mediapipe_is_there_without_matplotlib_which_can_still_be_loaded() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], check=True, timeout=240)
