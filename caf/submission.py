"""From what a person gives (a clip, an image, a job file, flags) to a JobSubmitted that can be judged."""

import errno
import os
import re
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from caf.config import Config
from caf.contracts import (
    ContinuityPack,
    IdentityPack,
    JobDocument,
    QCPolicy,
    QualityTarget,
    VideoSpec,
    WorkflowRegistry,
)
from caf.contracts.canonical import canonical_job
from caf.contracts.depth import MOST_DEPTH, MOST_VALUES, has_too_many, is_too_deep
from caf.contracts.paths import asset_path, workspace_path
from caf.contracts.read import MAX_BYTES, read_document, read_object, write_document
from caf.errors import DocumentError, InputError, MediaError
from caf.events import JobId, JobSubmitted, Parameters
from caf.events.codec import digest
from caf.outside import pose_video
from caf.policies import BUILT_IN_POLICIES, DEFAULT_POLICY, DEFAULT_REGISTRY
from caf.ports import MediaInfo, VideoTarget
from caf.repairs import merge
from caf.workflows import Chosen, choose

__all__ = [
    "Defaults",
    "Draft",
    "Wish",
    "document_bytes",
    "document_sha256",
    "draft",
    "file_bytes",
    "job_id_for",
    "load_defaults",
    "named_policy",
    "submission",
]

SIZES = {"1080x1920": (1080, 1920), "1080x1080": (1080, 1080), "9:16": (1080, 1920), "1:1": (1080, 1080)}


class Wish(Struct, frozen=True, kw_only=True):
    """What was asked on the command line; None means: not said."""

    document: dict[str, Any] | None = None
    """A job document that comes in no file."""
    clip: Path | None = None
    job_file: Path | None = None
    job_id: str | None = None
    workflow: str | None = None
    policy: Path | None = None
    registry: Path | None = None
    targets: Path | None = None
    reference: Path | None = None
    require_costume: bool = False
    require_audio: bool = False
    parameters: Parameters = {}
    pose_coverage_threshold: float = 0.3
    platforms: tuple[str, ...] = ()
    priority: int = 0


class Draft(Struct, frozen=True, kw_only=True):
    """A wish with all its documents read and checked; only the probe of the media is missing."""

    job: JobDocument
    document: dict[str, Any]
    source: Path
    recorded_source: str
    reference: Path | None
    recorded_reference: str | None
    pose_video: Path | None
    policy: QCPolicy
    chosen: Chosen
    targets: dict[str, float]
    wish: Wish
    costume_required: bool
    warnings: tuple[str, ...]


class Defaults(Struct, frozen=True, kw_only=True):
    """What jobs are judged by that name nothing else."""

    policy: QCPolicy
    registry: WorkflowRegistry


def load_defaults(root: Path, config: Config) -> Defaults:
    """The configured policy and registry, or the built-in ones. Raises `DocumentError` for a broken file."""
    return Defaults(
        policy=BUILT_IN_POLICIES.get("default" if config.policy is None else config.policy)
        or _read(_configured(config.policy, root), QCPolicy, DEFAULT_POLICY),
        registry=_read(_configured(config.registry, root), WorkflowRegistry, DEFAULT_REGISTRY),
    )


def named_policy(name: Path) -> QCPolicy:
    """The built-in policy of that name, else the one in the file. Raises `DocumentError`."""
    return BUILT_IN_POLICIES.get(str(name)) or read_document(document_bytes(name), QCPolicy, where=str(name))


def draft(wish: Wish, root: Path, fresh: str, defaults: Defaults) -> Draft:
    """Read every document that the wish names. Raises `InputError`s with the file and what to do.

    `fresh` is a new UUID, for the id of a job that has none.
    """
    for path in (wish.clip, wish.reference):
        _check_name(path)
    job, document, warnings = _job(wish, root, fresh)
    if is_too_deep(document):
        raise DocumentError(
            f"The job document of {job.job_id} is nested more than {MOST_DEPTH} levels deep.",
            remedy="Leave out what caf does not read, or keep it in a file of its own.",
        )
    policy = (
        _read(_ref(job, "quality_policy", root), QCPolicy, defaults.policy)
        if wish.policy is None
        else named_policy(wish.policy)
    )
    registry = _given(wish.registry, None, WorkflowRegistry, defaults.registry)
    target = _given(wish.targets, _ref(job, "quality_target", root), QualityTarget, None)
    pack = _read(_ref(job, "continuity_pack", root), ContinuityPack, None)
    reference, recorded_reference = _reference(wish, job, root)
    chosen = choose(
        job,
        registry,
        root,
        file_bytes,
        wanted=wish.workflow,
        parameters=_bindings(job, wish),
        has_reference=reference is not None,
    )
    inside = wish.clip is None
    source = root / asset_path(job) if inside else (wish.clip or Path()).absolute()
    return Draft(
        job=job,
        document=document,
        source=source,
        recorded_source=asset_path(job) if inside else str(source),
        reference=reference,
        recorded_reference=recorded_reference,
        pose_video=_pose_video(document, chosen, root),
        policy=policy,
        chosen=chosen,
        targets=dict(target.thresholds) if target else {},
        wish=wish,
        costume_required=wish.require_costume or bool(pack and pack.rules.require_costume_fidelity),
        warnings=(*warnings, *chosen.warnings),
    )


