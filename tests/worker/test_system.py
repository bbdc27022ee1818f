"""The check for system libraries, and what a worker says when one is missing."""

import ctypes
import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from caf.errors import MediaError, UnavailableError
from caf.system import APT_LINE, missing_system_libraries, require_system_libraries
from caf.worker.fault import fault_of

ROOT = Path(__file__).parents[2]
ALL = ("libGL.so.1", "libEGL.so.1", "libGLESv2.so.2", "libglib-2.0.so.0")


def only(*there: str) -> Callable[[str], object]:
    """A loader on a machine that has nothing but these."""

    def load(name: str) -> object:
        if name not in there:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return name

    return load


def test_a_machine_that_runs_these_tests_lacks_nothing() -> None:
    assert missing_system_libraries() == ()
    require_system_libraries()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert missing_system_libraries(only(*ALL)) == ()
    assert missing_system_libraries(only("libEGL.so.1", "libGLESv2.so.2")) == (
        "libGL.so.1",
        "libglib-2.0.so.0",
    )


def test_a_missing_library_is_a_sentence_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UnavailableError, match=r"library is missing .*: libGL\.so\.1\.") as caught:
        require_system_libraries(only(*ALL[1:]))
    assert "sudo apt-get install -y libgl1 libegl1 libgles2 libglib2.0-0" in caught.value.remedy
    with pytest.raises(UnavailableError, match="libraries are missing"):
        require_system_libraries(only())


def test_macos_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert missing_system_libraries(only()) == ()


@pytest.mark.parametrize(
    "error", [ImportError("libGL.so.1: cannot open"), OSError("libEGL.so.1: cannot open")]
)
def test_a_worker_that_cannot_load_its_code_for_want_of_a_library_gives_the_apt_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", only())
    fault = fault_of(error)
    assert (fault.raised_as, fault.kind) == ("UnavailableError", "system_library_missing")
    assert APT_LINE in fault.remedy


def test_opencv_out_of_memory_is_out_of_memory() -> None:
    class OpenCvError(Exception):
        code = -4

    assert fault_of(OpenCvError()).kind == "out_of_memory"
    assert fault_of(MemoryError()).kind == "out_of_memory"


def test_a_library_that_does_not_fit_below_the_limit_is_out_of_memory() -> None:
    assert fault_of(ImportError("x.so: failed to map segment from shared object")).kind == "out_of_memory"
    assert fault_of(OSError("x.so: Cannot allocate memory")).kind == "out_of_memory"


def test_a_class_that_only_the_child_knows_arrives_as_its_nearest_relative() -> None:
    class OddPixelsError(MediaError):
        default_kind = "odd_pixels"

    fault = fault_of(OddPixelsError("The pixels are odd.", remedy="Use even ones."))
    assert (fault.raised_as, fault.kind, fault.message) == ("MediaError", "odd_pixels", "The pixels are odd.")


def test_a_quota_is_a_full_disk() -> None:
    fault = fault_of(OSError(errno.EDQUOT, "Disk quota exceeded", "out.mkv"))
    assert (fault.raised_as, fault.kind, fault.transient) == ("TryAgainError", "disk_full", True)
    assert fault.message == "The disk is full while writing out.mkv."


def test_the_check_can_be_run_by_itself_before_anything_is_installed() -> None:
    bare = [sys.executable, "-S", "-c"]
    check = "import runpy; runpy.run_module('caf.system', run_name='__main__')"
    lack = "import ctypes\ndef load(name): raise OSError\nctypes.CDLL = load; import sys; sys.platform = 'linux'\n"
    assert subprocess.run([*bare, check], cwd=ROOT, check=False).returncode == 0
    lacking = subprocess.run([*bare, lack + check], cwd=ROOT, check=False, capture_output=True, text=True)
    assert lacking.returncode == 69
    assert APT_LINE in lacking.stderr
