"""The OpenAPI document is true: every route is in it, and hostile requests made from it find no lie."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.serving import Api

HTTP_METHODS = {"get", "post", "put", "delete", "patch", "head", "options"}
TIMEOUT_S = 400


async def test_every_operation_has_a_name_of_its_own_a_summary_and_described_errors(api: Api) -> None:
    operations = [
        operation
        for methods in api.document["paths"].values()
        for method, operation in methods.items()
        if method in HTTP_METHODS
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names) > 15
    assert all(operation["summary"] for operation in operations)
    for operation in operations:
        for status, response in operation["responses"].items():
            if int(status) >= 400 and not (operation["operationId"] == "ready" and status == "503"):
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/FaultReport"}


async def test_every_reference_leads_to_a_schema(api: Api) -> None:
    known = api.document["components"]["schemas"]

    def references(part: object) -> Iterator[str]:
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "$ref":
                    yield value
                yield from references(value)
        elif isinstance(part, list):
            for item in part:
                yield from references(item)

    assert {name.removeprefix("#/components/schemas/") for name in references(api.document)} <= known.keys()


async def test_the_document_describes_itself_and_is_the_same_each_time(api: Api) -> None:
    assert "/api/v1/openapi.json" in api.document["paths"]
    first, second = await api.get("/api/v1/openapi.json"), await api.get("/api/v1/openapi.json")
    assert first.body == second.body


def test_hostile_requests_made_from_the_document_find_no_lie(daemon_url: str, tmp_path: Path) -> None:
    """Schemathesis: boundaries of every parameter, fuzzing, and sequences; the live stream has tests of its own."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{daemon_url}/api/v1/openapi.json"),
        *("--seed", "1", "--max-examples", "8", "--exclude-operation-id", "streamEvents"),
        *("--continue-on-failure", "--no-color", "--request-timeout", "60"),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_events_of_the_live_stream_are_as_described(daemon_url: str, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{daemon_url}/api/v1/openapi.json"),
        *(
            "--seed",
            "1",
            "--max-examples",
            "3",
            "--include-operation-id",
            "streamEvents",
            "--phases",
            "fuzzing",
        ),
        *("--no-color", "--request-timeout", "0.3"),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


@pytest.fixture
def daemon_url(workspace: Path) -> Iterator[str]:
    """A real `caf serve` of the workspace."""
    from tests.web.process import daemon

    with daemon(workspace) as found:
        yield found.url
