"""A workspace's folders: what a killed process left goes, what people have put there stays."""

from pathlib import Path

import pytest

from caf.errors import InputError
from caf.workspace import Workspace


def test_what_was_half_published_goes_and_hidden_things_of_people_stay(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    output = tmp_path / "sandbox" / "output" / "cat-dances-01"
    (output / ".rsync-partial").mkdir(parents=True)
    for name in (".final.mp4-x1", ".result.json-x2", ".my-notes", "final.mp4"):
        (output / name).touch()
    (workspace.own / "locks").mkdir(exist_ok=True)
    (workspace.own / "locks" / "cat-dances-01").touch()
    workspace.sweep()
    assert sorted(path.name for path in output.iterdir()) == [".my-notes", ".rsync-partial", "final.mp4"]


@pytest.mark.parametrize("job_id", ["../../../diary", "..", ".", "", "a/b", "a\0b"])
def test_a_job_whose_id_leads_out_of_the_workspace_is_not_worked_on(tmp_path: Path, job_id: str) -> None:
    diary = tmp_path / "diary"
    diary.write_text("today", "utf-8")
    workspace = Workspace(tmp_path / "workspace")
    workspace.prepare()
    with pytest.raises(InputError, match="is no job's id"), workspace.working_on(job_id):
        pass
    assert diary.read_text("utf-8") == "today"
    assert not (workspace.own / "locks").exists()


def test_what_a_file_manager_puts_beside_the_scratch_is_passed_over(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    (workspace.own / "tmp").mkdir()
    (workspace.own / "tmp" / ".hidden.store").touch()
    workspace.sweep()
    assert (workspace.own / "tmp" / ".hidden.store").exists()
