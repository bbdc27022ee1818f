"""Without the pose model and without a network the run stops with a sentence, and goes on once the model is there."""

from pathlib import Path

from tests.cli.conftest import Caf


def test_a_run_without_the_model_stops_and_is_resumed_when_it_is_there(
    caf: Caf, clip: Path, tmp_path: Path
) -> None:
    offline = {"CAF_CACHE_DIR": str(tmp_path / "cache"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    for verb in (("run", clip, "--job-id", "off-line"), ("resume", "off-line")):
        ran = caf(*verb, **offline)
        assert ran.code == 69
        assert "The pose model cannot be fetched" in ran.err
        assert "caf models fetch" in ran.err
        assert "caf resume off-line" in ran.err
        assert "Traceback" not in ran.err
    assert caf("models", "fetch", **offline).code == 69
    assert caf("jobs", "--json").json()[0]["status"] == "running"
    assert caf("resume", "off-line").code in (0, 4)
    types = [
        line.split("\t")[0]
        for line in caf("sql", "SELECT status FROM stages WHERE stage = 'pose'").out.split()
    ]
    assert types == ["completed"]
    assert caf("verify").code == 0
