"""Who may import whom: downwards only, no cycles, and the core stays pure."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("caf", "eventstore")

RANKS: Final[dict[str, int]] = {
    # 0: errors and the protocols that everything speaks
    "caf.errors": 0,
    "caf.places": 0,
    "caf.ports": 0,
    # 1: facts and documents, no behaviour
    "caf.contracts": 1,
    "caf.events": 1,
    # 2: pure folds and rules
    "caf.comfy.addresses": 2,
    "caf.comfy.binding": 2,
    "caf.comfy.graph": 2,
    "caf.comfy.model": 2,
    "caf.comfy.object_info": 2,
    "caf.comfy.problems": 2,
    "caf.commands": 2,
    "caf.daemon.state": 2,
    "caf.job": 2,
    "caf.outside": 2,
    "caf.policies": 2,
    "caf.policy": 2,
    "caf.projections": 2,
    "caf.qc": 2,
    "caf.repairs": 2,
    # 3: the actors' reactions; pure ends here
    "caf.actors": 3,
    "caf.actors.documents": 3,
    "caf.actors.effects": 3,
    "caf.actors.handoff": 3,
    "caf.actors.qc": 3,
    "caf.actors.render": 3,
    "caf.actors.supervisor": 3,
    # 4: pixels, sound and native code; they know no log
    "caf.comfy": 4,
    "caf.demo_clips": 4,
    "caf.engines": 4,
    "caf.media": 4,
    "caf.pose": 4,
    "caf.qc.examine": 4,
    "caf.qc.extras": 4,
    "caf.qc.labelled": 4,
    "caf.qc.measure": 4,
    "caf.qc.metrics": 4,
    "caf.sha256": 4,
    "caf.system": 4,
    # what became of a child, for those below the shell that have children of their own
    "caf.worker.autopsy": 4,
    "caf.worker.errors": 4,
    "caf.worker.fault": 4,
    "caf.worker.memory": 4,
    "caf.worker.protocol": 4,
    "caf.worker.tether": 4,
    # 5: the shell
    "caf.actors.deadletter": 5,
    "caf.actors.feed": 5,
    "caf.actors.handover": 5,
    "caf.actors.inputs": 5,
    "caf.actors.loop": 5,
    "caf.actors.perform": 5,
    "caf.actors.poses": 5,
    "caf.actors.scratch": 5,
    "caf.actors.stages": 5,
    "caf.artifacts": 5,
    "caf.clock": 5,
    "caf.decide": 5,
    "caf.lanes": 5,
    "caf.log": 5,
    "caf.projections.asking": 5,
    "caf.projections.follower": 5,
    "caf.projections.rebuild": 5,
    "caf.projections.rows": 5,
    "caf.projections.tables": 5,
    "caf.quick": 5,
    "caf.worker": 5,
    "caf.workspace": 5,
    # 6: composition and what a person can ask for
    "caf.app": 6,
    "caf.config": 6,
    "caf.daemon": 6,
    "caf.demo": 6,
    "caf.handoff": 6,
    "caf.runner": 6,
    "caf.submission": 6,
    "caf.archive": 6,
    "caf.backup": 6,
    "caf.doctor": 6,
    "caf.verify": 6,
    "caf.workflows": 6,
    # 7: the faces
    "caf.cli": 7,
    "caf.contracts.schemas": 7,
    "caf.web": 7,
}
"""A module's layer is that of the longest name here that it begins with."""

PURE: Final = 3
LOG_BLIND: Final = 4
"""Up to this layer nothing knows the event store."""

ALWAYS_ALLOWED: Final = frozenset({"caf"})
"""The package itself holds the version and nothing else."""

IMPURE_MODULES: Final = frozenset(
    {
        "anyio", "asyncio", "fcntl", "glob", "io", "logging", "multiprocessing", "os", "pathlib",
        "random", "secrets", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile",
        "threading", "time", "urllib", "warnings",
    }
)  # fmt: skip
IMPURE_NAMES: Final = frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}) | {
    f"uuid.{name}" for name in ("uuid1", "uuid4", "getnode")
}
IMPURE_CALLS: Final = frozenset({"open", "input", "print", "__import__", "eval", "exec"})
HEAVY: Final = frozenset({"aiohttp", "av", "cv2", "mediapipe", "numpy", "skimage", "click", "rich"})
EVENTSTORE_MAY: Final = frozenset({"anyio", "eventstore", "msgspec"})

MAX_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 70


class Module(NamedTuple):
    name: str
    path: Path
    tree: ast.Module
    is_package: bool


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            found.append(Module(name, path, ast.parse(path.read_bytes(), str(path)), is_package))
    return tuple(found)


@cache
def names() -> frozenset[str]:
    return frozenset(module.name for module in modules())


