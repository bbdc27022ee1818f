"""A workspace's folders: what a killed process left goes, what people have put there stays."""

from pathlib import Path

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
