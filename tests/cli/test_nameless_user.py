"""A user id without a name or a home, as containers have, stops nobody from working."""

import os

import pytest

from caf.cli.people import who
from caf.errors import UnavailableError
from caf.pose.model import cache_folder

NOBODY = 1_234_567


@pytest.fixture(autouse=True)
def _nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)


def test_an_answer_is_signed_with_the_user_id() -> None:
    assert who() == f"uid {NOBODY}"


def test_the_model_needs_a_folder_to_be_named() -> None:
    with pytest.raises(UnavailableError, match="no home"):
        cache_folder(None, {})
    assert str(cache_folder(None, {"CAF_CACHE_DIR": "/somewhere"})) == "/somewhere"
