"""Aligned buffers, in a heap that never lets the padding succeed, and in one that does."""

import sys
import types

import pytest

from doseloop import resources


@pytest.fixture
def registers(monkeypatch):
    """hal/registers.py with a made-up ``uctypes``; ``heap`` maps a buffer to its address."""
    fake = types.ModuleType("uctypes")
    fake.addressof = lambda buffer: fake.heap(buffer)
    monkeypatch.setitem(sys.modules, "uctypes", fake)
    resources.firmware_module("tick")  # puts the firmware on the path
    monkeypatch.delitem(sys.modules, "pump.hal.registers", raising=False)
    import pump.hal.registers as module

    yield module, fake
    sys.modules.pop("pump.hal.registers", None)


@pytest.mark.parametrize("over", [16, 1024, 2032])
def test_a_stubborn_heap_gets_a_part_of_a_larger_block(registers, over):
    module, fake = registers
    fake.heap = lambda buffer: 0x20004000 + over  # wherever it is asked for, never aligned
    got = module.aligned(2048)
    assert isinstance(got, memoryview) and len(got) == 2048 and not any(got)
    whole = got.obj
    assert len(whole) == 2 * 2048 - 16
    got[0], got[2047] = 1, 2
    start = whole.index(1)
    assert (fake.heap(whole) + start) % 2048 == 0 and whole[start + 2047] == 2


def test_padding_moves_the_next_block_to_the_boundary(registers):
    module, fake = registers
    at = iter([0x20000100, 0x20000800])
    fake.heap = lambda buffer: next(at)
    got = module.aligned(2048)
    assert isinstance(got, bytearray) and len(got) == 2048
