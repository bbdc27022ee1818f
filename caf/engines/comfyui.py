"""The engine `comfyui`: one stage of a workflow's job on a ComfyUI server, the others on this machine.

A clip is taken apart and put together in a child process; nothing here touches a pixel. The server is asked for
exactly the graph that the job was submitted with, with the stage's parameters in it. It is never asked again because
a result was bad, and no parameter is ever lowered: what failed is told, and the Supervisor decides.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
import msgspec
from msgspec.structs import replace

from caf.comfy.binding import OWN, bound, models_of, prompt_of
from caf.comfy.graph import (
    ANCHOR,
    CLIP,
    FRAME,
    POSE,
    POSES,
    SEED,
    Mode,
    mode_of,
    outputs_of,
    takes_poses,
    workflow_digest,
)
from caf.comfy.model import Done, Limits, Owner, Preview, Prompt, PromptProgress, QueuePolicy
from caf.contracts import ComfyUIWorkflow
from caf.engines.embedded import Caller, EmbeddedEngine
from caf.engines.parameters import ENGINE_VERSION
from caf.engines.rendering import facts_of
from caf.errors import CafError, InputError, TryAgainError
from caf.ports import (
    Assembled,
    AssembleRequest,
    Called,
    Clock,
    Exploded,
    ExplodeRequest,
    OpenPoseRequest,
    Outside,
    OutsideWork,
    Parameter,
    Produced,
    Progress,
    StageRequest,
    StageResult,
)

if TYPE_CHECKING:
    from caf.comfy.kept import Left
    from caf.comfy.servers import Servers

__all__ = ["ComfyEngine"]

COMFY_VERSION: Final = "2"
"""Raised when the same workflow, inputs and parameters would be asked for or put together in another way."""
AWAY: Final = frozenset({"comfy_unreachable", "comfy_damaged_answer"})
"""Failures that say nothing of the job: it is taken up again when the server is back, with what it has by then."""
PATIENCE_S: Final = 5.0
"""So long a server that drops a question is asked again before anything is rendered."""
_SUBJECT: Final = {"frame": "source", "motion": "frames"}
"""The clip that a stage works on."""
ROLES: Final = {"frame": "frames", "motion": "motion"}


class ComfyEngine:
    """Runs a workflow's stage on one of the servers; every other stage as the local engine does."""

    id = "comfyui"
    version = f"{COMFY_VERSION}+{ENGINE_VERSION}"

    def __init__(
        self,
        local: EmbeddedEngine,
        worker: Caller,
        *,
        urls: Sequence[str],
        clock: Clock,
        limits: Limits,
        warn: Callable[[str, str], None] = lambda job_id, told: None,
    ) -> None:
        """`urls`: the servers for jobs that name none. `warn` is told what people should know that no error tells."""
        self.local = local
        self.worker = worker
        self.urls = tuple(urls)
        self.clock = clock
        self.limits = limits
        self.warn = warn

    @cached_property
    def servers(self) -> "Servers":
        """Made at the first need: it loads the HTTP client."""
        from caf.comfy.servers import Servers

        away_s = self.limits.unreachable_s
        return Servers(self.urls, patience_s=min(PATIENCE_S, away_s), away_s=away_s)

    async def run(self, request: StageRequest, progress: Progress, outside: Outside) -> StageResult:
        """Raises `CafError`; `TryAgainError` when no server is there now."""
        from caf.comfy.kept import left

        work = request.outside
        if work is None:
            return await self.local.run(request, progress, outside)
        workflow = msgspec.convert(work.workflow, ComfyUIWorkflow)
        mode = mode_of(workflow)
        own, nodes = _split(request.parameters)
        graph = bound(workflow, nodes)
        folder = Path(request.kept_dir or request.out_dir) / "got"
        folder.mkdir(exist_ok=True)
        before = await anyio.to_thread.run_sync(left, folder, await outside.known())
        if before.whole is None:
            await self.servers.preflight(graph, outputs=outputs_of(workflow), urls=work.urls)
        exploded = await self._taken_apart(request, workflow, mode, progress)
        if before.whole is not None:
            done, facts = before.whole
        else:
            posed = await self._posed(request, workflow, mode, progress)
            prompts = _prompts(workflow, graph, mode, exploded, posed, request, outside)
            try:
                done, facts = await self._rendered(request, work, prompts, nodes, before, progress, outside)
            except CafError as fault:
                if fault.kind in AWAY:
                    raise TryAgainError(
                        fault.message, remedy=fault.remedy, kind=fault.kind, transient=True
                    ) from fault
                raise
        facts |= {"workflow_sha256": workflow_digest(work.workflow), "models": ", ".join(models_of(graph))}
        clip, assembled = await self._put_together(request, mode, exploded, done, progress)
        facts |= {"frames": assembled.frames, "duration_s": assembled.duration_s}
        return await self._finished(request, own, mode, clip, facts, progress, outside)

    async def _taken_apart(
        self, request: StageRequest, workflow: ComfyUIWorkflow, mode: Mode, progress: Progress
    ) -> Exploded:
        video = request.inputs.get(_SUBJECT[mode.stage])
        if video is None:
            raise InputError(
                f"The {request.stage} stage has no clip to work on.",
                remedy="Run the stage before it again.",
                kind="missing_input",
            )
        folder = Path(request.out_dir) / "given"
        folder.mkdir()
        task = ExplodeRequest(video=video, out_dir=str(folder), frames_each=_frames_each(workflow, mode))
        exploded: Exploded = (await self._call("explode", task, request, progress)).result
        return exploded

    async def _posed(
        self, request: StageRequest, workflow: ComfyUIWorkflow, mode: Mode, progress: Progress
    ) -> Exploded | None:
        """The poses as the workflow takes them; None where it takes none, or the job has none to give.

        A pose video that the job names stands above the poses that were found in its clip.
        """
        if not takes_poses(workflow) or not request.inputs.keys() & {"pose", "pose_video"}:
            return None
        folder, each = Path(request.out_dir) / "posed", _frames_each(workflow, mode)
        folder.mkdir()
        subject = request.inputs[_SUBJECT[mode.stage]]
        name: str
        task: msgspec.Struct
        if given := request.inputs.get("pose_video"):
            name = "explode"
            task = ExplodeRequest(video=given, like=subject, out_dir=str(folder), frames_each=each)
        else:
            name, found = "openpose", request.inputs["pose"]
            task = OpenPoseRequest(video=subject, landmarks=found, out_dir=str(folder), frames_each=each)
        posed: Exploded = (await self._call(name, task, request, progress)).result
        return posed

    async def _rendered(
        self,
        request: StageRequest,
        work: OutsideWork,
        prompts: Sequence[Prompt],
        nodes: Mapping[str, Parameter],
        before: "Left",
        progress: Progress,
        outside: Outside,
    ) -> tuple[list[Done], dict[str, Parameter]]:
        """What the server gave for each prompt, in their order, and what it was measured to take."""
        from caf.comfy.kept import note_all
        from caf.comfy.model_files import model_files
        from caf.comfy.queueing import manage_queue
        from caf.comfy.run import run_prompts
        from caf.engines.rendering import watched

        folder, placed, here, _ = before
        there = Counter(address for key, (address, _) in placed.items() if key not in here)
        prefer = max(there, key=there.__getitem__, default="")
        async with self.servers.turn(
            prompts[0].graph,
            outputs=prompts[0].outputs,
            urls=work.urls,
            prefer=prefer,
        ) as server:
            comfy, address = server.comfy, server.address
            known = {key: prompt_id for key, (at, prompt_id) in placed.items() if at == address}
            await manage_queue(comfy, _policy(nodes), lambda extra: _is_stale(extra, outside))
            watch = _Watch(request.stage, len(prompts), here, progress, outside)
            started = self.clock.monotonic_ms()
            limits = replace(self.limits, stall_s=work.patience_s or self.limits.stall_s)

            async def record(key: str, prompt_id: str) -> None:
                await outside.submitted(key, f"{address}#{prompt_id}")

            async with watched(comfy, server.facts) as memory:
                done = await run_prompts(
                    comfy,
                    prompts,
                    owner=Owner(
                        job_id=outside.job_id,
                        attempt_id=outside.attempt_id,
                        stage=request.stage,
                        workspace_id=outside.workspace_id,
                    ),
                    known=known,
                    kept=here,
                    record=record,
                    out_dir=folder,
                    progress=watch.progress,
                    preview=watch.preview,
                    warn=lambda told: self.warn(outside.job_id, told),
                    limits=limits,
                )
            wall_ms = self.clock.monotonic_ms() - started
            files = await model_files(comfy, models_of(prompts[0].graph))
        facts = facts_of(prompts, done, wall_ms=wall_ms, server=address, before=server.facts, memory=memory)
        facts |= {f"model.{name}": str(file) for name, file in files.items()}
        await anyio.to_thread.run_sync(note_all, done, facts, folder)
        return done, facts

    async def _put_together(
        self, request: StageRequest, mode: Mode, exploded: Exploded, done: Sequence[Done], progress: Progress
    ) -> tuple[str, Assembled]:
        """The rendered frames as one lossless clip; for an image the picture itself as a clip of one frame."""
        single = mode.unit in ("frame", "image")
        for one in done:
            if not one.files or (single and len(one.files) != 1):
                raise CafError(
                    f"{one.key} gave {len(one.files)} files where {'one' if single else 'some'} is meant.",
                    remedy="Declare the node that gives it in caf_outputs, or choose another caf_mode.",
                    kind="comfy_output_count",
                )
        parts = tuple(path for one in done for path in one.files)
        clip = str(Path(request.out_dir) / f"rendered-{request.stage}.mp4")
        task = AssembleRequest(
            parts=parts,
            pictures=single,  # what a file holds is seen in it; a WebP may be a clip, whatever node saved it
            out=clip,
            times_s=exploded.times_s,
            end_s=exploded.duration_s,
            fps=exploded.fps if exploded.fps > 0 else request.target.fps,
            variable_fps=exploded.variable_fps,
        )
        assembled: Assembled = (await self._call("assemble", task, request, progress)).result
        return (parts[0] if mode.unit == "image" else clip), assembled

    async def _finished(
        self,
        request: StageRequest,
        own: dict[str, Parameter],
        mode: Mode,
        clip: str,
        facts: dict[str, Parameter],
        progress: Progress,
        outside: Outside,
    ) -> StageResult:
        """The rendered clip as the stage's result; where the stage has parameters of its own, after those."""
        role = ROLES[request.stage]
        if not own and mode.unit != "image":
            return StageResult(outputs=(Produced(role=role, path=clip),), facts=facts)
        given = {"source": clip} if request.stage == "frame" else {"frames": clip}
        # Poses are those of the source's frames; a picture of its own has others.
        names = ("reference",) if mode.unit == "image" else ("pose", "reference")
        kept = {name: path for name, path in request.inputs.items() if name in names}
        folder = Path(request.out_dir) / "finished"
        folder.mkdir()
        again = replace(request, inputs={**kept, **given}, parameters=own, out_dir=str(folder), outside=None)
        local = await self.local.run(again, progress, outside)
        return replace(local, facts={**facts, **local.facts})

    async def _call(
        self, task: str, request: msgspec.Struct, stage: StageRequest, progress: Progress
    ) -> Called:
        return await self.worker.measured(
            task,
            request,
            progress=progress,
            stall_s=self.local.stall_s,
            deadline_s=self.local.deadline_s,
            log=Path(stage.log) if stage.log else None,
        )


