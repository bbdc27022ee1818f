"""The public face: every module says what it offers, sorted, and offers what it says."""

import ast
import importlib
import subprocess
import sys

import pytest

from tests.test_layers import Module, imported, modules, names, place

RUNNABLE = "__main__"


def listed(module: Module) -> list[str] | None:
    """The names in `__all__` as they stand in the source; None when there is no such list."""
    for node in module.tree.body:
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if isinstance(target, ast.Name) and target.id == "__all__":
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            found: list[str] = ast.literal_eval(node.value)
            return found
    return None


def in_ruff_s_order(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions; as the linter sorts them."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1 if name[:1].isupper() else 2), name


def defined(module: Module) -> set[str]:
    """Names that the module's own top level binds, or that it resolves at first use."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                found |= {alias.asname or alias.name.split(".")[0] for alias in aliases}
    return found


def test_every_module_lists_what_it_offers() -> None:
    silent = [module.name for module in modules() if listed(module) is None and RUNNABLE not in module.name]
    assert not silent, f"__all__ is missing in: {silent}"


def test_the_lists_are_sorted_and_name_nothing_twice() -> None:
    unsorted = {
        module.name: there
        for module in modules()
        if (there := listed(module)) is not None
        and (there != sorted(there, key=in_ruff_s_order) or len(set(there)) != len(there))
    }
    assert not unsorted


def test_the_lists_hold_no_private_name() -> None:
    private = {
        f"{module.name}.{name}"
        for module in modules()
        for name in listed(module) or ()
        if name.startswith("_") and name != "__version__"
    }
    assert not private


def test_what_is_listed_is_there() -> None:
    missing = {
        f"{module.name}.{name}"
        for module in modules()
        for name in listed(module) or ()
        if name not in defined(module) and f"{module.name}.{name}" not in names()
    }
    assert not missing


@pytest.mark.parametrize("package", [module.name for module in modules() if module.is_package])
def test_a_package_gives_every_name_that_it_lists(package: str) -> None:
    there = importlib.import_module(package)
    for name in there.__all__:
        assert getattr(there, name) is not None, f"{package}.{name}"


def test_nothing_is_imported_that_its_module_does_not_offer() -> None:
    offers = {module.name: set(listed(module) or ()) for module in modules()}
    behind = []
    for module in modules():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ImportFrom) or node.module not in offers:
                continue
            behind += [
                f"{place(module, node.lineno)} imports {node.module}.{alias.name}"
                for alias in node.names
                if alias.name not in offers[node.module] and f"{node.module}.{alias.name}" not in names()
            ]
    assert not behind, "\n".join(behind)


def test_no_module_is_imported_that_does_not_exist() -> None:
    lost = [
        f"{place(module, line)} imports {target}"
        for module in modules()
        for line, target in imported(module)
        if target.split(".")[0] in ("caf", "eventstore") and target not in names()
    ]
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize(
    "light",
    [
        "caf", "caf.actors", "caf.actors.loop", "caf.actors.perform", "caf.app", "caf.cli.__main__",
        "caf.contracts", "caf.engines", "caf.events", "caf.job", "caf.log", "caf.media", "caf.pose", "caf.qc",
        "caf.runner", "caf.submission", "caf.worker", "eventstore",
    ],
)  # fmt: skip
def test_importing_a_light_module_loads_no_heavy_library(light: str) -> None:
    code = (
        f"import sys, {light}; "
        "print(*sorted({'av', 'cv2', 'mediapipe', 'numpy', 'skimage'} & sys.modules.keys()))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
