"""What a person reads when a document is wrong: file, place, what was found, what is allowed."""

import msgspec
import pytest

from caf.contracts import Decision, GateResult, JobDocument, ProductionMetrics, QCPolicy, VisualMetrics
from caf.contracts.handoff_registry import HandoffEntry, HandoffRegistry
from caf.contracts.production_decision import ProductionDecision
from caf.contracts.qc_report import Overall, QCReport
from caf.contracts.read import MAX_BYTES, read_document, read_object, write_document
from caf.contracts.workflow_registry import Workflow, node_defaults
from caf.errors import DocumentError
from caf.policies import DEFAULT_POLICY

POLICY = write_document(DEFAULT_POLICY)
JOB = b'{"job_id": "abcdef", "video": {}, "render": {"background_asset": "a.mp4"}'


def _said(data: bytes, kind: type[msgspec.Struct]) -> str:
    with pytest.raises(DocumentError) as caught:
        read_document(data, kind, where="f.json")
    assert caught.value.exit_code == 65
    assert caught.value.remedy
    return caught.value.message


def test_the_smallest_job_is_read() -> None:
    job = read_document(JOB + b"}", JobDocument, where="f.json")
    assert job.job_id == "abcdef"
    assert job.video.fps is None
    assert job.platforms == ()


def test_an_unknown_action_is_refused_with_its_place_and_the_allowed_ones() -> None:
    spoiled = POLICY.replace(b'"ESCALATE_USER",\n      "target_stage"', b'"RETRY",\n      "target_stage"')
    assert _said(spoiled, QCPolicy) == (
        "f.json: gates[5].failure_action is 'RETRY'; "
        "allowed are ABORT, ESCALATE_USER, PROCEED, RETRY_STAGE, SWITCH_POLICY."
    )


