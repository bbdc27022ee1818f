"""Previews over HTTP: the newest picture of a render, and nothing that a browser would run."""

import pytest

from tests.docs.small_log import STEADY
from tests.web.serving import Api


async def test_a_job_without_a_picture_says_so(shared_api: Api) -> None:
    got = await shared_api.get(f"/api/v1/jobs/{STEADY}/preview")
    assert (got.status, got.kind) == (404, "no_preview")
    got = await shared_api.get("/api/v1/jobs/nobody-knows/preview")
    assert (got.status, got.kind) == (404, "unknown_job")


@pytest.mark.parametrize(
    ("said", "sent"), [("image/png", "image/png"), ("text/html", "application/octet-stream")]
)
async def test_the_newest_picture_is_shown_and_never_as_a_page(shared_api: Api, said: str, sent: str) -> None:
    previews = shared_api.service.runner.previews
    previews.show(STEADY, "image/jpeg", b"old")
    previews.show(STEADY, said, b"new")
    try:
        got = await shared_api.get(f"/api/v1/jobs/{STEADY}/preview")
        assert (got.status, got.body, got.headers["Content-Type"]) == (200, b"new", sent)
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Cache-Control"] == "no-store"
    finally:
        previews.newest.clear()
