"""From what a person gives to the event that a job is judged by: defaults, precedence, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from caf.config import Config
from caf.errors import CafError, DocumentError, InputError, MediaError
from caf.events.codec import decode, encode
from caf.policies import DEFAULT_POLICY, LOCAL_WORKFLOW
from caf.submission import Wish, draft, job_id_for, load_defaults, submission
from tests.support.jobs import MEDIA

FRESH = "0b8f8b0e-8b1d-4c57-9d39-0123456789ab"


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), "utf-8")
    return path


def job_file(root: Path, **changes: Any) -> Path:
    document = {
        "job_id": "cat-dances-01",
        "video": {},
        "render": {"background_asset": "assets/dance.mp4"},
        **changes,
    }
    return write(root / "sandbox" / "jobs" / "cat-dances-01.job.json", document)


def submitted(root: Path, **wish: Any) -> Any:
    return submission(draft(Wish(**wish), root, FRESH, load_defaults(root, Config())), MEDIA, by="ada")


def test_a_clip_alone_becomes_a_job_with_a_readable_id_and_the_defaults(tmp_path: Path) -> None:
    event = submitted(tmp_path, clip=tmp_path / "My Cat, dancing!.MP4")
    assert event.job_id == "my-cat-dancing-0b8f8b0e"
    assert event.source == str(tmp_path / "My Cat, dancing!.MP4")
    assert (event.policy, event.workflow_id, event.target) == (DEFAULT_POLICY, LOCAL_WORKFLOW, None)
    assert decode(*encode(event)) == event


def test_a_job_s_asset_lies_below_the_sandbox(tmp_path: Path) -> None:
    event = submitted(tmp_path, job_file=job_file(tmp_path))
    assert (event.job_id, event.source) == ("cat-dances-01", "sandbox/assets/dance.mp4")


def test_the_file_s_name_is_the_job_s_id_and_another_one_inside_is_warned_about(tmp_path: Path) -> None:
    found = draft(
        Wish(job_file=job_file(tmp_path, job_id="another-cat")),
        tmp_path,
        FRESH,
        load_defaults(tmp_path, Config()),
    )
    assert found.job.job_id == "cat-dances-01"
    assert len(found.warnings) == 1
    assert "another-cat" in found.warnings[0]


def test_what_a_job_leaves_open_about_the_clip_stays_as_in_the_source(tmp_path: Path) -> None:
    event = submitted(tmp_path, job_file=job_file(tmp_path, video={"aspect_ratio": "9:16"}))
    assert (event.target.width, event.target.height, event.target.fps) == (1080, 1920, MEDIA.fps)
    event = submitted(tmp_path, job_file=job_file(tmp_path, video={"fps": 24}))
    assert (event.target.width, event.target.height, event.target.fps) == (MEDIA.width, MEDIA.height, 24)


def test_the_command_line_stands_above_the_job_s_own_parameters(tmp_path: Path) -> None:
    bindings = {"parameters": {"motion": {"temporal_smoothing": 0.2, "pose_weight": 0.1}}}
    event = submitted(
        tmp_path,
        job_file=job_file(tmp_path, comfyui={"bindings": bindings}),
        parameters={"motion": {"pose_weight": 0.7}},
    )
    assert event.parameters == {"motion": {"temporal_smoothing": 0.2, "pose_weight": 0.7}}


def test_a_continuity_pack_may_require_the_costume(tmp_path: Path) -> None:
    pack = {
        "version": "episode_continuity_pack.v1",
        "hero": {"hero_id": "mochi"},
        "style": {},
        "rules": {"require_costume_fidelity": True},
    }
    write(tmp_path / "canon" / "pack.json", pack)
    event = submitted(tmp_path, job_file=job_file(tmp_path, continuity_pack={"relpath": "canon/pack.json"}))
    assert event.costume_required
    assert not submitted(tmp_path, job_file=job_file(tmp_path)).costume_required


def test_platforms_are_those_of_the_job_and_the_command_line_each_once(tmp_path: Path) -> None:
    event = submitted(tmp_path, job_file=job_file(tmp_path, platforms=["x"]), platforms=("youtube", "x"))
    assert event.platforms == ("x", "youtube")


@pytest.mark.parametrize("platform", ["../outside", "You Tube", "", "a/b"])
@pytest.mark.parametrize("with_job", [True, False])
def test_a_platform_that_could_not_be_a_file_name_is_refused(
    tmp_path: Path, platform: str, with_job: bool
) -> None:
    given = {"job_file": job_file(tmp_path)} if with_job else {"clip": tmp_path / "a.mp4"}
    with pytest.raises(DocumentError, match="platforms"):
        submitted(tmp_path, platforms=(platform,), **given)


@pytest.mark.parametrize(
    ("wish", "kind", "error"),
    [
        ({}, "bad_input", InputError),
        ({"job_file": "nowhere.job.json"}, "document_missing", DocumentError),
        ({"clip": "a.mp4", "policy": "nowhere.json"}, "document_missing", DocumentError),
        ({"clip": "a.mp4", "workflow": "no_such_v1"}, "unknown_workflow", InputError),
        ({"clip": "a.mp4", "reference": "nowhere.png"}, "media_missing", MediaError),
        ({"clip": "\udcff.mp4"}, "not_unicode", InputError),
        ({"clip": "a.mp4", "reference": "\udcff.png"}, "not_unicode", InputError),
    ],
)
def test_what_cannot_be_a_job_is_refused_with_its_kind(
    tmp_path: Path, wish: dict[str, str], kind: str, error: type[CafError]
) -> None:
    paths = {name: tmp_path / value if name != "workflow" else value for name, value in wish.items()}
    with pytest.raises(error) as refusal:
        submitted(tmp_path, **paths)
    assert refusal.value.kind == kind
    assert refusal.value.exit_code == 65
    assert refusal.value.remedy
    str(refusal.value).encode()


def test_a_document_that_takes_long_to_read_each_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="more than 20000 values"):
        submitted(tmp_path, job_file=job_file(tmp_path, extra=[[]] * 20_000))


@pytest.mark.parametrize("levels", [64, 300, 900])
def test_a_document_that_could_not_be_read_again_everywhere_is_refused(tmp_path: Path, levels: int) -> None:
    nested: Any = 1
    for _ in range(levels):
        nested = [nested]
    with pytest.raises(DocumentError, match="nested more than 64 levels"):
        submitted(tmp_path, job_file=job_file(tmp_path, extra=nested))


@pytest.mark.parametrize(
    ("name", "job_id"),
    [
        ("Été à la plage.mp4", "ete-a-la-plage-01234567"),
        ("cat猫dog.mp4", "cat-dog-01234567"),
        ("猫.mp4", "clip-01234567"),
        ("FIANCÉE_2.mov", "fiancee-2-01234567"),
    ],
)
def test_an_id_is_made_of_the_letters_of_the_clip_s_name_without_their_accents(
    name: str, job_id: str
) -> None:
    assert job_id_for(Path(name), "0123-4567-89ab") == job_id
