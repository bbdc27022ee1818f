"""What no client library sends: every such request ends in an error of the one shape, never in a defect."""

import gzip
import json

import pytest

from tests.web.raw import connected, exchange, read_all, request
from tests.web.serving import Api

JOBS = "/api/v1/jobs"


@pytest.fixture
def api(shared_api: Api) -> Api:
    return shared_api


def post(api: Api, body: bytes, *headers: str, path: str = JOBS, kind: str = "application/json") -> bytes:
    said = (f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers)
    return request(api, path, *said, method="POST", body=body)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
        b"\x00" * 64 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /api/v1/jobs/\xc3\xa4 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"CAT /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"FOO\xff / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\0b\r\n\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1e3\r\n\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n{}",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_refused(api: Api, data: bytes) -> None:
    refused = await exchange(api, data)
    assert (refused.status, refused.kind) == (400, "no_http")


async def test_headers_that_are_too_large_are_refused(api: Api) -> None:
    assert (await exchange(api, request(api, "/health", "X: " + "a" * 20_000))).status == 431
    assert (await exchange(api, request(api, "/" + "a" * 20_000))).status == 431
    many = [f"X-{number}: a" for number in range(2000)]
    assert (await exchange(api, request(api, "/health", *many))).status in (400, 431)


@pytest.mark.parametrize(
    "path",
    [
        "/live",
        "/api",
        "/api/v2/jobs",
        "/api/v1/jobs/",
        "//api/v1/jobs",
        "/api/v1/jobs/%2e%2e",
        "/api/v1/jobs/..%2f..%2fhealth",
        "/api/v1/jobs/../../../../etc/passwd",
        "/api/v1/jobs/abcdef%00",
        "/api/v1/jobs/abcdef%0a",
        "/api/v1/jobs/%ff%fe%fd%fc%fb%fa",
        "/api/v1/jobs/%C3%A4%C3%B6%C3%BC%E2%98%83",
        "/api/v1/jobs/STEADY-0001",
        "/api/v1/jobs/short",
        "/api/v1/jobs/" + "a" * 201,
        "/api/v1/jobs/" + "a" * 8000,
        "/api/v1/jobs/steady-0001;x=1",
        "/api/v1/jobs/steady-0001/events/../..",
    ],
)
async def test_a_path_that_is_none_is_not_found(api: Api, path: str) -> None:
    refused = await exchange(api, request(api, path))
    assert (refused.status, refused.kind) == (404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_a_method_that_a_path_does_not_take_is_told_those_it_does(api: Api, method: str) -> None:
    for path, allowed in ((JOBS, "GET,HEAD,POST"), ("/api/v1/queue/pause", "POST"), ("/health", "GET,HEAD")):
        refused = await exchange(api, request(api, path, method=method))
        assert (refused.status, refused.kind, refused.headers["Allow"]) == (405, "wrong_method", allowed)


async def test_head_is_answered_like_get_without_its_body(api: Api) -> None:
    for path in api.document["paths"]:
        if "get" in api.document["paths"][path] and "{" not in path:
            assert (await api.ask("HEAD", path)).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"null", 422),
        (b"[]", 422),
        (b"\xef\xbb\xbf{}", 400),
        (b'{"clip":"\xff"}', 400),
        (b'{"clip":"\\ud800"}', 400),
        (b'{"clip":NaN}', 400),
        (b'{"priority":Infinity}', 400),
        (b'{"clip":1e999}', 422),
        (b'{"priority":' + b"9" * 5000 + b"}", 422),
        (b'{"clip":"a","clip":"b"}', 409),
        (b"[" * 10_000, 400),
        (b"[" * 100_000, 422),
        (b'{"document":' + b'{"a":' * 500 + b"1" + b"}" * 501, 422),
        (b'{"document":' + b"[" * 70 + b"]" * 70 + b"}", 422),
        (b'{"document":{"x":[' + b"[]," * 300_000 + b"[]]}}", 422),
        (b'{"document":{"x":[' + b"1," * 400_000 + b"1]}}", 422),
        (b"{} {}", 400),
        ("{}".encode("utf-16"), 400),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_json_that_is_none_or_a_bomb_is_refused(api: Api, body: bytes, status: int) -> None:
    assert (await exchange(api, post(api, body))).status == status


async def test_a_body_that_is_too_large_is_refused_however_it_is_sent(api: Api) -> None:
    large = b" " * (2 << 20)
    assert (await exchange(api, post(api, large))).status == 413
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    said = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    assert (
        await exchange(api, request(api, JOBS, *said, method="POST", body=chunk * 2 + b"0\r\n\r\n"))
    ).status == 413
    bomb = gzip.compress(b" " * 50_000_000)
    assert (await exchange(api, post(api, bomb, "Content-Encoding: gzip"))).status == 413


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "wat"])
async def test_a_body_that_is_not_packed_as_it_says_is_refused(api: Api, coding: str) -> None:
    assert (await exchange(api, post(api, b"{not packed", f"Content-Encoding: {coding}"))).status == 400


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"]
)
async def test_a_body_that_is_not_said_to_be_json_is_refused(api: Api, kind: str) -> None:
    for path in (JOBS, "/api/v1/queue/pause", "/api/v1/jobs/silent-0001/cancel"):
        assert (await exchange(api, post(api, b"{}", path=path, kind=kind))).status == 415
    assert api.service.dispatcher.daemon.paused is not None
    assert (await api.get("/api/v1/jobs/silent-0001")).json()["job"]["status"] == "waiting"


async def test_what_a_caller_expects_is_no_reason_to_refuse(api: Api) -> None:
    assert (await exchange(api, request(api, JOBS, "Expect: the-unexpected"))).status == 200
    assert (await exchange(api, post(api, b"{}", "Expect: 100-continue"))).status == 422


@pytest.mark.parametrize(
    "query", ["status=%ff", "lane=%ed%a0%80", "limit=\u0661", "%00=1", "a=b&" * 500, "="]
)
async def test_a_hostile_query_is_refused_or_finds_nothing(api: Api, query: str) -> None:
    answer = await exchange(api, request(api, f"{JOBS}?{query}"))
    assert answer.status == 400 or answer.json()["jobs"] == []


async def test_a_request_after_a_refused_one_on_the_same_connection_is_answered(api: Api) -> None:
    async with connected(api) as stream:
        kept = request(api, "/nope").replace(b"Connection: close\r\n", b"")
        await stream.send(kept + kept + request(api, "/health"))
        got = await read_all(stream)
    assert [got.count(b"HTTP/1.1 404"), got.count(b"HTTP/1.1 200")] == [2, 1]


async def test_a_note_with_every_character_is_recorded_as_it_is(api: Api) -> None:
    note = "".join(map(chr, range(0x20))) + "\x7f\u2028\U0001f408 </script> \\ \" '"
    body = json.dumps({"reason": note}).encode()
    assert (await exchange(api, post(api, body, path="/api/v1/jobs/broken-0001/cancel"))).status == 200
    last = (await api.get("/api/v1/jobs/broken-0001/events")).json()["events"][-1]
    assert last["data"]["reason"] == note
