"""Every shape that was ever stored is read for ever, and folds to what it folded to then."""

import hashlib
import json
from pathlib import Path
from typing import Final

import pytest

from caf.events import DaemonEvent, Event
from caf.events.codec import decode
from tests.golden.make import folded, golden_files, holds_todays_shapes

DIGESTS: Final = {
    "events-0001.jsonl": "024e5b74b64923a269ea4f6f5c08424693e8069d10386f631a20991b7c27e655",
    "events-0002.jsonl": "f82b41db2fe3ff4c7db1c1a9a4f40e1130f5dee7aae61e6f0a7744dd9a56e884",
    "events-0003.jsonl": "0adf86ef3b66673775b2c0643d0ca4c57015093a6ea0d66181c3e7cf142b7f28",
    "events-0004.jsonl": "ff680e95ad3a0037e630a57ea70864556fc4e243951ac91ee42f142f4cb1a535",
}
"""SHA-256 of every golden log. They are never changed: a new shape gets a new file and a line here."""


def events_of(file: Path) -> dict[str, list[Event | DaemonEvent]]:
    found: dict[str, list[Event | DaemonEvent]] = {}
    for line in file.read_text("utf-8").splitlines():
        record = json.loads(line)
        event = decode(record["type"], record["type_version"], record["data"].encode())
        found.setdefault(record["story"], []).append(event)
    return found


def test_the_golden_logs_are_the_ones_that_were_recorded() -> None:
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in golden_files()} == DIGESTS


@pytest.mark.parametrize("file", golden_files(), ids=lambda file: file.stem)
def test_every_event_ever_stored_is_read_and_folds_to_the_recorded_state(file: Path) -> None:
    expected = json.loads(
        file.with_name(file.name.replace("events", "state")).with_suffix(".json").read_text()
    )
    found = {}
    for story, events in events_of(file).items():
        found[story] = json.loads(json.dumps(folded(events)))
    assert found == expected


@pytest.mark.parametrize("file", golden_files(), ids=lambda file: file.stem)
def test_every_prefix_of_a_golden_log_folds(file: Path) -> None:
    for events in events_of(file).values():
        for version in range(1, len(events) + 1):
            assert folded(events[:version])["version"] == version


def test_the_newest_golden_log_holds_every_type_just_as_it_is_written_today() -> None:
    """When this fails, a stored shape has changed.

    Give the type an upcaster, then add the new shapes with `python -m tests.golden.make`.
    """
    assert holds_todays_shapes(golden_files()[-1])
