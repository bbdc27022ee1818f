"""`caf demo`: the three canonical scenarios come to the end they must come to."""

import json

import pytest

from tests.cli.conftest import Caf

pytest.importorskip("skimage", reason="the demo's pictures come with the extra `demo`")


def test_the_three_scenarios_end_as_they_must(caf: Caf) -> None:
    ran = caf("demo", "--json")
    assert ran.code == 0, ran.err
    found = {item["scenario"]: item for item in json.loads(ran.out)}
    assert {name: (item["status"], item["attempts"]) for name, item in found.items()} == {
        "healthy": ("completed", 1),
        "motion-repairable": ("completed", 2),
        "costume-fatal": ("waiting", 1),
    }
    shaken = found["motion-repairable"]
    assert "RETRY_STAGE motion" in shaken["decisions"]
    assert shaken["shake_after_permille"] < 0.1 * shaken["shake_before_permille"]
    asked = caf("inbox", "--json").json()
    assert [(row["job_id"], row["reason"]) for row in asked] == [
        (found["costume-fatal"]["job_id"], "IDENTITY_CONFLICT")
    ]
