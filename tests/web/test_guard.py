"""Who may ask: hosts, origins and tokens."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from caf.errors import DocumentError, InputError
from caf.web.guard import is_loopback
from caf.web.server import face
from caf.web.token import matches, token_of
from tests.web.raw import exchange, request
from tests.web.serving import CONFIG, Api, served

TOKEN = "a-token-of-more-than-16-characters"
PATHS = ("/api/v1/jobs", "/api/v1/stream?after=0", "/api/v1/openapi.json", "/health", "/metrics", "/nope")


@pytest.fixture
def api(shared_api: Api) -> Api:
    return shared_api


def asked_as(api: Api, path: str, host: str, *headers: str) -> bytes:
    return request(api, path, *headers).replace(f"127.0.0.1:{api.port}".encode(), host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "evil.example@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1/evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "[::]",
        "[::1",
        "",
        "127.0.0.1:port",
        "xn--localhost",
    ],
)
async def test_a_name_that_is_not_this_machine_is_refused_on_every_path(api: Api, host: str) -> None:
    for path in PATHS:
        refused = await exchange(api, asked_as(api, path, host))
        assert (refused.status, refused.kind) == (403, "wrong_host")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:99", "[::1]:8765", "127.8.8.8", "LOCALHOST"])
async def test_a_name_of_this_machine_is_answered(api: Api, host: str) -> None:
    assert (await exchange(api, asked_as(api, "/health", host))).status == 200


@pytest.mark.parametrize(
    "header",
    [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: ",
        "Origin: http://localhost:1",
        "Origin: http://[::1",
        "Origin: file://",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: ",
    ],
)
async def test_a_page_of_another_site_is_refused_on_every_path_and_method(api: Api, header: str) -> None:
    for path in PATHS:
        assert (await exchange(api, request(api, path, header))).kind == "wrong_origin"
    for path in ("/api/v1/queue/unpause", "/api/v1/jobs/silent-0001/cancel"):
        assert (await exchange(api, request(api, path, header, method="POST"))).kind == "wrong_origin"
    assert api.service.dispatcher.daemon.paused is not None


LINK = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")


async def test_a_link_of_another_site_opens_the_page_and_nothing_else(api: Api) -> None:
    assert (await exchange(api, request(api, "/", *LINK))).status == 200
    for path in sorted({*PATHS, "/live.js", "/api/v1/status"} - {"/"}):
        assert (await exchange(api, request(api, path, *LINK))).kind == "wrong_origin"
    for odd in (
        request(api, "/", *LINK, method="POST"),
        request(api, "/", *LINK, "Origin: http://evil.example"),
        request(api, "/", *LINK[:2], "Sec-Fetch-Dest: iframe"),
        request(api, "/", LINK[0], "Sec-Fetch-Mode: no-cors", LINK[2]),
    ):
        assert (await exchange(api, odd)).kind == "wrong_origin"


async def test_a_page_of_this_very_place_is_answered_and_no_other_is_let_in_by_headers(api: Api) -> None:
    own = f"Origin: http://127.0.0.1:{api.port}"
    answer = await exchange(api, request(api, "/api/v1/jobs", own, "Sec-Fetch-Site: same-origin"))
    assert answer.status == 200
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.fixture(scope="module")
async def guarded(shared_workspace: Path) -> AsyncIterator[Api]:
    """Served to all machines, so with a token; the client has it."""
    config = replace(CONFIG, listen="0.0.0.0:0")
    with_token = {"Authorization": f"Bearer {TOKEN}"}
    async with served(
        shared_workspace, config=config, environ={"CAF_TOKEN": TOKEN}, headers=with_token
    ) as api:
        yield api


async def test_with_the_token_everything_is_answered_under_any_name(guarded: Api) -> None:
    assert (await guarded.get("/api/v1/jobs")).status == 200
    named = asked_as(guarded, "/api/v1/jobs", "render-box.example", f"Authorization: Bearer {TOKEN}")
    assert (await exchange(guarded, named)).status == 200


@pytest.mark.parametrize(
    "header",
    [
        "X: none",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        f"Authorization: Bearer {TOKEN[:-1]}",
        f"Authorization: Bearer {TOKEN}x",
        f"Authorization: Basic {TOKEN}",
        f"Authorization: {TOKEN}",
        "Authorization: Bearer \udcff\udcfe",
    ],
)
async def test_without_the_token_nothing_but_the_heartbeat_is_answered(guarded: Api, header: str) -> None:
    for path in PATHS:
        answer = await exchange(guarded, request(guarded, path, header))
        if path == "/health":
            assert answer.json() == {"ok": True, "problems": []}
            continue
        assert (answer.status, answer.kind) == (401, "no_token")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="caf"'
        assert TOKEN.encode() not in answer.body


async def test_a_page_of_another_site_is_refused_also_with_the_token(guarded: Api) -> None:
    said = (f"Authorization: Bearer {TOKEN}", "Origin: http://evil.example")
    assert (await exchange(guarded, request(guarded, "/api/v1/jobs", *said))).kind == "wrong_origin"


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "render-box:1", "127.1:1", "0:1"])
def test_other_machines_are_not_served_without_a_token(listen: str) -> None:
    with pytest.raises(InputError) as refused:
        face(replace(CONFIG, listen=listen), {})
    assert refused.value.kind == "no_token"


@pytest.mark.parametrize(
    "listen", ["", "127.0.0.1", "127.0.0.1:x", ":1", "a@127.0.0.1:1", "127.0.0.1:99999", "[::1:1"]
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(InputError) as refused:
        face(replace(CONFIG, listen=listen), {"CAF_TOKEN": TOKEN})
    assert refused.value.kind == "bad_setting"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.1", "localhost", "[::1]", "::1"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


def test_a_token_comes_from_the_environment_or_a_file_of_the_workspace(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with_file = replace(CONFIG, token_file=str(file))
    assert token_of(CONFIG, {}) is None
    assert token_of(with_file, {}) == TOKEN
    assert token_of(with_file, {"CAF_TOKEN": "another-token-of-16"}) == "another-token-of-16"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short", b"with a space in it", b"\xff" * 20, b"line\nline-of-sixteen"]
)
def test_a_token_that_can_be_guessed_or_not_sent_is_refused_and_not_told(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(DocumentError) as refused:
        token_of(replace(CONFIG, token_file=str(file)), {})
    assert "secret" not in str(refused.value)


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="nowhere"):
        token_of(replace(CONFIG, token_file=str(tmp_path / "nowhere")), {})


def test_a_header_matches_its_token_alone() -> None:
    assert matches(f"Bearer {TOKEN}", TOKEN)
    assert matches(f"bearer  {TOKEN} ", TOKEN)
    assert not matches(None, TOKEN)
    assert not matches("Bearer \udcff", TOKEN)
