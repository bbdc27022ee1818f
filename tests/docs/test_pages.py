"""What the documentation says exists: links lead somewhere, verbs and options can be typed, settings can be set."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest

from caf.cli.common import EXIT_CODES
from caf.config import NO_SETTINGS, Config, load_config
from caf.errors import CafError
from caf.events import DaemonEvent, Event
from caf.policies import DEFAULT_POLICY
from caf.qc.stages import metrics_of
from caf.system import APT_LINE
from caf.workspace import Workspace
from tests.docs.generate import commands
from tests.docs.pages import ROOT, blocks, code_spans, pages, prose, text, written_by_hand

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CALL = re.compile(r"(?<![\w./-])(?:\.venv/bin/)?caf ([a-z-][^|;&)>#\n]*)")
VARIABLE = re.compile(r"\bCAF_[A-Z0-9_]*[A-Z0-9]")
COMMANDS = dict(commands())


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert not broken


def calls() -> Iterator[tuple[str, list[str]]]:
    """Every `caf …` that stands in code, with its page."""
    for page in written_by_hand():
        code = [found.content for found in blocks(page) if found.language in ("sh", "console", "text")]
        code += [span for span in code_spans(page) if span.startswith("caf ")]
        for part in code:
            for found in CALL.finditer(part):
                yield page.name, found[1].split()


def spoken(words: list[str]) -> tuple[tuple[str, ...], click.Command | None]:
    """The longest verb that the words begin with."""
    for length in (2, 1):
        if tuple(words[:length]) in COMMANDS:
            return tuple(words[:length]), COMMANDS[tuple(words[:length])]
    return (), None


def test_every_command_in_the_documentation_can_be_typed() -> None:
    wrong = []
    for page, words in calls():
        if words[0] in ("--help", "--version"):
            continue
        _, command = spoken(words)
        if command is None:
            wrong.append(f"{page}: there is no verb in: caf {' '.join(words)}")
            continue
        known = {"--help", *(name for item in command.params for name in item.opts)}
        given = {word.partition("=")[0].strip("\"'") for word in words if re.match(r"--?[a-z]", word)}
        wrong += [f"{page}: caf {' '.join(words)} has no {name}" for name in sorted(given - known)]
    assert not wrong, "\n".join(wrong)


def test_every_verb_is_documented_by_hand() -> None:
    spoken_of = {spoken(words)[0] for _, words in calls()}
    leaves = {path for path, command in COMMANDS.items() if not isinstance(command, click.Group)}
    assert leaves - spoken_of == set()


def test_the_table_of_events_is_the_union_of_events() -> None:
    section = (
        text(ROOT / "docs" / "architecture.md").partition("## The life of a job")[2].partition("\n## ")[0]
    )
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert told == [event.__name__ for event in get_args(Event)]


def test_the_daemon_s_events_are_told_too() -> None:
    section = text(ROOT / "docs" / "architecture.md").partition("## The daemon")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*`) \|", section, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told == {event.__name__ for event in get_args(DaemonEvent)}


def test_every_metric_that_is_served_is_explained_and_no_other() -> None:
    page = text(ROOT / "docs" / "operations.md")
    source = text(ROOT / "caf" / "web" / "metrics.py")
    served = set(re.findall(r'"(caf_\w+)"', source))
    said = set(re.findall(r"\bcaf_\w+", page))
    ends = re.compile(r"(_total|_bucket|_sum|_count)$")
    assert {ends.sub("", name) for name in said} == served


def test_the_gates_are_judged_where_the_workflow_says() -> None:
    section = text(ROOT / "docs" / "workflow.md").partition("## 3. The gates")[2].partition("\n## ")[0]
    told = {
        stage: re.findall(r"`(\w+)`", row)
        for stage, row in re.findall(r"^\| (\w+) \|(.*`.*)\|$", section, re.M)
    }
    assert told == {stage: list(metrics_of(DEFAULT_POLICY, stage)) for stage in ("frame", "motion", "video")}


def test_every_variable_in_the_documentation_is_read() -> None:
    known = {f"CAF_{name.upper()}" for name in Config.__struct_fields__} | NO_SETTINGS
    said = {(page.name, name) for page in pages() for name in VARIABLE.findall(text(page))}
    assert {(page, name) for page, name in said if name not in known} == set()


def test_the_example_of_a_configuration_is_accepted(tmp_path: Path) -> None:
    examples = [found for page in written_by_hand() for found in blocks(page) if found.language == "toml"]
    assert examples
    for example in examples:
        (tmp_path / "caf.toml").write_text(example.content, "utf-8")
        config = load_config(tmp_path, {})
        for name, value in tomllib.loads(example.content).items():
            assert getattr(config, name) == value


def test_the_readme_lists_the_exit_codes_that_there_are() -> None:
    section = text(ROOT / "README.md").partition("## Exit codes")[2].partition("\n## ")[0]
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    errors: set[type[CafError]] = {CafError, *subclasses(CafError)}
    quality, interrupted = 3, 130
    assert told == {error.exit_code for error in errors} | set(EXIT_CODES.values()) | {quality, interrupted}


def subclasses(kind: type[CafError]) -> set[type[CafError]]:
    return {
        found
        for one in kind.__subclasses__()
        if one.__module__.startswith("caf.")
        for found in (one, *subclasses(one))
    }


def test_the_readme_has_the_line_that_the_check_tells() -> None:
    assert APT_LINE in text(ROOT / "README.md")


def test_the_readme_lists_the_folders_that_a_workspace_gets(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.prepare()
    section = text(ROOT / "README.md").partition("## The workspace")[2].partition("\n## ")[0]
    made = [path.relative_to(tmp_path).as_posix() for path in workspace.sandbox.iterdir()]
    own = [path.relative_to(tmp_path).as_posix() for path in (workspace.log, workspace.projections)]
    assert made
    assert [place for place in (*made, *own) if f"`{place}" not in section] == []


def test_the_settings_page_has_every_setting() -> None:
    page = text(ROOT / "docs" / "reference" / "config.md")
    names = [item.name for item in msgspec.structs.fields(Config)]
    assert [name for name in names if f"| `{name}` | `CAF_{name.upper()}` |" not in page] == []
