"""`python -m caf.qc.metrics.part`: collects pieces of a clip. Started by `caf.qc.metrics.sharing` alone.

It reads a `PartsRequest` and then the pieces, a line each, and answers each with ticks and then what it collected.
"""

import argparse
import os
import pickle
import sys

import msgspec

from caf.errors import MediaError
from caf.media.spans import OtherFramesError, Timetable, timetable
from caf.qc.metrics.frames import deterministic_cv2
from caf.qc.metrics.parts import (
    FAULT,
    HEAD,
    OTHER_FRAMES,
    PART,
    TICK,
    TICK_FRAMES,
    PartsRequest,
    collect_part,
)
from caf.qc.metrics.piece import Piece
from caf.worker.fault import fault_of
from caf.worker.tether import tether

__all__ = ["main"]


def main(argv: list[str]) -> None:
    """Answers until stdin ends; does not return."""
    parser = argparse.ArgumentParser(prog="python -m caf.qc.metrics.part", description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="process id of the caller; end with it")
    tether(parser.parse_args(argv).parent)
    answers = os.dup(1)
    os.dup2(2, 1)  # native code may print
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=PartsRequest)
    with deterministic_cv2():
        table = timetable(request.video)
        for line in sys.stdin.buffer:
            _answer(answers, request, table, Piece(*msgspec.json.decode(line, type=tuple[int, int, int])))
    # There is nothing to tidy up, and native libraries are known to hang in their exit handlers.
    os._exit(0)


def _answer(answers: int, request: PartsRequest, table: Timetable, piece: Piece) -> None:
    done = 0

    def beat() -> None:
        nonlocal done
        done += 1
        if done % TICK_FRAMES == 0:
            _send(answers, TICK, b"")

    try:
        part = collect_part(request.video, frozenset(request.metrics), table, piece, beat)
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
