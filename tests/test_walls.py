"""The walls between the rooms that import-linter and ruff cannot see."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [
    path
    for room in ("konstruct", "chat", "agents", "memory")
    for path in sorted((ROOT / room).rglob("*.py"))
    if "migrations" not in path.parts
]
# Django's asynchronous ORM: queries that would run outside the tenancy door (design decision 1).
ORM_METHODS = {
    "aget",
    "acreate",
    "aget_or_create",
    "aupdate_or_create",
    "abulk_create",
    "abulk_update",
    "acount",
    "ain_bulk",
    "aiterator",
    "alatest",
    "aearliest",
    "afirst",
    "alast",
    "aaggregate",
    "aexists",
    "acontains",
    "aupdate",
    "adelete",
    "asave",
    "arefresh_from_db",
    "aadd",
    "aclear",
    "aremove",
    "aset",
    "aexplain",
}


def test_asynchronous_code_uses_no_orm_but_through_the_door() -> None:
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ORM_METHODS
    ]
    assert calls == []


def test_no_coroutine_waits_inside_a_workspace() -> None:
    """`await` inside `tenant_context` would leave the workspace to whoever runs next on that thread."""
    waits = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.With)
        and "_context" in ast.unparse(node.items[0].context_expr)
        and any(isinstance(inner, ast.Await) for inner in ast.walk(node))
    ]
    assert waits == []
