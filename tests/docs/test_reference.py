"""The reference pages are what the code says, and say all of it."""

from pathlib import Path

import pytest

from caf.contracts.schemas import schema_files
from tests.docs import generate
from tests.docs.pages import ROOT, text


def test_the_committed_reference_is_the_generated_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_page_and_an_unknown_one_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    assert generate.main(["--write"]) == 0
    assert generate.main(["--check"]) == 0
    (tmp_path / "cli.md").write_text("# Nothing\n", "utf-8")
    (tmp_path / "more.md").write_text("# More\n", "utf-8")
    assert generate.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "cli.md" in told
    assert "more.md" in told
    assert "events.md" not in told


def test_every_published_schema_is_listed() -> None:
    page = text(ROOT / "docs" / "reference" / "documents.md")
    assert [name for name in schema_files() if f"../../schemas/{name})" not in page] == []


def test_no_page_shows_how_python_writes_a_type() -> None:
    own = ("typing.", "NoneType", "<class", "msgspec.")
    assert [name for name, page in generate.pages().items() if any(word in page for word in own)] == []
