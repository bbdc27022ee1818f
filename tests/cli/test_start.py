"""The program can be interrupted from its first moment on."""

import signal
import subprocess
import sys

import pytest

from caf.cli.__main__ import VERBS

MODULES = {place.partition(":")[0]: verb for verb, (place, _) in reversed(VERBS.items())}
"""Every module with verbs, and the first of them."""

INTERRUPTED_WHILE_IT_LOADS = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["caf", "--version"]
from caf.cli.start import main
main()
"""


@pytest.mark.parametrize(
    ("heard", "code", "told"),
    [(signal.SIG_DFL, -signal.SIGINT, ""), (signal.SIG_IGN, 0, "caf ")],
    ids=["at a terminal", "as a shell's background job"],
)
def test_an_interrupt_while_it_loads_ends_it_without_a_word_where_it_is_heard(
    heard: signal.Handlers, code: int, told: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IT_LOADS],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, heard),
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith(told)
    assert bool(done.stdout) == bool(told)


@pytest.mark.parametrize("verb", MODULES.values())
def test_a_verb_is_there_in_a_process_that_has_loaded_nothing_else(verb: str) -> None:
    words = [sys.executable, "-W", "error", "-m", "caf.cli", verb, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: caf {verb}")