def test_two_gates_with_one_id_are_refused() -> None:
    spoiled = POLICY.replace(b'"loop_seam_gate"', b'"audio_video_gate"')
    assert _said(spoiled, QCPolicy) == (
        "f.json: gates[4].gate_id is 'audio_video_gate', which gates[3] already has."
    )


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        (b', "video": {"fps": 23.9}}', "video.fps is 23.9; allowed is a number from 24 to 60."),
        (b', "video": {"fps": true}}', "video.fps is true; allowed is a number from 24 to 60."),
        (b', "video": {"fps": "30"}}', "video.fps is '30'; allowed is a number from 24 to 60."),
        (
            b', "video": {"length_seconds": 0}}',
            "video.length_seconds is 0; allowed is a number above 0.",
        ),
        (
            b', "video": {"resolution": "1x1"}}',
            "video.resolution is '1x1'; allowed are 1080x1080, 1080x1920.",
        ),
        (b', "video": [1]}', "video is a list; allowed is an object."),
        (b', "captions": ["a", 2]}', "captions[1] is 2; allowed is a text."),
        (b', "hashtags": "#cat"}', "hashtags is '#cat'; allowed is a list."),
        (b', "script": 4}', "script is 4; allowed is an object or a text."),
        (b', "script": {"hook": {}}}', "script.hook is an object; allowed is a text."),
        (
            b', "render": {"background_asset": ""}}',
            "render.background_asset is ''; allowed is a text that is not empty.",
        ),
        (
            b', "comfyui": {"bindings": {"parameters": {"3": {"seed": null}}}}}',
            "comfyui.bindings.parameters['3'].seed is null; allowed is a number or a text or true or false.",
        ),
        (
            b', "comfyui": {"bindings": {"seed": -1}}}',
            "comfyui.bindings.seed is -1; allowed is a whole number of at least 0.",
        ),
        (
            b', "job_id": "no_underscores"}',
            "job_id is 'no_underscores'; allowed is 6 to 200 of a-z, 0-9 and '-'.",
        ),
        (b', "job_id": "abcdef\\n"}', "job_id is 'abcdef\\n'; allowed is 6 to 200 of a-z, 0-9 and '-'."),
        (b', "niche": 12345678901234567890123456789012345678901234567890123456789012345678}', "niche is "),
        (b', "lane": "' + b"x" * 99 + b'"}', "lane is 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(rest: bytes, sentence: str) -> None:
    said = _said(JOB + rest, JobDocument)
    assert said.startswith(f"f.json: {sentence}")
    assert len(said) < 300


@pytest.mark.parametrize(
    ("value", "sentence"),
    [('"pass": 1, ', "is 1; allowed is true or false."), ("", "is missing; allowed is true or false.")],
)
def test_a_field_is_named_as_it_stands_in_the_document(value: str, sentence: str) -> None:
    head = '{"job_id": "abcdef", "generated_at": "2026-01-01T00:00:00Z", "inputs": {}, "gates": []'
    rest = '"failed_gate_ids": [], "failed_failure_classes": [], "recommended_action": "ABORT"'
    report = f'{head}, "overall": {{{value}{rest}}}}}'
    assert _said(report.encode(), QCReport) == f"f.json: overall.pass {sentence}"


def test_a_time_that_no_clock_shows_is_refused() -> None:
    head = b'{"job_id": "abcdef", "attempt_id": "run-0001", "visual_metrics": {}, "ts": "%s"}'
    metrics = read_document(head % b"2026-12-31T23:59:59.5Z", ProductionMetrics, where="f.json")
    assert metrics.ts == "2026-12-31T23:59:59.5Z"
    for wrong in (b"2026-13-01T00:00:00Z", b"2026-01-01 00:00:00Z", b"2026-01-01T00:00:00", b"2026-01-01"):
        said = _said(head % wrong, ProductionMetrics)
        assert "allowed is an RFC 3339 time in UTC, like 2026-02-08T05:00:46Z." in said


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'{\n  "job_id": ?\n}', "the JSON is malformed at line 2, column 13: invalid character."),
        ('{"niche": "Käse",,}'.encode(), "the JSON is malformed at line 1, column 18: object keys must be"),
        (b'{"job_id": "abc', "the JSON is malformed at line 1, column 16: the text ends too early."),
        (JOB + b"}}", "the JSON is malformed at line 1, column 76: trailing characters."),
        (JOB + b', "x": NaN}', "the JSON is malformed at line 1, column 81: invalid character."),
        (b"", "the file is empty."),
        (b" \n\t ", "the file is empty."),
        (b"\xef\xbb\xbf" + JOB + b"}", "it begins with a byte order mark."),
        ("{}".encode("utf-16"), "it is UTF-16 or UTF-32 text, or no text."),
        ("{}".encode("utf-16-be"), "it is UTF-16 or UTF-32 text, or no text."),
        ("{}".encode("utf-32"), "it is UTF-16 or UTF-32 text, or no text."),
        (JOB + b', "niche": "\xff"}', "a text in it is not UTF-8."),
        (JOB + b', "shots": [{"a": ' + b"[" * 50_000, "it is nested too deeply to be read."),
        (JOB + b', "x": ' + b"[" * 50_000, "it is nested too deeply to be read."),
        (b"[]", "the document is a list; allowed is an object."),
        (b"null", "the document is null; allowed is an object."),
        (b'"x"', "the document is 'x'; allowed is an object."),
        (JOB + b', "video": {"fps": 1e999}}', "video.fps: Number out of range."),
        (JOB + b', "video": {"fps": %s}}' % (b"9" * 5000), "video.fps: Number out of range."),
        (
            JOB + b', "comfyui": {"bindings": {"seed": %s}}}' % (b"9" * 5000),
            "comfyui.bindings.seed: Integer value out of range.",
        ),
    ],
)
def test_what_is_no_such_json_is_refused_with_a_sentence(data: bytes, sentence: str) -> None:
    assert _said(data, JobDocument).startswith(f"f.json: {sentence}")


def test_a_file_that_cannot_be_a_document_is_refused_by_its_size() -> None:
    assert (
        _said(b" " * (MAX_BYTES + 1), JobDocument) == "f.json: it has 16 MiB; a document has at most 16 MiB."
    )


