"""`python -m caf.qc.metrics.part`: collects pieces of a clip. Started by `caf.qc.metrics.sharing` alone.

It reads a `PartsRequest` and then the pieces, a line each, and answers each with ticks, samples, and then what it
collected; then perhaps another request. It ends when it is asked nothing for a minute.
"""

import argparse
import os
import pickle
import select
import sys
from collections.abc import Iterator
from typing import Final

import msgspec

from caf.errors import MediaError
from caf.media.spans import OtherFramesError
from caf.qc.metrics.frames import deterministic_cv2
from caf.qc.metrics.parts import (
    FAULT,
    HEAD,
    OTHER_FRAMES,
    PART,
    SAMPLE,
    TICK,
    TICK_FRAMES,
    PartsRequest,
    collect_part,
)
from caf.qc.metrics.piece import Piece
from caf.qc.metrics.samples import Sample
from caf.worker.fault import fault_of
from caf.worker.memory import give_back_memory
from caf.worker.tether import tether

__all__ = ["main"]

_REST_S: Final = 1.0
_SILENT_S: Final = 60.0


def main(argv: list[str]) -> None:
    """Answers until stdin ends; does not return."""
    parser = argparse.ArgumentParser(prog="python -m caf.qc.metrics.part", description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="process id of the caller; end with it")
    tether(parser.parse_args(argv).parent)
    answers = os.dup(1)
    os.dup2(2, 1)  # native code may print
    request: PartsRequest | None = None
    for line in _lines():
        if line.startswith(b"{"):
            request = msgspec.json.decode(line, type=PartsRequest)
        elif request is not None:
            with deterministic_cv2():
                _answer(answers, request, Piece(*msgspec.json.decode(line, type=tuple[int, int, int])))
    # There is nothing to tidy up, and native libraries are known to hang in their exit handlers.
    os._exit(0)


def _lines() -> Iterator[bytes]:
    """What is asked, until the caller is gone or has been silent for long; at rest memory is given back."""
    held = b""
    while True:
        if not _asked(_REST_S):
            give_back_memory()
            if not _asked(_SILENT_S):
                return
        read = os.read(0, 1 << 20)
        if not read:
            return
        *lines, held = (held + read).split(b"\n")
        yield from lines


def _asked(within_s: float) -> bool:
    return bool(select.select([0], [], [], within_s)[0])


def _answer(answers: int, request: PartsRequest, piece: Piece) -> None:
    done = 0

    def beat() -> None:
        nonlocal done
        done += 1
        if done % TICK_FRAMES == 0:
            _send(answers, TICK, b"")

    def early(sample: Sample) -> None:
        _send(answers, SAMPLE, pickle.dumps(sample, pickle.HIGHEST_PROTOCOL))

    try:
        part = collect_part(request, piece, beat, early)
        _send(answers, PART, pickle.dumps(part, pickle.HIGHEST_PROTOCOL))
    except (OtherFramesError, MediaError):
        _send(answers, OTHER_FRAMES, b"")
    except Exception as error:  # noqa: BLE001  whatever it is, the caller is told
        _send(answers, FAULT, msgspec.json.encode(fault_of(error)))


def _send(answers: int, kind: bytes, body: bytes) -> None:
    left = memoryview(HEAD.pack(kind, len(body)) + body)
    while left:
        left = left[os.write(answers, left) :]


if __name__ == "__main__":
    main(sys.argv[1:])
