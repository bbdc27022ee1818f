"""Where a running daemon listens, as the command line finds it."""

from pathlib import Path

import pytest

from caf.daemon.lock import daemon_address, hold_daemon_lock, publish_address


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"pid":1,"url":"\xff"}'])
def test_an_address_that_cannot_be_read_is_none(tmp_path: Path, damaged: bytes) -> None:
    with hold_daemon_lock(tmp_path):
        publish_address(tmp_path, "http://127.0.0.1:1")
        address = daemon_address(tmp_path)
        assert address is not None
        [written] = [path for path in tmp_path.iterdir() if address.url.encode() in path.read_bytes()]
        written.write_bytes(damaged)
        assert daemon_address(tmp_path) is None
    assert daemon_address(tmp_path) is None
