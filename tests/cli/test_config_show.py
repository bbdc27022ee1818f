"""`caf config show`: every setting with its value and where it comes from; a token is never shown."""

from pathlib import Path

import msgspec
import pytest

from caf.config import Config
from tests.cli.conftest import Caf

SECRET = "a-secret-of-some-length"


def test_every_setting_is_shown_with_where_it_comes_from(caf: Caf, workspace: Path) -> None:
    workspace.mkdir()
    (workspace / "caf.toml").write_text("workers = 3\nstall_s = 20.0\n", "utf-8")
    shown = caf("config", "show", "--origin", "--json", CAF_STALL_S="30", CAF_GRACE_S="5")
    assert shown.code == 0, shown
    settings = shown.json()["settings"]
    assert list(settings) == list(Config.__struct_fields__)
    assert settings["workers"] == {"value": 3, "origin": str(workspace / "caf.toml")}
    assert settings["stall_s"] == {"value": 30.0, "origin": "CAF_STALL_S"}
    assert settings["grace_s"] == {"value": 5.0, "origin": "CAF_GRACE_S"}
    assert settings["render_lanes"] == {"value": 1, "origin": "default"}
    rest = {name for name, one in settings.items() if one["origin"] == "default"}
    defaults = {field.name: field.default for field in msgspec.structs.fields(Config)}
    assert {name: settings[name]["value"] for name in rest} == {name: defaults[name] for name in rest}


def test_the_origin_is_a_column_of_its_own_when_it_is_asked_for(caf: Caf) -> None:
    plain = caf("config", "show", CAF_STALL_S="30").out.splitlines()
    whence = caf("config", "show", "--origin", CAF_STALL_S="30").out.splitlines()
    assert "stall_s\t30.0" in plain
    assert "stall_s\t30.0\tCAF_STALL_S" in whence


@pytest.mark.parametrize("by_file", [False, True])
def test_a_token_is_told_and_never_shown(caf: Caf, workspace: Path, by_file: bool) -> None:
    workspace.mkdir()
    (workspace / "token").write_text(SECRET, "ascii")
    given = {"CAF_TOKEN_FILE": str(workspace / "token")} if by_file else {"CAF_TOKEN": SECRET}
    for more in ([], ["--json"], ["--origin"]):
        shown = caf("config", "show", *more, **given)
        assert shown.code == 0
        assert SECRET not in shown.out + shown.err
    assert caf("config", "show", "--json", **given).json()["token"] == {
        "set": True,
        "origin": "token_file" if by_file else "CAF_TOKEN",
    }


def test_a_variable_that_looks_like_a_setting_and_is_none_is_named(caf: Caf) -> None:
    shown = caf("config", "show", CAF_RENDER_LANE="2")
    assert shown.code == 0
    assert "CAF_RENDER_LANE" in shown.err


def test_a_broken_file_is_told_in_a_sentence(caf: Caf, workspace: Path) -> None:
    workspace.mkdir()
    (workspace / "caf.toml").write_text("workers = ", "utf-8")
    shown = caf("config", "show")
    assert (shown.code, "caf.toml" in shown.err, "Traceback" in shown.err) == (65, True, False)


def test_a_comfyui_server_is_shown_without_its_password(caf: Caf) -> None:
    given = {"CAF_COMFY_URLS": f"http://me:{SECRET}@127.0.0.1:8188 https://studio.test"}
    for more in ([], ["--json"], ["--origin"]):
        shown = caf("config", "show", *more, **given)
        assert SECRET not in shown.out + shown.err
        assert "http://127.0.0.1:8188, https://studio.test" in shown.out
