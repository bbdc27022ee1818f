"""What the crash tests share: clips that are made once, and a workspace of their own for each test."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.daemon import Daemon
from tests.crash.place import clips, prepare


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips(tmp_path_factory.mktemp("media"))


@pytest.fixture
def place(tmp_path: Path, media: Path) -> Path:
    """A workspace that is ready for its first daemon."""
    return prepare(tmp_path / "place", media)


@pytest.fixture
def daemon(place: Path) -> Iterator[Daemon]:
    """The workspace's daemon, not started; it is gone after the test."""
    with Daemon(place) as made:
        yield made


@pytest.fixture
def chance() -> random.Random:
    """A seed that is printed when the test fails."""
    seed = random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    return random.Random(seed)
