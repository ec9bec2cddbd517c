"""The layer rule: who may import what. See the table in docs/README.md."""

import ast
import importlib
from pathlib import Path

import pytest

from doseloop import resources

# The checkout's files, whether the suite runs on an editable or an installed package.
ROOT = Path(__file__).resolve().parents[3]
FIRMWARE = ROOT / "firmware"
HOST = ROOT / "host_tools" / "doseloop"
HARDWARE = {"machine", "rp2"}
# What exists on CPython as well as on MicroPython, so that the core runs on both.
CORE_MAY_IMPORT = set("array binascii gc io json micropython os pump sys time".split())
# These at least run on both Pythons, so that shared vectors and the host can use them.
ON_BOTH = set("arith config errors order planner quantity sealed states version wire".split())
LINES_MAX = 400


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


CORE = sorted(
    file
    for file in (FIRMWARE / "pump").rglob("*.py")
    if "hal" not in file.relative_to(FIRMWARE / "pump").parts
)
HOST_FILES = sorted(
    file for file in HOST.rglob("*.py") if (HOST / "sim" / "device") not in file.parents
)


def firmware_name(file: Path) -> str:
    return file.relative_to(FIRMWARE).as_posix()


# The composition root: it may see hal.
ROOTS = ("app.py", "root.py", "assembly.py")


def test_the_rule_sees_the_files():
    assert len(CORE) > 5
    assert len(HOST_FILES) > 5
    assert any(tops(imported(file)) & HARDWARE for file in (FIRMWARE / "pump/hal").glob("*.py"))


@pytest.mark.parametrize("file", CORE, ids=firmware_name)
def test_only_hal_imports_the_hardware(file):
    assert not tops(imported(file)) & HARDWARE


@pytest.mark.parametrize(
    "file",
    [f for f in CORE if f.name not in ROOTS],
    ids=firmware_name,
)
def test_core_neither_sees_hal_nor_anything_that_only_one_python_has(file):
    names = imported(file)
    assert not [name for name in names if name.startswith("pump.hal")]
    assert tops(names) <= CORE_MAY_IMPORT


@pytest.mark.parametrize(
    "file", sorted((FIRMWARE / "pump" / "hal").glob("*.py")), ids=firmware_name
)
def test_hal_knows_no_doses_and_no_protocol(file):
    above = {"order", "run", "controller", "wire", "link", "commands", "events", "ledger"}
    seen = {name.split(".")[1] for name in imported(file) if name.startswith("pump.")}
    assert not seen & above


@pytest.mark.parametrize("file", HOST_FILES, ids=lambda file: file.relative_to(HOST).as_posix())
def test_host_never_imports_the_hardware_and_reaches_firmware_only_through_resources(file):
    names = tops(imported(file))
    assert not names & HARDWARE
    assert "pump" not in names


@pytest.mark.parametrize(
    "file",
    [
        f
        for f in HOST_FILES
        if not {"cli", "tui", "report"} & set(f.relative_to(HOST).parts)
        and f.name not in ("output.py", "progress.py")
    ],
    ids=lambda file: file.relative_to(HOST).as_posix(),
)
def test_the_library_knows_no_terminal(file):
    assert not tops(imported(file)) & {"click", "rich", "textual"}


def needs_viper() -> set[str]:
    """Return the core modules that hold viper code, or import one that does."""
    uses = {file.stem: imported(file) for file in CORE}
    found = {file.stem for file in CORE if "@micropython.viper" in file.read_text("utf-8")}
    while True:
        more = {name for name, seen in uses.items() if {f"pump.{each}" for each in found} & seen}
        if more <= found:
            return found
        found |= more


NEEDS_VIPER = needs_viper()


@pytest.mark.parametrize(
    "name",
    sorted({f.stem for f in CORE if f.name not in ROOTS} - NEEDS_VIPER - {"__init__"} | ON_BOTH),
)
def test_core_modules_import_on_cpython(name):
    resources.firmware_module(name)


@pytest.mark.parametrize(
    "file",
    [*sorted(FIRMWARE.rglob("*.py")), *HOST_FILES, *sorted((HOST / "sim/device").rglob("*.py"))],
    ids=lambda file: file.as_posix().split("/doseloop/")[-1],
)
def test_no_file_is_two_things(file):
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES_MAX, f"{lines} lines: split it"


def test_every_host_module_imports():
    for file in HOST_FILES:
        if file.name == "__main__.py":  # runs the command line when imported: that is its job
            continue
        parts = ("doseloop", *file.relative_to(HOST).with_suffix("").parts)
        importlib.import_module(".".join(parts).removesuffix(".__init__"))