def test_any_object_can_be_read_and_nothing_else() -> None:
    assert read_object(b'{"a": [1, null]}', where="f.json") == {"a": [1, None]}
    with pytest.raises(DocumentError, match="the document is a list"):
        read_object(b"[]", where="f.json")


def test_a_document_is_written_in_the_contracts_order_with_sorted_names() -> None:
    decision = Decision(action="PROCEED", reasoning="fine", parameter_adjustments={"b": 1, "a": 0.5})
    document = ProductionDecision(job_id="abcdef", attempt_id="run-0001", decision=decision)
    assert write_document(document) == (
        b"{\n"
        b'  "version": "1.0",\n'
        b'  "job_id": "abcdef",\n'
        b'  "attempt_id": "run-0001",\n'
        b'  "decision": {\n'
        b'    "action": "PROCEED",\n'
        b'    "reasoning": "fine",\n'
        b'    "parameter_adjustments": {\n'
        b'      "a": 0.5,\n'
        b'      "b": 1\n'
        b"    }\n"
        b"  }\n"
        b"}\n"
    )


def test_an_empty_list_that_was_measured_is_written_and_an_unmeasured_value_is_not() -> None:
    metrics = ProductionMetrics(
        job_id="abcdef",
        attempt_id="run-0001",
        ts="2026-01-01T00:00:00Z",
        visual_metrics=VisualMetrics(blur_score=0.0),
        is_hallucination=False,
    )
    assert msgspec.json.decode(write_document(metrics)) == {
        "version": "1.0",
        "job_id": "abcdef",
        "attempt_id": "run-0001",
        "ts": "2026-01-01T00:00:00Z",
        "visual_metrics": {"blur_score": 0.0},
        "is_hallucination": False,
    }


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_say_is_never_written(score: float) -> None:
    gate = GateResult(
        gate_id="g",
        metric="m",
        dimension="motion",
        status="PASS",
        severity="LOW",
        repairable=True,
        score=score,
        threshold=0.5,
        failure_action="ABORT",
        failure_class=None,
        reason="",
    )
    overall = Overall(
        passed=True, failed_gate_ids=(), failed_failure_classes=(), recommended_action="PROCEED"
    )
    report = QCReport(
        job_id="abcdef", generated_at="2026-01-01T00:00:00Z", inputs={}, gates=(gate,), overall=overall
    )
    with pytest.raises(DocumentError, match=r"gates\[0\]\.score is not a finite number"):
        write_document(report)


def test_a_document_that_breaks_its_contract_is_never_written() -> None:
    entry = HandoffEntry(
        job_id="abcdef", platform="x", post_url="not a url", posted_at="2026-01-01T00:00:00Z"
    )
    registry = HandoffRegistry(updated_at="2026-01-01T00:00:00Z", entries=(entry,))
    with pytest.raises(DocumentError, match=r"cannot be written: entries\[0\]\.post_url is 'not a url'"):
        write_document(registry)
    lonely = msgspec.structs.replace(entry, post_url="https://x.example/1", author="\ud800")
    with pytest.raises(DocumentError, match="no Unicode"):
        write_document(msgspec.structs.replace(registry, entries=(lonely,)))


def test_one_job_is_live_once_on_a_platform() -> None:
    entry = HandoffEntry(
        job_id="abcdef", platform="x", post_url="https://x.example/1", posted_at="2026-01-01T00:00:00Z"
    )
    with pytest.raises(ValueError, match=r"entries\[1\].* is 'abcdef on x', which entries\[0\] already has"):
        HandoffRegistry(updated_at="2026-01-01T00:00:00Z", entries=(entry, entry))


def test_flat_default_parameters_belong_to_no_node() -> None:
    workflow = Workflow(
        workflow_id="w", engine="e", tags=(), default_parameters={"sampler": {"cfg": 8.0}, "fps": 24}
    )
    assert node_defaults(workflow) == {"sampler": {"cfg": 8.0}}
