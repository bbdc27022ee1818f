"""Every kind of document: tolerant readers, strict writers, and the schemas that say so."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caf.contracts.read import read_document, write_document
from caf.contracts.schemas import DOCUMENTS, main, schema, schema_files
from caf.errors import DocumentError
from tests.contracts.samples import SAMPLES
from tests.contracts.strategies import documents

SCHEMAS = Path(__file__).parents[2] / "schemas"
NAMES = sorted(DOCUMENTS)
TAGGED = [name for name in NAMES if "version" in SAMPLES[name]]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def _bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_bytes()))


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON, where 1 and 1.0 are one number."""
    return bool(msgspec.to_builtins(left) == msgspec.to_builtins(right))


def test_there_is_a_sample_of_every_kind() -> None:
    assert sorted(SAMPLES) == NAMES


def test_the_committed_schemas_are_the_generated_ones() -> None:
    committed = {path.name: path.read_bytes() for path in SCHEMAS.glob("*.json")}
    assert committed == schema_files()


def test_a_stale_or_unknown_schema_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", "--folder", str(tmp_path)]) == 0
    assert main(["--check", "--folder", str(tmp_path)]) == 0
    (tmp_path / "job.v1.schema.json").write_bytes(b"{}")
    (tmp_path / "other.schema.json").write_bytes(b"{}")
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count("run this with --write") == 2
    assert "job.v1.schema.json" in said
    assert "other.schema.json" in said


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_itself_valid(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_read_and_written_again_without_loss_of_known_fields(name: str) -> None:
    kind = DOCUMENTS[name]
    document = read_document(_bytes(SAMPLES[name]), kind, where="sample.json")
    written = write_document(document)
    assert read_document(written, kind, where="written.json") == document
    assert not list(_validator(name).iter_errors(json.loads(written)))


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_fits_the_published_schema(name: str) -> None:
    assert not list(_validator(name).iter_errors(SAMPLES[name]))


@pytest.mark.parametrize("name", TAGGED)
def test_the_version_is_written_and_another_one_is_refused(name: str) -> None:
    kind = DOCUMENTS[name]
    version = SAMPLES[name]["version"]
    written = json.loads(write_document(read_document(_bytes(SAMPLES[name]), kind, where="s.json")))
    assert next(iter(written)) == "version"
    assert written["version"] == version
    with pytest.raises(DocumentError, match=r"^s\.json: version is '9'; allowed is '"):
        read_document(_bytes(SAMPLES[name] | {"version": "9"}), kind, where="s.json")


@pytest.mark.parametrize("name", NAMES)
def test_unknown_fields_are_never_an_error_and_never_written(name: str) -> None:
    kind = DOCUMENTS[name]
    sample = SAMPLES[name] | {"x_unknown": {"deep": [1, None]}}
    written = json.loads(write_document(read_document(_bytes(sample), kind, where="s.json")))
    assert "x_unknown" not in written


@pytest.mark.parametrize("name", NAMES)
def test_a_document_without_a_required_field_is_refused_by_reader_and_schema(name: str) -> None:
    kind = DOCUMENTS[name]
    required = [field.encode_name for field in msgspec.structs.fields(kind) if field.required]
    for field in required:
        without = {key: value for key, value in SAMPLES[name].items() if key != field}
        assert list(_validator(name).iter_errors(without))
        with pytest.raises(DocumentError, match=f"s.json: {field} is missing; allowed "):
            read_document(_bytes(without), kind, where="s.json")


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_document_survives_writing_and_reading_and_fits_its_schema(name: str, data: Any) -> None:
    document = data.draw(documents(DOCUMENTS[name]))
    written = write_document(document)
    again = read_document(written, DOCUMENTS[name], where="again.json")
    assert _same(again, document)
    assert write_document(again) == written
    assert written.endswith(b"}\n")
    assert not list(_validator(name).iter_errors(json.loads(written)))


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_spoiled_document_is_read_or_refused_with_a_sentence(name: str, data: Any) -> None:
    spoiled = bytearray(_bytes(SAMPLES[name]))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(spoiled) - 1))
        spoiled[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=3))
    _only_a_document_error(bytes(spoiled), DOCUMENTS[name])


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_value_of_a_wrong_kind_is_refused_with_its_place(name: str, data: Any) -> None:
    sample = json.loads(_bytes(SAMPLES[name]))
    place: Any = sample
    path = [data.draw(st.sampled_from(sorted(place)))]
    while isinstance(place[path[-1]], dict | list) and place[path[-1]] and data.draw(st.booleans()):
        place = place[path[-1]]
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        path.append(data.draw(st.sampled_from(keys)))
    place[path[-1]] = data.draw(JSON)
    fault = _refusal(_bytes(sample), DOCUMENTS[name])
    if fault is not None:
        assert fault.message.startswith("s.json: ")
        assert path[0] in fault.message


@settings(deadline=None, max_examples=200)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_sentence(data: bytes) -> None:
    _only_a_document_error(data, DOCUMENTS["qc_policy.v1"])


def _refusal(data: bytes, kind: type[msgspec.Struct]) -> DocumentError | None:
    try:
        read_document(data, kind, where="s.json")
    except DocumentError as fault:
        return fault
    return None


def _only_a_document_error(data: bytes, kind: type[msgspec.Struct]) -> None:
    fault = _refusal(data, kind)
    if fault is not None:
        assert fault.message.startswith("s.json: ")
        assert fault.remedy