class _Watch:
    """Tells people how far a render is: prompts as the stage's progress, and what the running node does."""

    def __init__(
        self, stage: str, prompts: int, kept: Iterable[str], progress: Progress, outside: Outside
    ) -> None:
        self._stage = stage
        self._prompts = prompts
        self._progress = progress
        self._outside = outside
        self._begun = set(kept)

    def progress(self, tick: PromptProgress) -> None:
        if tick.key not in self._begun:
            self._begun.add(tick.key)
            self._progress(self._before, self._prompts)
        if tick.max > 1:
            node = f"{tick.node_class or 'node'} {tick.node_id}"
            doing = f"{self._stage} · {tick.key}: {node} {tick.value:g}/{tick.max:g}"
            self._outside.doing(doing, self._before, self._prompts)

    @property
    def _before(self) -> int:
        """Prompts that were begun before the one that runs."""
        return max(0, len(self._begun) - 1)

    def preview(self, preview: Preview) -> None:
        self._outside.preview(preview.mime, preview.data)


def _split(parameters: Mapping[str, Parameter]) -> tuple[dict[str, Parameter], dict[str, Parameter]]:
    """The stage's own parameters, as the local engine knows them, and those of the workflow's nodes."""
    nodes = {name: value for name, value in parameters.items() if "." in name}
    return {name: value for name, value in parameters.items() if name not in nodes}, nodes


