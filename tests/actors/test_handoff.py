"""Handoff: prepares derived files when a job is done; it never changes a master and never posts."""

import pytest

from caf.actors import handoff
from caf.actors.effects import PreparePayloads
from caf.contracts import PlatformPayload
from caf.contracts.read import read_document
from caf.events import Event
from tests.support.jobs import (
    CAUSE,
    decided,
    fold,
    job_aborted,
    job_cancelled,
    job_completed,
    judged,
    posted,
    submitted,
    up_to,
)


def reaction(*events: Event) -> list[object]:
    return list(handoff.react(fold(*events), events[-1], CAUSE))


def test_a_completed_job_gets_one_payload_for_each_platform_it_asked_for() -> None:
    spec = submitted(platforms=("youtube", "x"))
    [effect] = reaction(*up_to("video", spec), job_completed())
    assert isinstance(effect, PreparePayloads)
    assert effect.platforms == ("youtube", "x")
    folder = f"sandbox/dist_artifacts/{spec.job_id}"
    assert [document.path for document in effect.documents] == [f"{folder}/youtube.json", f"{folder}/x.json"]
    told = read_document(effect.documents[0].content, PlatformPayload, where="payload")
    assert (told.job_id, told.platform, told.niche) == (spec.job_id, "youtube", "cats")
    assert told.video == f"sandbox/output/{spec.job_id}/final.mp4"


def test_a_job_that_asked_for_no_platform_gets_nothing_prepared() -> None:
    assert reaction(*up_to("video"), job_completed()) == []


@pytest.mark.parametrize("event", [job_cancelled(), job_aborted(), posted(), decided("video")])
def test_nothing_else_is_handoff_s_business(event: Event) -> None:
    spec = submitted(platforms=("youtube",))
    assert reaction(*up_to("video", spec), judged(spec, "video"), event) == []