def imported(module: Module) -> Iterator[tuple[int, str]]:
    """(line, module) of every import anywhere in it, those for type checkers and in functions included."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.name}:{node.lineno} imports relatively; say the whole name"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in names() else node.module


def rank(name: str) -> int:
    while name not in RANKS:
        name = name.rpartition(".")[0]
        assert name, "no layer"
    return RANKS[name]


def of_caf() -> list[Module]:
    return [module for module in modules() if module.name.split(".")[0] == "caf" and module.name != "caf"]


def below(layer: int) -> list[Module]:
    return [module for module in of_caf() if rank(module.name) <= layer]


def place(module: Module, line: int) -> str:
    return f"{module.path.relative_to(ROOT)}:{line}"


def test_every_module_has_a_layer() -> None:
    homeless = [
        module.name
        for module in of_caf()
        if not any(module.name == name or module.name.startswith(f"{name}.") for name in RANKS)
    ]
    assert not homeless, f"say in RANKS where these belong: {homeless}"


def test_every_layer_entry_is_a_module_that_exists() -> None:
    gone = [name for name in RANKS if name not in names()]
    assert not gone, f"these are no modules any more: {gone}"


def test_imports_go_downwards_only() -> None:
    upward = [
        f"{place(module, line)} ({module.name}, layer {rank(module.name)}) imports {target}"
        f" (layer {rank(target)})"
        for module in of_caf()
        for line, target in imported(module)
        if target.split(".")[0] == "caf" and target not in ALWAYS_ALLOWED and rank(target) > rank(module.name)
    ]
    assert not upward, "\n".join(upward)


def test_no_import_goes_round_in_a_circle() -> None:
    graph = {
        module.name: {target for _, target in imported(module) if target in names() and target != module.name}
        for module in modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as fault:
        pytest.fail(f"a circle: {' -> '.join(fault.args[1])}")


def test_the_event_store_knows_nothing_of_caf_and_little_else() -> None:
    foreign = [
        f"{place(module, line)} imports {target}"
        for module in modules()
        if module.name.split(".")[0] == "eventstore" and not module.name.startswith("eventstore.contract")
        for line, target in imported(module)
        if (root := target.split(".")[0]) not in EVENTSTORE_MAY and root not in sys.stdlib_module_names
    ]
    assert not foreign, "\n".join(foreign)


def test_the_store_s_contract_suite_knows_nothing_of_caf() -> None:
    foreign = [
        f"{place(module, line)} imports {target}"
        for module in modules()
        if module.name.startswith("eventstore.contract")
        for line, target in imported(module)
        if target.split(".")[0] == "caf"
    ]
    assert not foreign, "\n".join(foreign)


def test_below_the_shell_nothing_knows_the_log() -> None:
    knowing = [
        f"{place(module, line)} imports {target}"
        for module in below(LOG_BLIND)
        for line, target in imported(module)
        # How a stored shape is lifted to today's is pure, and knows of no log either.
        if (target.split(".")[0] == "eventstore" and target != "eventstore.codec")
        or target in ("caf.log", "caf.app")
    ]
    assert not knowing, "\n".join(knowing)


def test_the_core_imports_neither_the_world_nor_heavy_libraries() -> None:
    impure = [
        f"{place(module, line)} imports {target}"
        for module in below(PURE)
        for line, target in imported(module)
        if target.split(".")[0] in IMPURE_MODULES | HEAVY
    ]
    assert not impure, "\n".join(impure)


def test_the_core_is_synchronous_and_reads_no_clock_chance_or_file() -> None:
    found = []
    for module in below(PURE):
        for node in ast.walk(module.tree):
            match node:
                case ast.AsyncFunctionDef(body=[ast.Expr(value=ast.Constant())]) if (
                    module.name == "caf.ports"
                ):
                    pass  # a promise of the shell, told and not kept here
                case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                    found.append(f"{place(module, node.lineno)} is asynchronous")
                case ast.Call(func=ast.Name(id=called)) if called in IMPURE_CALLS:
                    found.append(f"{place(module, node.lineno)} calls {called}()")
                case ast.Attribute(value=ast.Name(id=owner), attr=name) if f"{owner}.{name}" in IMPURE_NAMES:
                    found.append(f"{place(module, node.lineno)} uses {owner}.{name}")
                case ast.ImportFrom(module=owner, names=aliases):
                    found += [
                        f"{place(module, node.lineno)} imports {owner}.{alias.name}"
                        for alias in aliases
                        if f"{owner}.{alias.name}" in IMPURE_NAMES
                    ]
    assert not found, "\n".join(found)


def test_no_module_is_longer_than_400_lines() -> None:
    long = {
        module.name: lines
        for module in modules()
        if (lines := len(module.path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert not long, f"split these: {long}"


def test_no_function_is_longer_than_70_lines() -> None:
    long = [
        f"{place(module, node.lineno)} {node.name}: {lines} lines"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and (lines := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)
