"""The firmware compiles for the RP2040 and stays within the heap that a stock Pico leaves.

Loaded .mpy takes 1.6 bytes of heap a byte; 61 kB of .mpy with 40 kB of buffers leave the
promised 100 kB free (measured on the emulated chip with the genuine 1.28.0 image).
"""

from doseloop import resources
from doseloop.flash.build import build

BUDGET_BYTES = 61_000


def test_firmware_compiles_and_its_total_is_within_the_budget(capsys):
    built = build(resources.firmware_root())
    with capsys.disabled():
        share = 100 * built.mpy_bytes // BUDGET_BYTES
        print(f"\nfirmware: {built.mpy_bytes} bytes of .mpy, {share} % of {BUDGET_BYTES}")
    largest = sorted(built.files, key=lambda artifact: -len(artifact.data))[:5]
    assert built.mpy_bytes <= BUDGET_BYTES, [(a.path, len(a.data)) for a in largest]


def test_the_same_sources_give_the_same_hash_wherever_they_lie(tmp_path):
    import shutil

    root = resources.firmware_root()
    shutil.copytree(root, tmp_path / "elsewhere")
    assert build(tmp_path / "elsewhere").hash == build(root).hash
