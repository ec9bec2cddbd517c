"""The requirements trace: docs/requirements.md, from table.toml and from what the tests say.

    python -m requirements.page             write the page: part of `make docs`
    python -m requirements.page --check     name what is wrong in the trace: part of `make lint`

Tests are read, not imported, so that this takes a moment and works where they can't run.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("table.toml")
PAGE = ROOT / "docs" / "requirements.md"
BENCH = ROOT / "docs" / "bench.md"
STATUSES = ("shown by test", "in part", "bench procedure", "not yet", "not applicable")
_MARKER = "requirement"
_CONSTANT = "REQUIREMENTS"  # in tests/micropython, where there are no markers


class TraceError(Exception):
    """A mark on a test that says nothing: where it stands, and why."""


@dataclass(frozen=True)
class Row:
    """A requirement as table.toml has it."""

    id: str
    says: str
    source: str
    kind: str
    code: tuple[str, ...] = ()
    note: str = ""
    later: str = ""
    lacks: str = ""
    bench: str = ""
    not_applicable: str = ""


@dataclass(frozen=True)
class Table:
    """All of it: names of groups and of parts of work, and the rows."""

    groups: dict[str, str]
    work: dict[str, str]
    rows: list[Row]


@dataclass(frozen=True)
class Shown:
    """A test and a requirement that it says it shows."""

    id: str
    file: str
    test: str


def read_table(text: str) -> Table:
    """Return the table in a TOML text. TypeError for an unknown or missing key."""
    data = tomllib.loads(text)
    groups, work = data.pop("groups"), data.pop("work")
    rows = [
        Row(id=name, **{**given, "code": tuple(given.get("code", ()))})
        for name, given in data.items()
    ]
    return Table(groups, work, rows)


# -- what the tests say -------------------------------------------------------------------------


def read_tests(root: Path) -> list[Shown]:
    """Return what the tests below a folder say they show, by file and in the order there."""
    found: list[Shown] = []
    for path in sorted((root / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if f"mark.{_MARKER}" in text or _CONSTANT in text:
            found += marks(text, path.relative_to(root).as_posix())
    return found


def marks(text: str, file: str) -> list[Shown]:
    """Return what the tests in one file's text say. TraceError for a mark that is on no test."""
    body = ast.parse(text).body
    tests = [node for node in body if isinstance(node, ast.FunctionDef)]
    tests = [node for node in tests if node.name.startswith("test_")]
    found = [
        Shown(name, file, test.name)
        for test in tests
        for call in test.decorator_list
        if _is_mark(call)
        for name in _names(call, file)
    ]
    names = [test.name for test in tests]
    for node in body:
        if not isinstance(node, ast.Assign) or ast.unparse(node.targets[0]) != _CONSTANT:
            continue
        if file.split("/")[1] != "micropython":
            continue  # another constant of that name
        for test, shown in ast.literal_eval(node.value).items():
            if test not in names:
                raise TraceError(f"{file}: {_CONSTANT} names {test}, which is no test there")
            found += [Shown(name, file, test) for name in shown]
    on_tests = sum(_is_mark(call) for test in tests for call in test.decorator_list)
    if on_tests != sum(map(_is_mark, ast.walk(ast.parse(text)))):
        raise TraceError(f"{file}: a mark.{_MARKER} that decorates no test of the module")
    return found


