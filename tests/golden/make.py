"""Writes a golden log: every event type as it is stored today, and what folding it gives.

`python -m tests.golden.make` adds the next file when the shapes have changed since the newest one. A file
that was ever part of a release stays as it is for ever: logs on people's disks hold those very bytes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from caf.contracts import Decision, ProductionDecision
from caf.daemon.state import Daemon, evolve_daemon
from caf.events import (
    ConfigReloaded,
    DaemonEvent,
    DaemonStarted,
    DaemonStopped,
    DocumentRejected,
    Event,
    HandoffApproved,
    HandoffPrepared,
    JobId,
    Parameters,
    PromptSubmitted,
    QueuePaused,
    QueueUnpaused,
    RepairDecided,
    RetryOf,
    Settings,
    StageInterrupted,
)
from caf.events.codec import TYPES, decode, encode
from caf.job import INITIAL, Job, evolve
from tests.support.jobs import (
    CAUSE,
    JOB_ID,
    RUN_1,
    answered,
    attempt,
    completed,
    coverage,
    decided,
    escalated,
    failed,
    job_aborted,
    job_cancelled,
    job_completed,
    judged,
    posted,
    started,
    submitted,
    up_to,
)

__all__ = ["FOLDER", "folded", "golden_files", "holds_todays_shapes", "lines", "main", "stories"]

FOLDER: Final = Path(__file__).parent
MENDED: Final[Parameters] = {"motion": {"pose_weight": 0.95, "stabilise": True, "mode": "soft"}}


def stories() -> dict[str, list[Event] | list[DaemonEvent]]:
    """Three jobs and a daemon that hold every event type between them, optional fields both said and not."""
    spec = submitted(
        priority=5,
        submitted_by="ada",
        retry_of=RetryOf(job_id=JobId("cat-dances-00"), attempt_id=RUN_1, from_stage="motion", by="ada"),
        platforms=("youtube", "x"),
        reference="/cats/mochi.png",
        targets={"loop_seam": 0.8},
        costume_required=True,
        workflows={"dance": {"workflow_id": "dance", "nodes": {"1": {"class_type": "LoadImage"}}}},
    )
    retry = RepairDecided(
        attempt_id=RUN_1,
        stage="motion",
        decision=ProductionDecision(
            job_id=JOB_ID,
            attempt_id=RUN_1,
            decision=Decision(
                action="RETRY_STAGE",
                reasoning="temporal_stability is 0.400, below 0.7.",
                target_stage="motion",
                workflow_profile="motion_safe_v1",
                parameter_adjustments={"pose_weight": 0.95, "motion": {"mode": "soft"}},
            ),
        ),
        reasoned_by="policy",
        alternatives=("RETRY_STAGE motion with motion_safe_v1", "ESCALATE_USER"),
    )
    completes: list[Event] = [
        *up_to("motion", spec),
        judged(spec, "motion", temporal_stability=0.4, loop_seam=None),
        retry,
        attempt(2, from_stage="motion", parameters=MENDED),
        started("motion", 2),
        StageInterrupted(
            stage="motion", attempt_id=attempt(2).attempt_id, gate=False, ran_ms=1200, reason="SIGTERM"
        ),
        failed("motion", 2),
        attempt(3, from_stage="motion", parameters=MENDED, reference="/cats/mochi-2.png"),
        started("motion", 3),
        PromptSubmitted(
            stage="motion",
            attempt_id=attempt(3).attempt_id,
            engine="comfyui",
            handle="http://127.0.0.1:8188#p-17",
            key="frame-000012",
        ),
        completed("motion", 3, reused=True, memory_peak_mb=None, facts={"shift_px": 0.25, "shots": 2}),
        judged(spec, "motion", 3),
        decided("motion", 3),
        started("video", 3),
        completed("video", 3),
        judged(spec, "video", 3, audio_video=0.5),
        decided("video", 3, "ESCALATE_USER"),
        escalated("video", 3),
        answered("proceed", "video"),
        decided("video", 3),
        job_completed(3),
        HandoffPrepared(
            platforms=("youtube", "x"),
            documents=(
                f"sandbox/dist_artifacts/{JOB_ID}/youtube.json",
                f"sandbox/dist_artifacts/{JOB_ID}/x.json",
            ),
        ),
        HandoffApproved(platform="tiktok", by="ada", note="go", observed_from="person"),
        posted("youtube", platform_post_id="abc", author="ada", niche="cats", lane="dance_swap"),
        posted("x"),
    ]
    given_up: list[Event] = [
        submitted(),
        attempt(),
        started("artifact"),
        completed("artifact"),
        started("pose"),
        coverage(ratio=0.1),
        failed("pose", kind="pose_unreadable", transient=False),
        escalated("pose"),
        answered("retry", "pose", from_stage="artifact", source="/clips/b.mp4", parameters=MENDED),
        decided("pose", action="RETRY_STAGE", target_stage="artifact"),
        attempt(2, source="/clips/b.mp4", decided_by=CAUSE.event_id),
        escalated("artifact", 2),
        answered("abort", "artifact"),
        job_aborted(2),
    ]
    return {
        "completes": completes,
        "given_up": given_up,
        "cancelled": [submitted(), attempt(), job_cancelled()],
        "daemon": _daemon(),
    }


def _daemon() -> list[DaemonEvent]:
    settings = Settings(
        config_sha256="c" * 64, policy_id="default", policy_sha256="p" * 64, registry_sha256="r" * 64
    )
    return [
        DaemonStarted(version="0.1.0", host="box", pid=17, settings=settings),
        QueuePaused(by="ada", reason="the GPU is too hot"),
        ConfigReloaded(settings=settings),
        DocumentRejected(
            path="sandbox/jobs/broken-job.job.json",
            sha256="d" * 64,
            kind="contract_violation",
            message="It is no JSON.",
            remedy="Correct it.",
        ),
        QueueUnpaused(by="ada"),
        DaemonStopped(pid=17, reason="SIGTERM", interrupted=1),
    ]


def lines() -> bytes:
    """One JSON object a line: story, type, version, and the stored bytes as text."""
    text = ""
    for story, events in stories().items():
        for event in events:
            name, version, data = encode(event)
            record = {"story": story, "type": name, "type_version": version, "data": data.decode()}
            text += json.dumps(record, ensure_ascii=False) + "\n"
    return text.encode()


def folded(events: Sequence[Event | DaemonEvent]) -> dict[str, Any]:
    """The state of a story after its last event."""
    job, daemon = INITIAL, Daemon()
    for event in events:
        if isinstance(event, DaemonEvent):
            daemon = evolve_daemon(daemon, event, 0)
        else:
            job = evolve(job, event)
    return state_of_daemon(daemon) if daemon.version else state(job)


def state_of_daemon(daemon: Daemon) -> dict[str, Any]:
    """The same for the daemon's own stream."""
    return {
        "version": daemon.version,
        "paused": daemon.paused.reason if daemon.paused else None,
        "pid": daemon.started.pid if daemon.started else None,
        "stopped": daemon.stopped.reason if daemon.stopped else None,
        "policy": daemon.settings.policy_sha256 if daemon.settings else None,
        "rejected": {path: item.sha256 for path, item in sorted(daemon.rejected.items())},
    }


