"""The dose core: which modules are mutated, and which fast tests must notice a wrong line in each.

Every list is a promise: these files alone kill the mutants that the page calls killed. They are
also the tests whose branch coverage of the core is held at 100 % (tests/unit/repo).
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "firmware" / "pump"
TESTS = Path("tests") / "unit" / "firmware"

# part of the core: {module: test files, the fastest first}
PARTS = {
    "planner": {
        "arith": ["test_arith"],
        "planner": ["test_planner"],
        "leg": ["test_leg_by_hand", "test_leg"],
    },
    "limiter": {"limiter": ["test_limiter_merge", "test_limiter"]},
    "modes": {
        "program": ["test_program", "test_run_reset", "test_order"],
        "pca": ["test_pca", "test_pca_later"],
        "checks": ["test_order", "test_order_refused", "test_square"],
        "order": ["test_order", "test_order_refused"],
        "bolus": ["test_bolus"],
        "patient": ["test_patient_record", "test_patient"],
    },
    "controller": {
        "alarms": ["test_alarms_by_hand", "test_course", "test_alarms"],
        "course": ["test_course", "test_controller", "test_near_empty"],
        "controller": ["test_controller", "test_course"],
    },
    "ledger": {"run": ["test_run", "test_run_dose", "test_run_reset", "test_square"]},
}
# Seconds each: every mutant that survives would pay for them. They are in `make test`.
OMITTED = [
    "test_alarms.py::test_the_rate_during_an_alarm_is_the_tables_and_nothing_but_clear_and_restart_moves",
    "test_alarms.py::test_what_latches_outlasts_a_reset_and_still_stops",
    "test_modes.py::test_each_mode_through_each_interruption_gives_the_ordered_total",
    "test_modes.py::test_a_schedule_of_a_month_is_unrolled_a_few_at_a_time",
    "test_patient.py::test_the_worked_example_on_the_pump",
    "test_patient.py::test_a_day_by_hand",
    "test_patient.py::test_a_failing_flash_warns_and_does_not_disturb",
]

MODULES = {name: files for part in PARTS.values() for name, files in part.items()}


def test_files(name: str) -> list[str]:
    """Return the paths of a module's tests, from the repository's root."""
    return [str(TESTS / f"{file}.py") for file in MODULES[name]]


def omitted() -> list[str]:
    """Return the tests left out, as pytest takes them."""
    return [str(TESTS / test) for test in OMITTED]


def part_of(name: str) -> str:
    """Return the part of the core a module belongs to."""
    return next(part for part, modules in PARTS.items() if name in modules)
