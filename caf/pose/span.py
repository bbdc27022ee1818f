"""`python -m caf.pose.span`: follows a clip from a place in its middle. Started by `caf.pose.helpers` alone."""

import argparse
import os
import sys

import msgspec

from caf.pose.protocol import SpanEnded, SpanFailed, SpanFound, SpanRequest
from caf.worker.fault import fault_of
from caf.worker.memory import peak_bytes
from caf.worker.protocol import send
from caf.worker.tether import tether, watch_stdin

__all__ = ["main"]


def main(argv: list[str]) -> None:
    """Reads one request from stdin and answers on stdout; does not return."""
    parser = argparse.ArgumentParser(prog="python -m caf.pose.span", description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="process id of the caller; end with it")
    tether(parser.parse_args(argv).parent)
    answers = os.dup(1)
    os.dup2(2, 1)  # native code may print; limits on memory and core files are the caller's
    try:
        request = msgspec.json.decode(sys.stdin.buffer.readline(), type=SpanRequest)
        watch_stdin()
        _follow(request, answers)
        send(answers, SpanEnded())
    except Exception as error:  # noqa: BLE001  whatever it is, the caller is told
        send(answers, SpanFailed(fault_of(error)))
    # There is nothing to tidy up, and native libraries are known to hang in their exit handlers.
    os._exit(0)


def _follow(request: SpanRequest, answers: int) -> None:
    from caf.pose.landmarker import follow

    for found in follow(
        request.video,
        request.model,
        most=request.most,
        start_s=request.start_s,
        decoders=request.decoders,
    ):
        send(
            answers,
            SpanFound(
                time_s=found.time_s,
                width=found.width,
                height=found.height,
                poses=found.poses.tobytes(),
                look=found.look,
                peak_bytes=peak_bytes(),
            ),
        )


if __name__ == "__main__":
    main(sys.argv[1:])
