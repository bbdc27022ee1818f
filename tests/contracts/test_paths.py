"""Paths in documents stay inside the workspace; a job's id is its file's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caf.contracts import JobDocument, VideoSpec, platform_payload
from caf.contracts.canonical import canonical_job
from caf.contracts.job import RenderSpec, Script
from caf.contracts.paths import asset_path, workspace_path
from caf.contracts.read import write_document
from caf.contracts.times import timestamp, to_utc
from caf.errors import DocumentError


def _job(asset: str = "assets/a.mp4", job_id: str = "abc-def") -> JobDocument:
    return JobDocument(job_id=job_id, video=VideoSpec(), render=RenderSpec(background_asset=asset))


@pytest.mark.parametrize(
    ("asset", "path"),
    [
        ("assets/a.mp4", "sandbox/assets/a.mp4"),
        ("sandbox/assets/a.mp4", "sandbox/assets/a.mp4"),
        ("./assets//b/./a b.mp4", "sandbox/assets/b/a b.mp4"),
        ("./sandbox/a.mp4", "sandbox/a.mp4"),
        ("Kätzchen..mp4", "sandbox/Kätzchen..mp4"),
        ("...", "sandbox/..."),
        ("sandboxes/a.mp4", "sandbox/sandboxes/a.mp4"),
    ],
)
def test_an_asset_is_found_below_sandbox_with_or_without_the_prefix(asset: str, path: str) -> None:
    assert asset_path(_job(asset)) == path


@pytest.mark.parametrize(
    ("asset", "why"),
    [
        ("/etc/passwd", "an absolute path"),
        ("//host/share", "an absolute path"),
        ("../a.mp4", "leads out of its folder"),
        ("sandbox/../../a.mp4", "leads out of its folder"),
        ("assets/..", "leads out of its folder"),
        ("a\x00.mp4", "a control character"),
        ("a\n.mp4", "a control character"),
        ("C:/a.mp4", "an absolute path"),
        ("c:a.mp4", "an absolute path"),
        ("\\\\host\\share", "a backslash"),
        ("..\\a.mp4", "a backslash"),
        ("", "names no file"),
        ("./", "names no file"),
        ("sandbox", "a folder"),
        ("sandbox/", "a folder"),
    ],
)
def test_an_asset_outside_of_the_workspace_is_refused(asset: str, why: str) -> None:
    with pytest.raises(DocumentError, match=why) as caught:
        asset_path(_job(asset))
    assert caught.value.message.startswith("render.background_asset is ")


@given(path=st.text(max_size=30))
def test_no_text_leads_out_of_the_workspace(path: str) -> None:
    try:
        safe = workspace_path(path, where="here")
    except DocumentError:
        return
    assert not safe.startswith("/")
    assert ".." not in safe.split("/")
    assert workspace_path(safe, where="here") == safe


def test_a_job_keeps_its_own_id_when_its_file_says_the_same() -> None:
    job = _job()
    assert canonical_job(job, "abc-def") == (job, None)
    assert canonical_job(job, "abc-def.job") == (job, None)


def test_the_files_name_wins_over_the_documents_id_with_a_warning() -> None:
    job, warning = canonical_job(_job(), "other-job")
    assert job == _job(job_id="other-job")
    assert (
        warning == "the document says job_id 'abc-def', its file is named 'other-job'; 'other-job' is used."
    )


@pytest.mark.parametrize(
    "stem", ["", "short", "Upper-Case", "under_score", "sp ace-1", "x" * 201, "abcdef\n"]
)
def test_a_file_whose_name_is_no_job_id_is_refused(stem: str) -> None:
    with pytest.raises(DocumentError, match="no job id") as caught:
        canonical_job(_job(), stem)
    assert "Rename the file" in caught.value.remedy


def test_a_payload_says_what_the_job_says_and_no_more() -> None:
    assert write_document(platform_payload(_job(), "x", "sandbox/output/abc-def/final.mp4")) == (
        b'{\n  "job_id": "abc-def",\n  "platform": "x",\n  "video": "sandbox/output/abc-def/final.mp4"\n}\n'
    )
    job = JobDocument(
        job_id="abc-def",
        video=VideoSpec(),
        render=RenderSpec(background_asset="a.mp4"),
        niche="cats",
        script=Script(hook="Look."),
        captions=("One",),
        hashtags=("#cat",),
    )
    payload = platform_payload(job, "youtube", "v.mp4")
    assert (payload.niche, payload.hook, payload.captions) == ("cats", "Look.", ("One",))
    assert payload.hashtags == ("#cat",)


@pytest.mark.parametrize(
    ("epoch_ms", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (1_770_526_846_997, "2026-02-08T05:00:46.997Z")],
)
def test_a_time_is_written_in_utc(epoch_ms: int, text: str) -> None:
    assert timestamp(epoch_ms) == text


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-02-08T05:00:46.997740Z", "2026-02-08T05:00:46.997740Z"),
        ("2026-02-08T07:00:46+02:00", "2026-02-08T05:00:46Z"),
        ("2026-02-08T05:00:46", "2026-02-08T05:00:46Z"),
        ("2026-02-08 05:00", "2026-02-08T05:00:00Z"),
        ("yesterday", None),
        ("", None),
        ("0001-01-01T00:00:00+23:00", None),
    ],
)
def test_a_time_of_another_tool_is_brought_to_utc(text: str, utc: str | None) -> None:
    assert to_utc(text) == utc
