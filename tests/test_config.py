"""Settings: the environment above the file above the default, and a wrong one is told with its place."""

from pathlib import Path

import pytest

from caf.config import Config, load_config
from caf.errors import DocumentError


def test_the_environment_stands_above_the_file_and_the_file_above_the_default(tmp_path: Path) -> None:
    (tmp_path / "caf.toml").write_text('stall_s = 5\ndeadline_s = 7\ncache_dir = "/c"\n')
    found = load_config(tmp_path, {"CAF_STALL_S": "6.5", "CAF_WORKSPACE": "ignored", "CAF_POLICY": ""})
    assert found == Config(stall_s=6.5, deadline_s=7.0, cache_dir="/c")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stall_s", "abc"),
        ("stall_s", "-5"),
        ("stall_s", "0"),
        ("stall_s", "nan"),
        ("stall_s", "1e400"),
        ("deadline_s", "-1"),
        ("deadline_s", "nan"),
        ("memory_mb", "-1"),
        ("memory_mb", "10"),
        ("memory_mb", "1.5"),
        ("memory_mb", "99999999999999999999"),
        ("pose_coverage_threshold", "7"),
        ("pose_coverage_threshold", "nan"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_place_and_what_may_be(
    tmp_path: Path, name: str, value: str
) -> None:
    variable = f"CAF_{name.upper()}"
    with pytest.raises(DocumentError, match=rf"^{variable} is '{value}'; allowed is .*number"):
        load_config(tmp_path, {variable: value})
    (tmp_path / "caf.toml").write_text(f'{name} = "{value}"')
    with pytest.raises(DocumentError, match=rf"caf\.toml: {name} is '{value}'; allowed is"):
        load_config(tmp_path, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"stal_s = 3", "stal_s is no setting"),
        (b"stall_s = ", "caf.toml cannot be read"),
        (b"\xff\xfe\x00", "caf.toml cannot be read"),
        (b"stall_s = nan", "stall_s is nan"),
        (b"stall_s = true", "stall_s is True"),
        (b"cache_dir = 3", "cache_dir is 3"),
        (b"[stall_s]\nx = 1", "stall_s is"),
        (b"[local]\nstall_s = 1", "local is no setting"),
        (b"policy = " + b"[" * 5000 + b"]" * 5000, "caf.toml cannot be read: it is nested too deep"),
        (b'policy = "a\\u0000b"', "policy is 'a\\x00b'"),
        (b'token_file = "a\\u0000b"', "token_file is 'a\\x00b'"),
    ],
)
def test_a_broken_file_is_told_with_its_name(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "caf.toml").write_bytes(content)
    with pytest.raises(DocumentError) as told:
        load_config(tmp_path, {})
    assert words in told.value.message


def test_a_folder_that_is_called_like_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "caf.toml").mkdir()
    with pytest.raises(DocumentError, match=r"caf\.toml cannot be read"):
        load_config(tmp_path, {})


def test_the_file_with_the_token_lies_relative_to_the_workspace_wherever_the_service_was_started(
    tmp_path: Path,
) -> None:
    (tmp_path / "caf.toml").write_text('token_file = "secret/token"')
    assert load_config(tmp_path, {}).token_file == str(tmp_path / "secret" / "token")
    assert load_config(tmp_path, {"CAF_TOKEN_FILE": "/run/token"}).token_file == "/run/token"
