"""Network filesystems are told by the mount table."""

from pathlib import Path

import pytest

from eventstore import SqliteStore, StoreIncompatible, _place
from eventstore._place import filesystem_at
from tests.eventstore.support import refused

MOUNT_TABLE = Path("/proc/self/mountinfo").exists()

# The format of proc(5), with an optional field more or less, a space in a name, and a mount over a mount.
MOUNTS = r"""22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
40 22 0:35 / /home rw,nosuid shared:20 - nfs4 server:/home rw,vers=4.2
41 40 0:36 / /home/me/local rw - xfs /dev/sdb1 rw
42 22 0:37 / /mnt/the\040share rw shared:7 master:2 - cifs //server/share rw
43 22 0:38 / /data rw - nfs old:/data rw
44 22 0:39 / /data rw - btrfs /dev/sdc1 rw
45 22 0:40 / /ssh rw - fuse.sshfs me@host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/log.db", "ext4"),
        ("/homeless/log.db", "ext4"),
        ("/home/log.db", "nfs4"),
        ("/home/me/log.db", "nfs4"),
        ("/home/me/local/log.db", "xfs"),
        ("/mnt/the share/log.db", "cifs"),
        ("/data/log.db", "btrfs"),
        ("/ssh/log.db", "fuse.sshfs"),
    ],
)
def test_the_filesystem_of_a_path_is_that_of_its_nearest_mount(path: str, kind: str) -> None:
    assert filesystem_at(path, MOUNTS) == kind


def test_a_mount_table_that_says_nothing_is_no_reason_to_refuse() -> None:
    assert filesystem_at("/log.db", "") is None
    assert filesystem_at("/log.db", "nonsense\n - \n1 2 3 - ext4 x rw\n") is None


async def test_a_log_on_a_network_filesystem_is_refused_before_a_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_place, "filesystem_at", lambda path, mountinfo: "nfs4")
    if not MOUNT_TABLE:
        pytest.skip("this system has no mount table to look into")

    async def opened() -> None:
        async with SqliteStore.open(tmp_path / "log.db"):
            pass

    error = await refused(StoreIncompatible, opened())
    assert "nfs4" in str(error)
    assert not (tmp_path / "log.db").exists()
    assert not (tmp_path / "log.db-lock").exists()