def submission(found: Draft, media: MediaInfo, *, by: str) -> JobSubmitted:
    """The event, once the source was probed; `by`: who or what submitted it."""
    return JobSubmitted(
        job_id=JobId(found.job.job_id),
        document=found.document,
        document_sha256=document_sha256(found.document),
        source=found.recorded_source,
        reference=found.recorded_reference,
        costume_required=found.costume_required,
        audio_required=found.wish.require_audio,
        target=_target(found.job.video, media),
        workflow_id=found.chosen.workflow_id,
        parameters=found.chosen.parameters,
        pose_coverage_threshold=found.wish.pose_coverage_threshold,
        platforms=tuple(dict.fromkeys((*found.job.platforms, *found.wish.platforms))),
        policy=found.policy,
        policy_sha256=digest(write_document(found.policy)),
        registry=found.chosen.registry,
        registry_sha256=digest(write_document(found.chosen.registry)),
        targets=found.targets,
        priority=found.wish.priority,
        submitted_by=by,
        workflows=found.chosen.workflows,
    )


def document_sha256(document: dict[str, Any]) -> str:
    """Of the content, whatever the order of its fields and the space between them."""
    return digest(msgspec.json.encode(document, order="deterministic"))


def _job(wish: Wish, root: Path, fresh: str) -> tuple[JobDocument, dict[str, Any], tuple[str, ...]]:
    if wish.document is not None:
        return _job_of_document(wish, wish.document)
    if wish.job_file is None:
        if wish.clip is None:
            raise InputError(
                "There is no clip and no job file.", remedy="Give one: caf run CLIP, or caf run --job FILE."
            )
        job_id = wish.job_id or job_id_for(wish.clip, fresh)
        document = {
            "job_id": job_id,
            "video": {},
            "render": {"background_asset": wish.clip.name},
            "platforms": list(wish.platforms),
        }
        job = read_document(msgspec.json.encode(document), JobDocument, where="the command line")
        return job, document, ()
    data = document_bytes(wish.job_file)
    if has_too_many(data):
        raise DocumentError(
            f"{wish.job_file}: it has more than {MOST_VALUES} values.",
            remedy="Leave out what caf does not read, or keep it in a file of its own.",
        )
    document = read_object(data, where=str(wish.job_file))
    job = read_document(data, JobDocument, where=str(wish.job_file))
    stem = wish.job_id or wish.job_file.name.removesuffix(".json").removesuffix(".job")
    job, warning = canonical_job(job, stem)
    if wish.clip is None:
        asset_path(job)
    if wish.platforms:  # held to the same words as the document's own
        platforms = msgspec.json.encode({**document, "platforms": wish.platforms})
        read_document(platforms, JobDocument, where="--platform")
    return job, document, (warning,) if warning else ()


def _job_of_document(
    wish: Wish, given: dict[str, Any]
) -> tuple[JobDocument, dict[str, Any], tuple[str, ...]]:
    document = {**given, "job_id": wish.job_id} if wish.job_id else given
    platforms = {"platforms": wish.platforms} if wish.platforms else {}
    read_document(msgspec.json.encode({**document, **platforms}), JobDocument, where="the document")
    job = read_document(msgspec.json.encode(document), JobDocument, where="the document")
    if wish.clip is None:
        asset_path(job)
    return job, document, ()


def _bindings(job: JobDocument, wish: Wish) -> Parameters:
    """The job's own parameters, and above them those of the command line."""
    return merge(job.comfyui.bindings.parameters if job.comfyui else {}, wish.parameters)


