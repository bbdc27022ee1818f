"""Wakes subscriptions in other processes: whoever has committed rings every bell beside the log.

A bell is a Unix datagram socket in the folder `<log>-bells`, bound by a process that waits for events. A ring
says "look", and may bring what was just committed, so that nobody has to: positions tell whether that is all. It may
come twice or for nothing, and a lost one is made good by looking from time to time. So nothing here can fail an append
or lose an event.
"""

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import DecodeError, msgpack

from eventstore.model import RecordedEvent

__all__ = ["Bell", "Ringer"]

_LOOK: Final = b"!"
_RING_BYTES: Final = 32 * 1024
_ENCODE: Final = msgpack.Encoder().encode
_DECODE: Final = msgpack.Decoder(list[RecordedEvent]).decode
_LOOK_S: Final = 0.02
"""How often a ringer looks for new bells; a new bell looks by itself as often at first."""
_SETTLED_NS: Final = 100_000_000
"""A folder whose time is younger than this may change again without its time changing."""
_ADDRESS_BYTES: Final = 100
"""What every system takes as the path of a socket (Linux 108, macOS 104)."""


def _folder(path: Path) -> Path:
    return path.with_name(path.name + "-bells")


def _address(folder: Path, descriptor: int, name: str) -> str:
    """A short path to the socket, since sockets' paths may not be long."""
    if os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - asked for at every start of a bell
        return f"/proc/self/fd/{descriptor}/{name}"
    return str(folder / name)


def _opened(folder: Path) -> tuple[int, socket.socket]:
    """The folder, and a socket that never waits. Raises `OSError`, and then neither is open."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except OSError:
        os.close(descriptor)
        raise
    made.setblocking(False)
    return descriptor, made


class Bell:
    """A socket to wait for; raises `OSError` where none can be made, as in a folder that is write-protected."""

    def __init__(self, path: Path) -> None:
        self._folder = _folder(path)
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        with contextlib.suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
        self._descriptor, self.socket = _opened(self._folder)
        self._room = memoryview(bytearray(_RING_BYTES))
        try:
            address = _address(self._folder, self._descriptor, self.name)
            if len(os.fsencode(address)) > _ADDRESS_BYTES:
                raise OSError(f"{address} is too long for a socket")
            self.socket.bind(address)
        except OSError:
            self.close()
            raise

    def answer(self) -> list[RecordedEvent] | None:
        """Take one ring, and what it brings; None if it is only one.

        The loop says so if there are more, which costs less than to look for them each time.
        """
        try:
            size = self.socket.recv_into(self._room)
            return _DECODE(self._room[:size])
        except (OSError, DecodeError, UnicodeDecodeError):
            return None

    def close(self) -> None:
        """Take it down, and the folder with the last one."""
        self.socket.close()
        os.close(self._descriptor)
        with contextlib.suppress(OSError):
            (self._folder / self.name).unlink()
        with contextlib.suppress(OSError):
            self._folder.rmdir()


class Ringer:
    """Rings the bells of the others; costs a microsecond where there are none."""

    def __init__(self, path: Path) -> None:
        self._folder = _folder(path)
        self._socket: socket.socket | None = None
        self._descriptor = -1
        self._names: list[str] = []
        self._known: tuple[int, int] | None = None
        self._next_look = 0.0
        self.own: str | None = None
        """The bell that needs no ring."""

    def ring(self, recorded: Callable[[], list[RecordedEvent]] | None = None) -> None:
        """To be called after the commit, when everybody can see it; `recorded` gives what was committed."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._find()
        names = self._names
        if not names or names == [self.own]:
            return
        told = _LOOK if recorded is None else _ENCODE(recorded())
        if len(told) > _RING_BYTES:
            told = _LOOK
        for name in names:
            if name != self.own:
                self._ring(name, told)

    def _find(self) -> None:
        try:
            found = os.stat(self._folder)  # noqa: PTH116 - three times as fast
            if self._known != (found.st_ino, found.st_mtime_ns):
                self._look(found)
        except OSError:
            self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            os.close(self._descriptor)
            self._socket = None
        self._names, self._known = [], None

    def _look(self, found: os.stat_result) -> None:
        if self._socket is None or self._known is None or self._known[0] != found.st_ino:
            self.close()
            self._descriptor, self._socket = _opened(self._folder)
        self._names = os.listdir(self._folder)  # noqa: PTH208
        settled = time.time_ns() - found.st_mtime_ns > _SETTLED_NS
        self._known = (found.st_ino, found.st_mtime_ns if settled else -1)

    def _ring(self, name: str, told: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.sendto(told, _address(self._folder, self._descriptor, name))
        except ConnectionRefusedError:
            # Its process was killed, if it is a bell at all.
            with contextlib.suppress(OSError):
                if (self._folder / name).is_socket():
                    (self._folder / name).unlink()
        except OSError:
            # Its queue is full, so it will wake anyway; or it has just gone.
            return
