"""The page for a browser: says nothing by itself, asks the API, and may load nothing from elsewhere."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from caf.events import attempt_id
from caf.lanes import Turn
from caf.web import pages
from tests.docs.small_log import REPAIRED, STEADY
from tests.web.serving import Api, served


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/live.js", "text/javascript"), ("/live.css", "text/css")]
)
async def test_the_page_and_its_parts_are_served_and_may_load_nothing_from_elsewhere(
    shared_api: Api, path: str, kind: str
) -> None:
    got = await shared_api.get(path)
    assert (got.status, got.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
    allowed = got.headers["Content-Security-Policy"]
    assert "default-src 'none'" in allowed
    assert "unsafe" not in allowed
    assert not re.search(r"https?://", got.body.decode())


async def test_everything_that_the_page_names_is_there(shared_api: Api) -> None:
    page = (await shared_api.get("/")).body.decode()
    script = (await shared_api.get("/live.js")).body.decode()
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert (await shared_api.get(path)).status == 200
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'place\("([^"]+)"\)', script)) <= ids
    asked = re.findall(r'told\("([^"]+)"\)', script)
    assert asked
    for path in asked:
        assert (await shared_api.get(path)).status == 200


BROWSER = """
const place = {};
const element = (id) => place[id] ??= { hidden: true, value: "", textContent: "", addEventListener() {} };
globalThis.document = { getElementById: element, hidden: false };
globalThis.sessionStorage = { getItem: () => process.argv[2] };
globalThis.setTimeout = () => {};
globalThis.fetch = async (path, asked) => { new Headers(asked.headers); return { status: 401 }; };
await import(process.argv[3]);
await new Promise(setImmediate);
console.log(JSON.stringify([place.unlock.hidden, place.refused?.textContent, place.daemon?.textContent]));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node to run the page's script")
@pytest.mark.parametrize("token", ["wrong", "tokeń", "two\nlines", "naïve"])
def test_a_token_that_is_wrong_or_can_be_none_is_asked_for_again(token: str, tmp_path: Path) -> None:
    script, browser = tmp_path / "live.mjs", tmp_path / "browser.mjs"
    shutil.copyfile(Path(pages.__file__).parent / "page" / "live.js", script)
    browser.write_text(BROWSER)
    said = subprocess.run(["node", browser, token, script], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [False, "That is not its token.", ""]


STAGE = """
import { readFileSync } from "node:fs";
class Element {
  constructor() { this.parts = []; this.text = ""; this.hidden = true; this.open = false; }
  set textContent(text) { this.parts = []; this.text = text; }
  get textContent() { return this.text + this.parts.map((one) => one.textContent ?? one).join("\\n"); }
  get children() { return this.parts; }
  append(...more) { this.parts.push(...more); }
  prepend(...more) { this.parts.unshift(...more); }
  replaceChildren(...those) { this.text = ""; this.parts = those; }
  addEventListener() {}
}
const answers = JSON.parse(readFileSync(process.argv[2], "utf8"));
const place = {};
globalThis.document = {
  getElementById: (id) => place[id] ??= new Element(), hidden: false, createElement: () => new Element(),
};
globalThis.sessionStorage = { getItem: () => null };
globalThis.location = { hash: process.argv[4] };
let again;
globalThis.setTimeout = (work) => { again = work; };
const paths = [];
globalThis.fetch = async (path) => {
  paths.push(path);
  return { status: 200, ok: path in answers, json: async () => JSON.parse(JSON.stringify(answers[path])) };
};
await import(process.argv[3]);
for (let look = 0; look < 2; look += 1) {
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
  for (const job of answers["/api/v1/jobs?limit=20"].jobs) job.version += 1;
  await again();
}
for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
console.log(place.daemon.textContent + "\\n" + place.jobs.textContent);
console.log(paths.join("\\n"));
"""


async def page_says(answers: dict[str, Any], job_id: str, folder: Path) -> str:
    """What the page says of these answers, with that job open."""
    (folder / "answers.json").write_text(json.dumps(answers))
    script, stage = folder / "live.mjs", folder / "stage.mjs"
    shutil.copyfile(Path(pages.__file__).parent / "page" / "live.js", script)
    stage.write_text(STAGE)
    ran = await anyio.run_process(["node", stage, folder / "answers.json", script, f"#{job_id}"])
    return ran.stdout.decode()


def asked(job_id: str) -> tuple[str, ...]:
    of_job = (f"/api/v1/jobs?job_id={job_id}", f"/api/v1/jobs/{job_id}?prompts=none")
    return ("/api/v1/status", "/api/v1/escalations", "/api/v1/jobs?limit=20", *of_job)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node to run the page's script")
@pytest.mark.parametrize("listed", [True, False])
async def test_the_job_that_the_address_names_is_told_as_caf_show_tells_it(
    listed: bool, shared_api: Api, tmp_path: Path
) -> None:
    answers = {path: (await shared_api.get(path)).json() for path in asked(REPAIRED)}
    if not listed:  # it is older than the newest ones
        answers["/api/v1/jobs?limit=20"]["jobs"] = []
    said = await page_says(answers, REPAIRED, tmp_path)
    assert "does not answer" not in said
    told = {line.strip() for line in said.splitlines()}
    assert {"Newest jobs", REPAIRED, "run-0001 from artifact", "run-0002 from motion"} <= told
    assert "temporal_stability" in told
    assert any(line.startswith("RETRY_STAGE after motion: temporal_stability is ") for line in told)
    assert "artifact reused, pose reused, frame reused, " in said
    assert "final.mp4" in told
    lines = said.splitlines()
    assert lines.count("/api/v1/jobs?limit=20") == 3
    # It got an event more before each look and stands where it stood: it need not be told again at once.
    assert lines.count(f"/api/v1/jobs/{REPAIRED}?prompts=none") == 1


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node to run the page's script")
async def test_a_job_that_cannot_be_told_says_so_itself_and_hides_nothing_else(
    shared_api: Api, tmp_path: Path
) -> None:
    answers = {path: (await shared_api.get(path)).json() for path in asked(REPAIRED)[:3]}
    answers["/api/v1/jobs?limit=20"]["jobs"].sort(key=lambda job: job["job_id"] != REPAIRED)
    said = await page_says(answers, REPAIRED, tmp_path)
    assert "does not answer" not in said
    assert "It cannot be told now (" in said
    assert all(job["job_id"] in said for job in answers["/api/v1/jobs?limit=20"]["jobs"])


async def test_the_page_needs_no_token_and_what_it_asks_does(workspace: Path) -> None:
    async with served(
        workspace, environ={"CAF_TOKEN": "t" * 32}, headers={"Authorization": f"Bearer {'t' * 32}"}
    ) as api:
        bare = {"Authorization": ""}
        assert (await api.get("/", headers=bare)).status == 200
        assert (await api.get("/live.js", headers=bare)).status == 200
        assert (await api.get("/api/v1/status", headers=bare)).status == 401
        assert (await api.get("/api/v1/status")).status == 200


async def test_the_status_says_what_is_done_and_numbers_its_pictures(shared_api: Api) -> None:
    service = shared_api.service
    render = service.dispatcher.lanes.render

    async def running() -> list[dict[str, Any]]:
        lanes = (await shared_api.get("/api/v1/status")).json()["lanes"]
        return next(lane["running"] for lane in lanes if lane["name"] == "render")

    render.open()  # the queue stands, and lanes with it
    try:
        async with render.turn(Turn(job_id=STEADY, stage="motion", attempt_id=attempt_id(1))):
            assert [(item["job_id"], item["preview"]) for item in await running()] == [(STEADY, None)]
            numbers = set()
            for picture in (b"one", b"two"):
                service.runner.previews.show(STEADY, "image/png", picture)
                [item] = await running()
                numbers.add(item["preview"])
            assert len(numbers - {None}) == 2
    finally:
        render.close()
        service.runner.previews.newest.clear()
