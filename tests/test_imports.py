"""Who may import whom, read from the source."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import attacks
import benchmarks
import robust

HEAVY = {"flax", "sklearn", "matplotlib", "torch", "polars"}
PACKAGES = (robust, attacks, benchmarks)
FILES = {
    f"{package.__name__}/{file.relative_to(root)}": ast.parse(file.read_text())
    for package in PACKAGES
    for root in [Path(package.__file__).parent]
    for file in sorted(root.rglob("*.py"))
}
every_file = pytest.mark.parametrize("file", FILES)


def imports(tree):
    """(module, names) of each import below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: name the package in full"
            yield node.module, [alias.name for alias in node.names]


def outside_functions(tree):
    """The statements that run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            yield from outside_functions(node)


def test_files_were_found():
    assert {"robust/trace.py", "attacks/splitting.py", "benchmarks/digits.py"} <= {
        *FILES
    }


@every_file
def test_packages_import_only_what_they_may(file):
    own, *_ = file.split("/")
    others = {package.__name__ for package in PACKAGES} - {own}
    for module, names in imports(FILES[file]):
        package, *below = module.split(".")
        if package not in others:
            continue
        assert own != "robust", f"robust imports {module}"
        assert package == "robust", f"{own} imports {module}"
        assert not below, f"import from robust itself, not {module}"
        private = set(names) - set(robust.__all__)
        assert not private, f"robust does not export {private}"


@every_file
def test_attacks_and_benchmarks_use_only_public_attributes(file):
    if file.startswith("robust/"):
        return
    for node in ast.walk(FILES[file]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.value.id != "robust" or node.attr in robust.__all__, node.attr


@every_file
def test_heavy_packages_are_imported_inside_functions(file):
    if not file.startswith("robust/"):
        return
    for node in outside_functions(FILES[file]):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            roots = {module.split(".")[0] for module, _ in imports(node)}
            assert not roots & HEAVY


def test_importing_robust_stays_light():
    code = f"import sys, robust, attacks; print(*({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert answer.stdout.split() == []


@every_file
def test_public_names_say_what_they_are(file):
    tree = FILES[file]
    assert ast.get_docstring(tree) or not tree.body, "the module has no docstring"
    kinds = [ast.FunctionDef, ast.AsyncFunctionDef]
    if file.startswith("robust/"):
        kinds.append(ast.ClassDef)
    named = [node for node in tree.body if isinstance(node, tuple(kinds))]
    silent = [n.name for n in named if n.name[0] != "_" and not ast.get_docstring(n)]
    assert silent == []


def test_all_is_sorted_and_true():
    for package in (robust, attacks):
        assert package.__all__ == sorted(package.__all__)
        assert all(hasattr(package, name) for name in package.__all__)
