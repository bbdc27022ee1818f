"""What all tests stand on: asyncio as anyio's backend, a clean environment, properties without a stopwatch."""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, settings

from tests.support import forked

KEPT = ("CAF_CACHE_DIR", "CAF_MODEL_")
"""Where the pose model is: a property of the machine, and no test's subject."""

# A busy machine is slow, not wrong; a failure prints what it takes to see it again.
settings.register_profile(
    "caf", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("caf")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing of what thousands of tests are made of is garbage: looking for it took half of the time of collecting."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _nothing_from_the_users_settings() -> None:
    for name in [name for name in os.environ if name.startswith("CAF_") and not name.startswith(KEPT)]:
        del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running() -> Iterator[None]:
    yield
    forked.close()


@pytest.fixture(scope="session")
def small_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with five short jobs, recorded by the real actors; to be copied by each test that changes it."""
    from tests.docs import small_log  # all of caf, which most tests do without

    root = tmp_path_factory.mktemp("small") / "workspace"
    anyio.run(small_log.make, root)
    return root
