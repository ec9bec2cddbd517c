"""Every guard of the modes, and how to take it away: the checker must notice (test_guards.py).

A guard is a refusal in the modules below, a call of one, or a request that the table of states
does not let a state answer. Taken away is one at a time, in the firmware that runs: the code of
the function that holds it is replaced by the same code without it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

from doseloop import resources

MODULES = ("controller", "dosing", "starting", "changes", "occlusion", "pending", "course")
_CALLS = ("_need", "_need_run", "_need_stand", "_need_config", "_need_history", "_check_way",
          "need_stand", "may_plan")  # fmt: skip


class _Finder(ast.NodeVisitor):
    """Collects (qualified name of the function, line) of each guard."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []
        self._inside: list[str] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._enter(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._enter(node)

    def _enter(self, node: ast.ClassDef | ast.FunctionDef) -> None:
        self._inside.append(node.name)
        self.generic_visit(node)
        self._inside.pop()

    def visit_Raise(self, node: ast.Raise) -> None:
        if ast.unparse(node).startswith("raise Refused("):  # others say that the firmware is wrong
            self.found.append((".".join(self._inside), node.lineno))

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value
        called = call.func if isinstance(call, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in _CALLS:
            self.found.append((".".join(self._inside), node.lineno))


class _Without(ast.NodeTransformer):
    def __init__(self, line: int) -> None:
        self._line = line

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        return self._gone(node)

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        return self._gone(node)

    def _gone(self, node: ast.stmt) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node) if node.lineno == self._line else node


def in_code() -> list[tuple[str, str, int]]:
    """Return (module, function, line) of every guard in MODULES."""
    found = []
    for module in MODULES:
        finder = _Finder()
        finder.visit(ast.parse(_path(module).read_text(encoding="utf-8")))
        found += [(module, function, line) for function, line in finder.found]
    return found


def in_table() -> list[str]:
    """Return the requests that some states do not answer."""
    table = resources.firmware_module("states").TABLE
    return sorted({request for _, _, requests in table.values() for request in requests})


def text_of(module: str, line: int) -> str:
    """Return the source of a guard, for a message."""
    return _path(module).read_text(encoding="utf-8").splitlines()[line - 1].strip()


@contextmanager
def without(module: str, function: str, line: int) -> Iterator[None]:
    """Take a guard away for a while."""
    tree = _Without(line).visit(ast.parse(_path(module).read_text(encoding="utf-8")))
    code = compile(ast.fix_missing_locations(tree), str(_path(module)), "exec")
    for name in function.split("."):
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
    target: Any = resources.firmware_module(module)
    for name in function.split("."):
        target = getattr(target, name)
    whole, target.__code__ = target.__code__, code
    try:
        yield
    finally:
        target.__code__ = whole


@contextmanager
def answered_everywhere(request: str) -> Iterator[None]:
    """Let every state answer a request for a while."""
    table = resources.firmware_module("states").TABLE
    whole = dict(table)
    for state, (moving, after, requests) in whole.items():
        table[state] = (moving, after, (*requests, request))
    try:
        yield
    finally:
        table.update(whole)


def _path(module: str) -> Path:
    return resources.firmware_root() / "pump" / f"{module}.py"