def _frames_each(workflow: ComfyUIWorkflow, mode: Mode) -> int:
    """How many frames a prompt has; 0: all."""
    return {"frame": 1, "chunk": workflow.caf_chunk_frames or 1}.get(mode.unit, 0)


def _prompts(
    workflow: ComfyUIWorkflow,
    graph: Mapping[str, Any],
    mode: Mode,
    exploded: Exploded,
    posed: Exploded | None,
    request: StageRequest,
    outside: Outside,
) -> list[Prompt]:
    """One a frame, one a chunk, or one in all, each with the files that it reads."""
    frames = len(exploded.times_s)
    each = {"frame": 1, "chunk": workflow.caf_chunk_frames or 1}.get(mode.unit, frames)
    anchor = {ANCHOR: request.inputs["reference"]} if "reference" in request.inputs else {}
    prompts = []
    for index, first in enumerate(range(0, frames, each)):
        files = {**anchor, SEED: exploded.pictures[0 if mode.unit == "frame" else index]}
        files |= {FRAME: exploded.pictures[index]} if mode.unit == "frame" else {CLIP: exploded.clips[index]}
        if posed is not None:
            files[POSE] = posed.pictures[index]
            if mode.unit != "frame":
                files[POSES] = posed.clips[index]
        prompts.append(
            prompt_of(
                workflow,
                graph,
                key=f"{mode.unit}-{index:06d}",
                files=files,
                folder=f"caf/{outside.job_id}/{outside.attempt_id}/{request.stage}",
                weight=min(each, frames - first),
            )
        )
    return prompts


def _policy(nodes: Mapping[str, Parameter]) -> QueuePolicy:
    policy: QueuePolicy = msgspec.convert(nodes.get(f"{OWN}.queue_management", "NORMAL"), QueuePolicy)
    return policy


def _is_stale(extra: Mapping[str, Any], outside: Outside) -> bool:
    """Whether a prompt was left behind by an earlier attempt of this very job."""
    mark = extra.get("caf")
    if not isinstance(mark, dict):
        return False
    ours = (mark.get("workspace_id"), mark.get("job_id")) == (outside.workspace_id, outside.job_id)
    return ours and mark.get("attempt_id") != outside.attempt_id