def _check_name(path: Path | None) -> None:
    """Raises `InputError` for a name in an old encoding: the log is JSON, and JSON is Unicode."""
    try:
        str((path or Path()).absolute()).encode()
    except UnicodeEncodeError as fault:
        shown = str(path).encode("utf-8", "backslashreplace").decode()
        raise InputError(
            f"The name of {shown} is not Unicode and cannot be recorded.",
            remedy="Rename the file or its folder.",
            kind="not_unicode",
        ) from fault


def job_id_for(clip: Path, fresh: str) -> str:
    """A readable id for a clip that came without a job: its name and a few fresh characters."""
    # An é is an e and an accent here, and the accent is left out.
    letters = unicodedata.normalize("NFKD", clip.stem.lower())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-")
    return f"{slug or 'clip'}-{fresh.replace('-', '')[:8]}"


def _reference(wish: Wish, job: JobDocument, root: Path) -> tuple[Path | None, str | None]:
    """The identity reference: the flag's, else the hero's identity pack's, else the bindings'."""
    if wish.reference is not None:
        path = wish.reference.absolute()
        recorded = str(path)
    else:
        named = None
        if job.hero and job.hero.identity_pack_ref:
            where = workspace_path(job.hero.identity_pack_ref, where="hero.identity_pack_ref")
            pack = _read(root / where, IdentityPack, None)
            named = pack.references.front if pack else None
        if named is None and job.comfyui:
            named = job.comfyui.bindings.identity_image_path
        if named is None:
            return None, None
        recorded = workspace_path(named, where="the identity reference")
        path = root / recorded
    if not path.is_file():
        raise MediaError(
            f"The reference picture {path} is not there.",
            remedy="Give the path of an image with --reference.",
            kind="media_missing",
        )
    return path, recorded


def _pose_video(document: dict[str, Any], chosen: Chosen, root: Path) -> Path | None:
    """The clip that steers the job's workflows, where it names one and one of them takes it."""
    named = pose_video(document, chosen.workflows)
    if named is None:
        return None
    if not (root / named).is_file():
        raise MediaError(
            f"The pose video {root / named} is not there.",
            remedy="Correct comfyui.bindings.pose_video_path; without it the poses of the clip itself are drawn.",
            kind="media_missing",
        )
    return root / named


def _ref(job: JobDocument, field: str, root: Path) -> Path | None:
    """Where the document is that a field of the job refers to."""
    reference = getattr(job, field)
    return None if reference is None else root / workspace_path(reference.relpath, where=f"{field}.relpath")


def _configured(path: str | None, root: Path) -> Path | None:
    return None if path is None else root / path


def _target(video: VideoSpec, media: MediaInfo) -> VideoTarget | None:
    """What the job wants; what it leaves open stays as in the source."""
    size = SIZES.get(video.resolution or video.aspect_ratio or "")
    if size is None and video.fps is None and video.length_seconds is None:
        return None
    width, height = size or (media.width, media.height)
    return VideoTarget(
        width=width,
        height=height,
        fps=video.fps or media.fps or 30.0,
        length_seconds=video.length_seconds,
    )


def _given(by_person: Path | None, referred: Path | None, kind: type[Any], default: Any) -> Any:
    """The document that a person named, which may be a pipe; else the one that a document refers to."""
    if by_person is not None:
        return read_document(document_bytes(by_person), kind, where=str(by_person))
    return _read(referred, kind, default)


def _read(path: Path | None, kind: type[Any], default: Any) -> Any:
    return default if path is None else read_document(file_bytes(path), kind, where=str(path))


def document_bytes(path: Path) -> bytes:
    """A document, but never more than is needed to see that it is too large. Raises `DocumentError`."""
    return _bytes(path, os.open)


def file_bytes(path: Path) -> bytes:
    """The same of a file, without ever waiting for it: what is no file, a pipe say, is refused."""
    return _bytes(path, _open_file)


def _open_file(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "It is no file")
    return descriptor


def _bytes(path: Path, opener: Callable[[str, int], int]) -> bytes:
    try:
        with open(path, "rb", opener=opener) as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as fault:
        raise DocumentError(
            f"{path} is not there.", remedy="Check the path.", kind="document_missing"
        ) from fault
    except OSError as fault:
        raise DocumentError(
            f"{path} cannot be read: {fault.strerror}.", remedy="Check the path and its permissions."
        ) from fault
