"""The models of driver chip, battery and heat, by hand and against the firmware's driver: what the
datasheet says, not what our pump expects."""

import importlib.util

import pytest

from doseloop import resources

tmc = resources.firmware_module("hal.tmc2209")
setup = resources.firmware_module("hal.tmc2209_setup")
SETTINGS = {"address": 1, "mres": 3, "ihold": 7, "irun": 15, "tcoolthrs": 236, "sgthrs": 30}


def model(name):
    spec = importlib.util.spec_from_file_location(name, resources.sim_device_root() / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


chip_model, power = model("tmc2209"), model("power")


class Line:
    """A one-wire UART with the model on it."""

    def __init__(self, chip):
        self.chip, self.there = chip, b""

    def any(self):
        return len(self.there)

    def write(self, data):
        self.there += data + self.chip.receive(data)

    def read(self, most):
        got, self.there = self.there[:most], self.there[most:]
        return got or None


@pytest.fixture
def chip():
    return chip_model.Tmc2209(1, 8)


def test_a_read_by_hand(chip):
    # GCONF of address 1: 05 01 00; the CRC of the request and of the answer are recorded ones in
    # test_tmc2209.py or follow from its formula.
    request = bytes((5, 1, 0))
    reply = chip.receive(request + bytes((tmc.crc8(request),)))
    assert reply[:7] == bytes.fromhex("05 ff 00 00 00 01 01")
    assert reply[7] == tmc.crc8(reply[:7])
    assert chip.receive(request + b"\0") == b""  # a wrong CRC is not answered (4.2)
    other = bytes((5, 0, 0))
    assert chip.receive(other + bytes((tmc.crc8(other),))) == b""


def test_the_firmware_sets_it_up_and_it_forgets_with_its_supply(chip):
    driver = tmc.Tmc2209(Line(chip), SETTINGS)
    assert chip.microsteps() == 8  # as strapped
    assert driver.look(None) == (False, "it has lost its settings")
    driver.set_up()
    assert driver.look(None) == (False, None)
    assert chip.microsteps() == 32
    assert driver.read(2) == 7  # seven settings were counted
    chip.power_up()
    assert chip.microsteps() == 8
    assert "lost its settings" in driver.look(None)[1]
    chip.status = chip_model.SHORT | chip_model.HOT
    driver.set_up()
    assert driver.look(None) == (True, "a short")


@pytest.mark.parametrize(("load", "reading"), [(0, 400), (20, 320), (85, 60), (99, 4), (100, 0)])
def test_the_reading_falls_with_the_load(chip, load, reading):
    chip.load = load  # 400 · (100 - load) / 100, even
    assert tmc.Tmc2209(Line(chip), SETTINGS).read(0x41) == chip.sg_result() == reading


def steps(chip, count, us, at=0):
    return [chip.step(at + i * us) for i in range(count)]


@pytest.mark.parametrize(
    ("load", "us", "high"),
    [
        (100, 156, 1),  # TSTEP = 156 · 12 · 32 / 256 = 234
        (100, 157, 1),  # 235.5
        (100, 158, 0),  # 237 > TCOOLTHRS = 236: too slow for a reading that counts
        (86, 50, 1),  # 56 <= 2 · 30
        (84, 50, 0),  # 64
    ],
)
def test_diag_rises_at_a_full_step_of_a_stalled_motor_that_is_fast_enough(chip, load, us, high):
    tmc.Tmc2209(Line(chip), SETTINGS).set_up()
    chip.load = load
    changed = steps(chip, 64, us)
    assert chip.diag() == high
    assert changed.index(True) == 31 if high else not any(changed)
    chip.disabled()
    assert chip.diag() == 0


def test_in_spreadcycle_there_is_no_stall(chip):
    driver = tmc.Tmc2209(Line(chip), SETTINGS)
    driver.set_up()
    setup.write(driver, 0, 0x1C5)
    chip.load = 100
    assert not any(steps(chip, 64, 50))


def test_a_battery_by_hand():
    supply = power.Supply(15_522)
    assert supply.mv(0) == 13_800  # external
    supply.on_battery(0)
    # Full: 3 · (3.7348 - 0.00876 + 0.468 - 0.018) = 3 · 4.17604
    assert supply.mv(0) == 12_528
    # Half: it = 0.5 after 2.5 h: 3.7348 - 0.01752 + 0.468 · e^-1.7647 - 0.018 = 3.77941
    assert supply.mv(9_000_000_000) == 11_338
    assert supply.mv(power.LIFE_US - 10**6) >= 9_000 > supply.mv(power.LIFE_US + 10**6) == 0
    supply.plug_in()
    assert supply.mv(power.LIFE_US) == 13_800


def test_heat_by_hand():
    heat = power.Heat()
    # 25 C: the NTC is as large as its pull-up: half; the noise is two steps of 16 at most.
    assert abs(heat.read_u16(0, False) - 32_767) <= 48
    heat.overheat(55)
    # e^-20 from 55 C: 65535 · 3488 / 13488 = 16947
    assert abs(heat.read_u16(1_200_000_000, False) - 16_947) <= 48
    heat.cut = True
    assert heat.read_u16(1_200_000_001, False) > 65_000
