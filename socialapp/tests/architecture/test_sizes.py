"""The house stays readable: module and function sizes, and names that say nothing."""

import ast
from pathlib import Path
from statistics import median

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PACKAGES = ("config", "socialapp", "posts", "orders", "deploy")
LARGEST_MODULE = 400
NAMELESS = {"utils", "helpers", "common", "manager", "services", "data", "info", "obj", "misc"}


def modules() -> list[Path]:
    found = [path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts]


def relative(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_no_module_is_too_long(path):
    assert len(path.read_text().splitlines()) <= LARGEST_MODULE


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_no_module_has_a_name_that_says_nothing(path):
    assert path.stem not in NAMELESS


@pytest.mark.parametrize("path", [p for p in modules() if p.stem not in ("__init__", "apps")], ids=relative)
def test_a_module_says_what_it_is_responsible_for(path):
    assert ast.get_docstring(ast.parse(path.read_text())), "open with one to three lines on its responsibility"


def test_functions_are_short():
    trees = [ast.parse(path.read_text()) for path in modules() if "tests" not in path.parts]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert median(node.end_lineno - node.lineno + 1 for node in functions) < 12
