"""The firmware compiles for the RP2040 and stays within the heap that a stock Pico leaves.

62,600 bytes of .mpy at boot leave 105 kB of heap free as deployed (`make perf`, emulated chip,
genuine 1.28.0 image); the goal is 100 kB, and a byte more costs up to 1.6 of heap. The first order
takes 13 kB more, 8 of them once: MicroPython's table of names doubles at its 1,270th. The heap
itself is measured where an image is present (test_deployed.py).
"""

from doseloop import resources
from doseloop.flash.build import build

BUDGET_BYTES = 64_000  # of what a boot loads
LATER_BYTES = 16_000  # of what an order brings with it
LATER = tuple(
    f"pump/{name}.mpy" for name in ("run", "program", "leg", "patient", "pca", "limiter")
)
BORROWED = tuple(  # borrow.py gives it back
    f"pump/{name}.mpy"
    for name in (
        "assembly",
        "planning",
        "order",
        "checks",
        "changes",
        "threshold",
        "backoff",
        "starting",
        "config",
        "recovery",
        "words",
        "quantity",
        "next_steps",
        "library",
        "dose_limits",
        "bounds",
        "alarm_table",
        "signal_plan",
        "attended",
        "hal/watched",
        "hal/tmc2209_setup",
    )
)
UNUSED = ("pump/hal/hx711.mpy", "pump/restart.mpy")  # the reference board has neither


def test_firmware_compiles_and_its_total_is_within_the_budget(capsys):
    built = build(resources.firmware_root())
    later = sum(len(artifact.data) for artifact in built.files if artifact.path in LATER)
    borrowed = sum(len(artifact.data) for artifact in built.files if artifact.path in BORROWED)
    unused = sum(len(artifact.data) for artifact in built.files if artifact.path in UNUSED)
    at_boot = built.mpy_bytes - later - borrowed - unused
    with capsys.disabled():
        share = 100 * at_boot // BUDGET_BYTES
        print(f"\nfirmware: {at_boot} bytes of .mpy, {share} % of {BUDGET_BYTES};")
        print(f"{later} later, {borrowed} for a moment")
    largest = sorted(built.files, key=lambda artifact: -len(artifact.data))[:5]
    assert at_boot <= BUDGET_BYTES, [(a.path, len(a.data)) for a in largest]
    assert 0 < later <= LATER_BYTES


def test_the_same_sources_give_the_same_hash_wherever_they_lie(tmp_path):
    import shutil

    root = resources.firmware_root()
    shutil.copytree(root, tmp_path / "elsewhere")
    assert build(tmp_path / "elsewhere").hash == build(root).hash
