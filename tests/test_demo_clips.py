"""The demo's pictures and clips: there whole, or not at all."""

from pathlib import Path

import pytest

from caf.demo_clips import make
from caf.errors import TryAgainError
from caf.ports import DemoRequest
from tests.crash.disk import filled, memory_disk


@pytest.mark.parametrize(("kind", "name"), [("reference", "cat.png"), ("costume", "costume.png")])
def test_a_picture_that_has_no_room_is_not_there_half(tmp_path: Path, kind: str, name: str) -> None:
    """The next demo takes what is there for finished."""
    with memory_disk(tmp_path / "small", 1) as disk:
        request = DemoRequest(kind=kind, out_dir=str(disk), name=name)
        with filled(disk):
            with pytest.raises(TryAgainError):
                make(request, lambda done, total: None)
            assert not (disk / name).exists()
        assert Path(make(request, lambda done, total: None).path).stat().st_size > 100_000
