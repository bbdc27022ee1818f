"""Artifacts over HTTP: their bytes, parts of them, and what is no longer what it was."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.docs.small_log import REPAIRED, STEADY
from tests.web.serving import Api


async def one(api: Api, role: str = "final") -> tuple[str, dict[str, Any]]:
    """The path and the description of an artifact."""
    listed = (await api.get(f"/api/v1/jobs/{STEADY}/artifacts")).json()["artifacts"]
    found = next(item for item in listed if item["role"] == role)
    return f"/api/v1/jobs/{STEADY}/artifacts/{found['sha256']}", found


def on_disk(workspace: Path, found: dict[str, Any]) -> Path:
    digest: str = found["sha256"]
    return workspace / ".caf" / "artifacts" / digest[:2] / digest[2:]


async def test_an_artifact_is_the_content_of_its_digest_with_its_media_type(shared_api: Api) -> None:
    path, found = await one(shared_api, "source")
    got = await shared_api.get(path)
    assert got.status == 200
    assert sha256(got.body).hexdigest() == found["sha256"]
    assert len(got.body) == found["bytes"]
    assert got.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["ETag"] == f'"{found["sha256"]}"'
    assert "immutable" in got.headers["Cache-Control"]


@pytest.mark.parametrize(("header", "start", "stop"), [("3-5", 3, 6), ("3-", 3, None), ("-4", -4, None)])
async def test_a_range_is_that_part(shared_api: Api, header: str, start: int, stop: int | None) -> None:
    path, found = await one(shared_api, "source")
    whole = (await shared_api.get(path)).body
    part = await shared_api.get(path, headers={"Range": f"bytes={header}"})
    assert (part.status, part.body) == (206, whole[start:stop])
    first = start % len(whole)
    assert part.headers["Content-Range"] == f"bytes {first}-{first + len(part.body) - 1}/{found['bytes']}"


async def test_a_range_behind_the_end_is_refused_with_the_size(shared_api: Api) -> None:
    path, found = await one(shared_api, "source")
    refused = await shared_api.get(path, headers={"Range": "bytes=100000-"})
    assert (refused.status, refused.kind) == (416, "no_such_range")
    assert refused.headers["Content-Range"] == f"bytes */{found['bytes']}"


async def test_several_ranges_at_once_give_the_whole(shared_api: Api) -> None:
    path, found = await one(shared_api, "source")
    got = await shared_api.get(path, headers={"Range": "bytes=0-1,3-4"})
    assert (got.status, len(got.body)) == (200, found["bytes"])


async def test_conditions_are_heeded(shared_api: Api) -> None:
    path, _ = await one(shared_api, "source")
    etag = (await shared_api.get(path)).headers["ETag"]
    assert (await shared_api.get(path, headers={"If-None-Match": etag})).status == 304
    assert (await shared_api.get(path, headers={"If-Match": '"other"'})).status == 412
    assert (await shared_api.get(path, headers={"Range": "bytes=0-1", "If-Range": etag})).status == 206
    assert (await shared_api.get(path, headers={"Range": "bytes=0-1", "If-Range": '"other"'})).status == 200


async def test_head_tells_the_size_and_sends_nothing(shared_api: Api) -> None:
    path, found = await one(shared_api, "source")
    got = await shared_api.ask("HEAD", path)
    assert (got.status, got.headers["Content-Length"]) == (200, str(found["bytes"]))
    assert got.headers["Accept-Ranges"] == "bytes"


async def test_an_artifact_of_another_job_is_not_given(shared_api: Api) -> None:
    path, _ = await one(shared_api, "source")
    other = path.replace(STEADY, REPAIRED)
    own = {item["sha256"] for item in (await shared_api.get(other.rpartition("/")[0])).json()["artifacts"]}
    assert path.rpartition("/")[2] in own or (await shared_api.get(other)).kind == "artifact_missing"


@pytest.mark.parametrize(
    "name", ["%2e%2e%2flog.db", "..", "../../log.db", "0" * 63, "A" * 64, "0" * 64 + "%00", "0" * 64 + "%0a"]
)
async def test_a_name_that_is_no_digest_is_no_path(shared_api: Api, name: str) -> None:
    assert (await shared_api.get(f"/api/v1/jobs/{STEADY}/artifacts/{name}")).status == 404


async def test_a_missing_artifact_is_a_typed_error(api: Api, workspace: Path) -> None:
    path, found = await one(api, "source")
    on_disk(workspace, found).unlink()
    gone = await api.get(path)
    assert (gone.status, gone.kind) == (404, "artifact_missing")


async def test_a_corrupted_artifact_is_a_typed_error_and_not_sent(api: Api, workspace: Path) -> None:
    path, found = await one(api, "source")
    assert (await api.get(path)).status == 200
    file = on_disk(workspace, found)
    file.write_bytes(b"X" * found["bytes"])
    bad = await api.get(path)
    assert (bad.status, bad.kind) == (409, "artifact_corrupted")


async def test_an_artifact_with_a_suffix_that_is_none_of_ours_is_a_download(
    workspace: Path, api: Api
) -> None:
    from caf.events import Artifact, StageCompleted
    from caf.log import new_events, stream_of

    app = api.service.app
    file = workspace / 'x.html"\r\nX-Bad: 1'
    file.write_text("<script>alert(1)</script>")
    artifact = app.artifacts.adopt(file, "page")
    assert isinstance(artifact, Artifact)
    job = await app.job(STEADY)
    done = StageCompleted(
        stage="video",
        attempt_id=job.attempt.id,
        engine="local",
        engine_version="1",
        artifacts=(artifact,),
        key="k",
        reused=False,
        duration_ms=1,
        queue_ms=0,
        memory_peak_mb=None,
        facts={},
        media=None,
    )
    records = new_events([done], [app.ids.new()], job_id=STEADY, causation_id=None)
    await app.store.append(stream_of(STEADY), records)
    got = await api.get(f"/api/v1/jobs/{STEADY}/artifacts/{artifact.sha256}")
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert got.headers["Content-Disposition"] == f'attachment; filename="{STEADY}-page"'
    assert "X-Bad" not in got.headers
