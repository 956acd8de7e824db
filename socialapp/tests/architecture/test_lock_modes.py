"""No row is locked FOR UPDATE: every insert of a row that references it by a foreign key would wait for it.

A foreign key's check takes FOR KEY SHARE, which FOR NO KEY UPDATE does not conflict with. With FOR UPDATE, handlers of
different partitions, whose locks have no common order, block each other until Postgres ends one of them.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    path
    for folder in ("socialapp", "posts", "orders")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "tests" not in path.parts and "migrations" not in path.parts
]
FOR_UPDATE = re.compile(r"\bFOR\s+UPDATE\b", re.IGNORECASE)


def strong_locks(source: str) -> Iterator[str]:
    """What in a source locks more than it has to."""
    tree = ast.parse(source)
    joined = {id(call.func.value) for call in ast.walk(tree) if _calls(call, "select_related")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and FOR_UPDATE.search(node.value):
            yield f"line {node.lineno}: FOR UPDATE in SQL"
        if not _calls(node, "select_for_update"):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        no_key = given.get("no_key")
        if not (isinstance(no_key, ast.Constant) and no_key.value is True):
            yield f"line {node.lineno}: select_for_update() without no_key=True"
        if id(node) in joined and "of" not in given:
            yield f"line {node.lineno}: select_related() locks the joined rows too, without of=(...)"


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name


def test_no_source_locks_for_update():
    assert len(SOURCES) > 100
    found = {f"{path.relative_to(ROOT)}, {lock}" for path in SOURCES for lock in strong_locks(path.read_text())}
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "rows.select_for_update().filter(pk=1)",
        "rows.select_for_update(no_key=False)",
        "rows.select_for_update(skip_locked=True)",
        "rows.select_for_update(no_key=True).select_related('user')",
        "SQL = 'SELECT FROM t FOR  update'",
    ],
)
def test_what_locks_too_much_is_found(source):
    assert list(strong_locks(source))


@pytest.mark.parametrize(
    "source",
    [
        "rows.select_for_update(no_key=True).filter(pk=1)",
        "rows.select_for_update(no_key=True, of=('self',)).select_related('user')",
        "SQL = 'SELECT FROM t FOR NO KEY UPDATE'",
    ],
)
def test_what_locks_enough_is_left_alone(source):
    assert not list(strong_locks(source))