def _is_mark(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(f"mark.{_MARKER}")


def _names(call: ast.expr, file: str) -> Iterator[str]:
    assert isinstance(call, ast.Call)
    for argument in call.args:
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            raise TraceError(f"{file}:{call.lineno}: write the ids out: {ast.unparse(call)}")
        yield argument.value


# -- what is wrong ------------------------------------------------------------------------------


def status_of(row: Row, shown: Iterable[Shown]) -> str:
    """Return which of STATUSES a row has."""
    tested = any(each.id == row.id for each in shown)
    if row.not_applicable:
        return "not applicable"
    if row.later:
        return "in part" if tested else "not yet"
    return "shown by test" if tested or not row.bench else "bench procedure"


def wrong(table: Table, shown: list[Shown], bench: str, root: Path = ROOT) -> Iterator[str]:
    """Yield what is wrong in the trace, a line each. ``bench``: the text of docs/bench.md."""
    known = {row.id for row in table.rows}
    tested = {each.id for each in shown}
    headings = re.findall(r"^#+ (.*)$", bench, re.MULTILINE)
    for each in shown:
        if each.id not in known:
            yield f"{each.file}: {each.test} shows {each.id}, which no row of table.toml is"
    for row in table.rows:
        if row.id[0] not in table.groups:
            yield f"{row.id}: no group {row.id[0]}"
        on_the_bench = row.bench and row.kind == "H"
        if not (row.later or on_the_bench or row.not_applicable) and row.id not in tested:
            yield f"{row.id}: no test shows it, and the table gives no reason"
        if row.not_applicable and row.id in tested:
            yield f"{row.id}: not applicable, and shown by a test"
        if row.lacks and not row.later:
            yield f"{row.id}: lacks something, but waits for nothing"
        if row.later and row.id in tested and not row.lacks:
            yield f"{row.id}: tests show it, so say what it `lacks`, or take `later` away"
        if row.later and row.later not in table.work:
            yield f"{row.id}: later = {row.later!r} is no part of [work]"
        if row.bench and row.bench not in headings:
            yield f"{row.id}: docs/bench.md has no heading {row.bench!r}"
        for path in row.code:
            if not (root / path).is_file():
                yield f"{row.id}: there is no {path}"


# -- the page -----------------------------------------------------------------------------------

_HEAD = """# Requirements

What an infusion-grade syringe pump must do, where Doseloop does it, and which test shows it. Made
by `make docs` from `tests/requirements/table.toml` and from the marks on the tests: edit those.
`make lint` refuses a row without a test or a reason, and a test that shows what no row asks for.

A requirement met here makes nothing a medical device: Doseloop is laboratory and research
equipment.

| status | meaning |
| --- | --- |
| shown by test | the tests named show all of it, on the computer: simulated, emulated or played |
| in part | they show a part; the rest is named, with the part of work that brings it |
| bench procedure | only hardware can show it: how, says [bench.md](bench.md) |
| not yet | not built; the part of work that brings it |
| not applicable | the reason stands beside it |

Sources: **GIP** Generic Infusion Pump hazard analysis and safety requirements (University of
Pennsylvania, 2009; HID: its hazards) · **OPCA** Open PCA Pump requirements (Kansas State
University, 2020) · **IEC24** IEC 60601-2-24:1998, by clause · **60601-1-8** alarm systems ·
**ICLP'24** arXiv:2408.09909 · names of products: their makers' manuals; with a year: a recall
notice. Kinds of test: U unit, P property or model of states, S simulated step stream, F fault
injection, H hardware, Z fuzz, M model check, I inspection.
"""


def render(table: Table, shown: list[Shown]) -> str:
    """Return the whole page."""
    lines = [_HEAD, *_summary(table, shown)]
    for letter, title in table.groups.items():
        lines += ["", f"## {letter}. {title}", "", "| id | requirement | status | code | tests |",
                  "| --- | --- | --- | --- | --- |"]  # fmt: skip
        lines += [_line(row, table, shown) for row in table.rows if row.id[0] == letter]
    return "\n".join(lines) + "\n"


def _summary(table: Table, shown: list[Shown]) -> Iterator[str]:
    columns = ["group", *STATUSES, "in all"]
    yield "| " + " | ".join(columns) + " |"
    yield "| --- " + "| ---: " * (len(columns) - 1) + "|"
    total: Counter[str] = Counter()
    for letter, title in table.groups.items():
        found = Counter(status_of(row, shown) for row in table.rows if row.id[0] == letter)
        total += found
        anchor = re.sub(r"[^a-z -]", "", f"{letter} {title}".lower()).replace(" ", "-")
        yield _counts(f"[{letter}. {title}](#{anchor})", found)
    yield _counts("all", total)


def _counts(name: str, found: Counter[str]) -> str:
    cells = [str(found[status] or "") for status in STATUSES]
    return f"| {name} | {' | '.join(cells)} | {found.total()} |"


def _line(row: Row, table: Table, shown: list[Shown]) -> str:
    says = f"{row.says}<br><sub>{row.source} · {row.kind}</sub>"
    code = "<br>".join(f"[{path.split('/', 1)[1]}](../{path})" for path in row.code)
    files: dict[str, list[str]] = {}
    for each in shown:
        if each.id == row.id:
            files.setdefault(each.file, []).append(each.test)
    tests = "<br>".join(
        f"[{file.removeprefix('tests/')}](../{file}): "
        + "; ".join(test.removeprefix("test_").replace("_", " ") for test in names)
        for file, names in files.items()
    )
    cells = (f"**{row.id}**", says, _status(row, table, shown), code, tests)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _status(row: Row, table: Table, shown: list[Shown]) -> str:
    text = status_of(row, shown)
    if row.bench:
        link = f"(bench.md#{row.bench.lower().replace(' ', '-')})"
        text = f"[{text}]{link}" if text == "bench procedure" else f"{text}; [on the bench]{link}"
    if row.not_applicable:
        text += f": {row.not_applicable}"
    if row.later:
        text += f": {table.work[row.later]}"
    if row.lacks:
        text += f"<br>lacks: {row.lacks}"
    if row.note:
        text += f"<br>{row.note}"
    return text


def main() -> int:
    """Write the page, or say what is wrong. Return the exit code."""
    try:
        shown = read_tests(ROOT)
    except TraceError as error:
        print(error, file=sys.stderr)
        return 1
    table = read_table(TABLE.read_text(encoding="utf-8"))
    errors = list(wrong(table, shown, BENCH.read_text(encoding="utf-8")))
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") != render(table, shown):
            errors.append("docs/requirements.md is not what tests and table say: make docs")
    elif not errors:
        PAGE.write_text(render(table, shown), encoding="utf-8")
        print(f"written: {PAGE}")
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
