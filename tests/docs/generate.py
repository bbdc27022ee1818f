"""The reference pages, made from the code: `python -m tests.docs.generate --write|--check`.

A page holds what the code says of itself and nothing else; what needs words of its own stands in docs/*.md.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import click
import msgspec

from caf.cli.__main__ import VERBS, cli
from caf.config import Config
from caf.contracts.schemas import DOCUMENTS
from caf.engines.parameters import ENGINE_ID, ENGINE_VERSION, PARAMETERS
from caf.events import Artifact, DaemonEvent, Event, Failure, RetryOf, Settings
from caf.events.codec import type_version
from caf.policies import DEFAULT_POLICY
from caf.ports import Measurement, MediaInfo, VideoTarget
from caf.projections import ALL
from caf.qc.metrics import EXTRAS, METRICS
from caf.qc.stages import judged_at
from tests.docs.telling import doc, field_notes, fields_table, first_sentence, flat, json_type, shown, table

__all__ = ["FOLDER", "commands", "main", "pages"]

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"
NOTE: Final = "Made from the code by `python -m tests.docs.generate --write`; do not edit by hand."
PARTS: Final = (Artifact, Failure, RetryOf, VideoTarget, MediaInfo, Measurement, Settings)
"""Structs that events are made of; those of the contracts have pages of their own in schemas/."""


def pages() -> dict[str, str]:
    """File name to content, for every page."""
    made = {
        "cli.md": _cli(),
        "events.md": _events(),
        "config.md": _config(),
        "parameters.md": _parameters(),
        "metrics.md": _metrics(),
        "documents.md": _documents(),
        "read-models.md": _read_models(),
    }
    return {name: f"{text.strip()}\n" for name, text in made.items()}


def commands(
    group: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every verb with its path: `("qc", "measure")`, groups included."""
    if path:
        yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, (*path, name))


def _cli() -> str:
    lines = ["# The command line", "", NOTE, "", *table(("verb", "does"), _verbs()), ""]
    for path, command in commands():
        if isinstance(command, click.Group):
            continue
        lines += [f"## caf {' '.join(path)}", "", flat(command.help or ""), ""]
        arguments = [
            item.make_metavar(click.Context(command)) for item in command.params if _is_argument(item)
        ]
        lines += [f"`{' '.join(['caf', *path, *arguments, '[OPTIONS]'])}`", ""]
        rows = [_option(item) for item in command.params if isinstance(item, click.Option)]
        lines += [*table(("option", "does"), rows), ""]
    return "\n".join(lines)


def _verbs() -> list[tuple[str, str]]:
    return [(f"`caf {name}`", text) for name, (_, text) in VERBS.items()]


def _is_argument(item: click.Parameter) -> bool:
    return isinstance(item, click.Argument)


def _option(item: click.Option) -> tuple[str, str]:
    names = ", ".join(f"`{name}`" for name in item.opts)
    if not item.is_flag:
        names += f" {item.make_metavar(click.Context(cli))}"
    notes = [item.help or ""]
    if item.envvar:
        notes.append(f"Environment: `{item.envvar}`.")
    if item.multiple:
        notes.append("May be given several times.")
    if item.required:
        notes.append("Required.")
    return names, " ".join(note for note in notes if note)


def _events() -> str:
    lines = [
        "# The events",
        "",
        NOTE,
        "",
        "One stream a job, `job-<job_id>`, and one of the daemon's own, `daemon-serve`; each event stands in the log",
        "under its type and the version of its stored shape. `T or null` is a field that may be missing.",
    ]
    lines += _family("Of a job", get_args(Event))
    lines += _family("Of the daemon", get_args(DaemonEvent))
    lines += ["", "# What events are made of", ""]
    for part in PARTS:
        lines += ["", f"## {part.__name__}", "", doc(part), "", *fields_table(part)]
    return "\n".join(lines)


def _family(title: str, types: tuple[type, ...]) -> list[str]:
    rows = [(f"[{t.__name__}](#{t.__name__.lower()})", first_sentence(t)) for t in types]
    lines = ["", f"# {title}", "", *table(("event", "says"), rows)]
    for event in types:
        lines += ["", f"## {event.__name__}", "", doc(event), ""]
        lines += [f"Stored shape: version {type_version(event.__name__)}.", "", *fields_table(event)]
    return lines