def state(job: Job) -> dict[str, Any]:
    """What must come out of a fold for ever, in plain words that no refactoring changes."""
    return {
        "status": job.status,
        "version": job.version,
        "source": job.source,
        "reference": job.reference,
        "final_sha256": job.final_sha256,
        "failure": job.failure.kind if job.failure else None,
        "posted": {platform: post.post_url for platform, post in sorted(job.posted.items())},
        "attempts": [
            {
                "id": attempt.id,
                "from_stage": attempt.from_stage,
                "parameters": msgspec.to_builtins(attempt.parameters),
                "stages": {
                    stage: [artifact.sha256 for artifact in done.artifacts]
                    for stage, done in attempt.stages.items()
                },
                "gates": {gate.stage: gate.passed for gate in attempt.gates},
                "decisions": [taken.decision.action for taken in attempt.decisions],
                "failure": attempt.failure.kind if attempt.failure else None,
                "pose": attempt.pose.ratio if attempt.pose else None,
                "prompts": [prompt.handle for prompt in attempt.prompts],
            }
            for attempt in job.attempts
        ],
    }


def golden_files() -> list[Path]:
    """Oldest first."""
    return sorted(FOLDER.glob("events-*.jsonl"))


def holds_todays_shapes(file: Path) -> bool:
    """True when every type is in it and would be written today just as it is there."""
    records = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return {record["type"] for record in records} == set(TYPES) and all(
        encode(decode(record["type"], record["type_version"], record["data"].encode()))
        == (record["type"], record["type_version"], record["data"].encode())
        for record in records
    )


def main() -> None:
    known = golden_files()
    if known and holds_todays_shapes(known[-1]):
        return
    held = {type(event) for events in stories().values() for event in events}
    assert held == set(TYPES.values()), "a golden log holds every event type"
    name = f"{len(known) + 1:04d}"
    (FOLDER / f"events-{name}.jsonl").write_bytes(lines())
    states = {}
    for story, events in stories().items():
        states[story] = folded(events)
    text = json.dumps(states, indent=1, sort_keys=True) + "\n"
    (FOLDER / f"state-{name}.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
