"""Tasks that behave and misbehave as native code does."""

import ctypes
import errno
import os
import resource
import signal
import sys
import time
from typing import Final

from msgspec import Struct

from caf.errors import MediaError
from caf.ports import Progress
from caf.worker.tasks import Task

__all__ = ["TASKS", "Facts", "Order"]


class Order(Struct, frozen=True, kw_only=True):
    text: str = ""
    number: int = 0
    witness: str = ""


class Facts(Struct, frozen=True, kw_only=True):
    pid: int
    text: str = ""
    number: int = 0


def echo(order: Order, progress: Progress) -> Facts:
    for done in range(order.number + 1):
        progress(done, order.number)
    return Facts(pid=os.getpid(), text=order.text, number=order.number)


def break_the_promise(order: Order, progress: Progress) -> Order:
    return order


def tell_at_length(order: Order, progress: Progress) -> Facts:
    if order.text:
        raise ValueError(order.text * order.number)
    return Facts(pid=os.getpid(), text="x" * order.number)


def refuse(order: Order, progress: Progress) -> Facts:
    raise MediaError(order.text, remedy="Nimm ein anderes Video.", kind="codec_unknown", transient=True)


def fail(order: Order, progress: Progress) -> Facts:
    if order.number:
        raise FileNotFoundError(errno.ENOENT, "No such file", "clip\udcff.mp4")
    raise ValueError(order.text)


def fill_the_disk(order: Order, progress: Progress) -> Facts:
    raise OSError(errno.ENOSPC, "No space left on device", "final.mp4")


def die(order: Order, progress: Progress) -> Facts:
    """Ends itself by the signal with the given number."""
    os.write(2, order.text.encode())
    os.kill(os.getpid(), order.number)
    return Facts(pid=os.getpid())


def leave(order: Order, progress: Progress) -> Facts:
    os._exit(order.number)


def eat_memory(order: Order, progress: Progress) -> Facts:
    hoard = [bytearray(16 * 2**20) for _ in range(64)]
    return Facts(pid=os.getpid(), number=len(hoard))


def lack_threads(order: Order, progress: Progress) -> Facts:
    """What libraries say when a thread's stack has no room below the limit."""
    if order.number:
        raise OSError(order.number, os.strerror(order.number))
    raise RuntimeError("can't start new thread")


def be_killed_when_fat(order: Order, progress: Progress) -> Facts:
    """What the kernel's out-of-memory killer does, after this process has become as fat as asked."""
    hoard = b"\1" * order.number
    progress(1, 1)
    os.kill(os.getpid(), signal.SIGKILL)
    return Facts(pid=len(hoard))


def make_noise(order: Order, progress: Progress) -> Facts:
    print('{"result": "a lie"}', flush=True)  # noqa: T201
    os.write(1, b"\xff\xfe not JSON\n")
    ctypes.CDLL(None).puts(b"from C")
    ctypes.CDLL(None).fflush(None)
    sys.stderr.write("from stderr\n")
    return Facts(pid=os.getpid(), number=len(sys.stdin.read()))


def wait_for_ever(order: Order, progress: Progress) -> Facts:
    """Tells of itself, then makes no more progress."""
    _stand_witness(order)
    progress(1, None)
    while True:
        time.sleep(3600)


def work_for_ever(order: Order, progress: Progress) -> Facts:
    """Makes progress without ever being done."""
    done = 0
    while True:
        done += 1
        progress(done, None)
        time.sleep(0.01)


def hang_in_native_code(order: Order, progress: Progress) -> Facts:
    """Holds the interpreter's lock for ever, as a hanging extension does: no thread can run."""
    _stand_witness(order)
    progress(1, None)
    ctypes.PyDLL(None).pause()
    raise AssertionError


def tell_limits(order: Order, progress: Progress) -> Facts:
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    core = resource.getrlimit(resource.RLIMIT_CORE)[0]
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    own_session = os.getsid(0) == os.getpid()
    return Facts(pid=os.getpid(), number=address_space, text=f"core {core}, {ignored=}, {own_session=}")


def _stand_witness(order: Order) -> None:
    if order.witness:
        descriptor = os.open(order.witness, os.O_WRONLY)
        os.write(descriptor, str(os.getpid()).encode())


_FUNCTIONS: Final = (
    echo,
    break_the_promise,
    tell_at_length,
    refuse,
    fail,
    fill_the_disk,
    die,
    leave,
    eat_memory,
    lack_threads,
    be_killed_when_fat,
    make_noise,
    wait_for_ever,
    work_for_ever,
    hang_in_native_code,
    tell_limits,
)

TASKS: Final[dict[str, Task]] = {
    function.__name__: Task(f"{__name__}:{function.__name__}", Order, Facts) for function in _FUNCTIONS
} | {"missing": Task("no_such_library:function", Order, Facts)}