def _config() -> str:
    lines = [
        "# Configuration",
        "",
        NOTE,
        "",
        "A flag stands above a `CAF_*` variable, that above `caf.toml` in the workspace, that above the default.",
        "An unknown key in `caf.toml` is an error that lists the known ones.",
        "",
    ]
    notes = field_notes(Config)
    rows = [
        (
            f"`{item.name}`",
            f"`CAF_{item.name.upper()}`",
            json_type(item.type),
            f"`{shown(item.default)}`",
            notes.get(item.name, ""),
        )
        for item in msgspec.structs.fields(Config)
    ]
    lines += table(("key in caf.toml", "variable", "type", "default", "meaning"), rows)
    lines += ["", "Beside them `CAF_WORKSPACE` names the workspace where `--workspace` is not given."]
    return "\n".join(lines)


def _parameters() -> str:
    version = ENGINE_VERSION.removesuffix("-plain")
    lines = [
        "# Parameters of the embedded engine",
        "",
        NOTE,
        "",
        f"Engine `{ENGINE_ID}`, version `{version}`. On the command line: `--set STAGE.NAME=VALUE`; in a job",
        "document: `comfyui.bindings.parameters`, stage to name to value.",
        "",
    ]
    rows = [
        (f"`{item.stage}.{item.name}`", item.type, item.range, f"`{shown(item.default)}`", item.effect)
        for item in PARAMETERS
    ]
    return "\n".join([*lines, *table(("parameter", "type", "range", "default", "effect"), rows)])


def _metrics() -> str:
    lines = ["# Metrics and the default gates", "", NOTE, "", "Every metric is 0..1 and 1 is best.", ""]
    rows = [
        (f"`{item.name}`", str(item.version), item.stage, item.unit, item.description)
        for item in METRICS.values()
    ]
    lines += [*table(("metric", "version", "looks at the output of", "unit", "meaning"), rows), ""]
    extra = [
        (f"`{item.name}`", str(item.version), item.stage, item.unit, item.description)
        for item in EXTRAS.values()
    ]
    lines += ["## Extra metrics", "", "Only measured where they are asked for by name.", ""]
    lines += [*table(("metric", "version", "looks at the output of", "unit", "meaning"), extra), ""]
    lines += [f"## The gates of `{DEFAULT_POLICY.policy_id}`", ""]
    classes = {name: one for one in DEFAULT_POLICY.failure_classification.classes for name in one.metrics}
    gates = [
        (
            f"`{gate.metric}`",
            f"after {judged_at(gate.target_stage)}",
            f"{gate.threshold:.2f}",
            gate.severity,
            "yes" if gate.repairable else "no",
            classes[gate.metric].action,
            gate.target_stage or "",
            classes[gate.metric].class_id,
        )
        for gate in DEFAULT_POLICY.gates
    ]
    head = (
        "metric",
        "judged",
        "threshold",
        "severity",
        "repairable",
        "action",
        "target stage",
        "failure class",
    )
    lines += [*table(head, gates), "", "## The repairs that it knows", ""]
    presets = [
        (
            preset.class_id,
            f"`{preset.preset_id}`",
            ", ".join(f"`{name}` = {shown(value)}" for name, value in preset.parameter_overrides.items()),
        )
        for preset in DEFAULT_POLICY.workflow_presets.class_to_preset
    ]
    lines += [*table(("failure class", "preset", "sets"), presets), ""]
    lines.append(
        f"Retries: {DEFAULT_POLICY.max_retries_default}, so {DEFAULT_POLICY.max_retries_default + 1} attempts."
    )
    return "\n".join(lines)


def _documents() -> str:
    rows = [
        (
            f"`{name}`",
            flat(sys.modules[kind.__module__].__doc__ or "").partition("\n")[0],
            f"[schema](../../schemas/{name}.schema.json)",
        )
        for name, kind in DOCUMENTS.items()
    ]
    lines = [
        "# Documents",
        "",
        NOTE,
        "",
        "JSON that caf reads or writes; readers keep quiet about fields they",
    ]
    lines += ["do not know, writers write only what is listed.", ""]
    return "\n".join([*lines, *table(("document", "what it is", "schema"), rows)])


def _read_models() -> str:
    lines = [
        "# Read models",
        "",
        NOTE,
        "",
        "What `caf sql` sees; rows are a fold of the log and can be rebuilt.",
        "",
    ]
    for projection in ALL:
        module = sys.modules[next(iter(projection.handlers.values())).__module__]
        lines += [f"## {projection.name}", "", doc(module), ""]
        lines += ["```text", projection.schema.strip(), "```", ""]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Writes the pages, or says which differ; exit status 1 when one does."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs.generate", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true")
    what.add_argument("--check", action="store_true")
    chosen = parser.parse_args(arguments)
    made = pages()
    if chosen.write:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (FOLDER / name).write_text(text, "utf-8")
        return 0
    found = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    stale = sorted(name for name in made.keys() | found.keys() if made.get(name) != found.get(name))
    for name in stale:
        sys.stderr.write(f"docs/reference/{name} is not what the code says; run this with --write.\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
