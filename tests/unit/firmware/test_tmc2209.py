"""hal/tmc2209: what is sent and received on its wire; a wrong CRC, no answer, a stuck line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop import resources

tmc = resources.firmware_module("hal.tmc2209")
setup = resources.firmware_module("hal.tmc2209_setup")

SETTINGS = {"address": 1, "mres": 3, "ihold": 7, "irun": 15, "tcoolthrs": 234, "sgthrs": 30}


def sealed(*data):
    """Return bytes and their CRC, which is checked on its own below."""
    return bytes((*data, tmc.crc8(data)))


class Wire:
    """A UART on one wire: ``pairs`` of (sent, what follows its echo); anything else raises."""

    def __init__(self, pairs=(), echo=lambda sent: sent):
        self.pairs = [(bytes.fromhex(sent), bytes.fromhex(got)) for sent, got in pairs]
        self._echo = echo
        self.there = b""

    def any(self):
        return len(self.there)

    def write(self, data):
        assert self.pairs, f"not expected: {data.hex(' ')}"
        sent, got = self.pairs.pop(0)
        assert data == sent, f"{data.hex(' ')}, not {sent.hex(' ')}"
        assert not self.there, "what was left of the exchange before is not read"
        self.there = self._echo(data) + got

    def read(self, most):
        assert most > 0
        got, self.there = self.there[:most], self.there[most:]
        return got or None  # as machine.UART at its timeout

    def driver(self, address=1):
        return tmc.Tmc2209(self, dict(SETTINGS, address=address))


def test_crc_by_hand():
    # x^8 + x^2 + x + 1, low bit first. 0x05 = 1010 0000 in the order sent. From 0:
    # 1: 00 -> 07 · 0: 0e · 1: 1c ^ 07 = 1b · 0: 36 · 0: 6c · 0: d8 · 0: top 1: b0 ^ 07 = b7
    # · 0: top 1: 6e ^ 07 = 69
    assert tmc.crc8(b"\x05") == 0x69


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        # A read of IOIN and its answer, as recorded on a wire by others (Chr157i4n,
        # TMC2209_Raspberry_Pi, wiki "UART"); an answer of a TMC2300, which has the same datagrams
        # (Kurokesu, SCE2 wiki).
        ("55 00 06", 0xE8),
        ("05 ff 06 21 00 02 41", 0x9D),
        ("05 00 10", 0x70),
        ("05 ff 10 00 00 00 00", 0x9D),
    ],
)
def test_crc_of_recorded_datagrams(data, crc):
    assert tmc.crc8(bytes.fromhex(data)) == crc


@given(st.binary(min_size=1, max_size=8))
def test_crc_by_the_datasheets_other_formula(data):
    # 4.2, "serial calculation": CRC.7 ^ the new bit is shifted in, and enters bits 1 and 2 too
    crc = 0
    for byte in data:
        for i in range(8):
            new = crc >> 7 ^ byte >> i & 1
            crc = (crc << 1 & 0xFF) ^ (new << 2 | new << 1 | new)
    assert tmc.crc8(data) == crc


def request(register, address=1):
    return sealed(5, address, register).hex()


def answer(register, value):
    return sealed(5, 0xFF, register, *value.to_bytes(4, "big")).hex()


def write(register, value, address=1):
    return sealed(5, address, register | 0x80, *value.to_bytes(4, "big")).hex()


def counted(register, value, count):
    """The exchange of one write that is counted: IFCNT, the write, IFCNT."""
    return [
        (request(2), answer(2, count)),
        (write(register, value), ""),
        (request(2), answer(2, count + 1 & 0xFF)),
    ]


def test_a_register_is_read():
    wire = Wire([("05 00 06 6f", "05 ff 06 21 00 02 41 9d")])
    assert wire.driver(address=0).read(6) == 0x21000241
    assert not wire.pairs


def test_a_register_is_written_and_counted():
    wire = Wire(counted(0x40, 30, 255))  # the counter wraps
    setup.write(wire.driver(), 0x40, 30)
    assert not wire.pairs


def test_what_a_broken_exchange_left_is_thrown_away():
    wire = Wire([(request(6), answer(6, 7))])
    wire.there = b"\x05\xff"
    assert wire.driver().read(6) == 7


@given(st.integers(0, 63))
def test_any_wrong_bit_of_an_answer_is_noticed_and_asked_again(bit):
    good = bytes.fromhex(answer(6, 0x1234))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    wire = Wire([(request(6), bad.hex()), (request(6), good.hex())])
    assert wire.driver().read(6) == 0x1234
    assert not wire.pairs


@pytest.mark.parametrize(
    ("got", "echo", "why"),
    [
        ("", lambda sent: sent, "does not answer"),
        (answer(6, 1)[:-2], lambda sent: sent, "damaged"),  # a byte short
        (answer(6, 1)[:-2] + "00", lambda sent: sent, "damaged"),  # wrong CRC (right: not 00)
        (answer(7, 1), lambda sent: sent, "damaged"),  # another register's
        ("", lambda sent: b"", "stuck or cut"),  # held high, or cut
        ("", lambda sent: b"\0", "stuck or cut"),  # held low: a break is one byte of zeros
        ("00" * 8, lambda sent: bytes(len(sent)), "stuck or cut"),
    ],
)
def test_three_tries_then_it_says_why(got, echo, why):
    wire = Wire([(request(6), got)] * 3, echo)
    with pytest.raises(tmc.DriverError, match=why):
        wire.driver().read(6)
    assert not wire.pairs


def test_a_write_that_is_not_counted_is_repeated_then_told():
    once = [(write(0x14, 9), ""), (request(2), answer(2, 5))]
    wire = Wire(
        [(request(2), answer(2, 5)), *once, (write(0x14, 9), ""), (request(2), answer(2, 6))]
    )
    setup.write(wire.driver(), 0x14, 9)
    assert not wire.pairs
    wire = Wire([(request(2), answer(2, 5)), *once * 3])
    with pytest.raises(tmc.DriverError, match="took no setting"):
        setup.write(wire.driver(), 0x14, 9)


def settings_by_hand(gconf=0x1C1, chopconf=0x13000053):
    # GCONF: 0x001 current by VREF + 0x040 UART + 0x080 microsteps by register + 0x100 filter.
    # CHOPCONF: 0x10000053 after power-up; 256 / 32 = 2^3, so MRES = 3 in bits 24-27.
    # IHOLD_IRUN: 7 + (15 << 8) + (1 << 16) = 0x00010f07.
    pairs = []
    for i, (register, value) in enumerate(
        [(0x00, 0x1C1), (0x6C, 0x13000053), (0x10, 0x10F07), (0x13, 0), (0x14, 234), (0x40, 30),
         (0x01, 7)]
    ):  # fmt: skip
        pairs += counted(register, value, i)
    return [*pairs, (request(0x00), answer(0x00, gconf)), (request(0x6C), answer(0x6C, chopconf))]


def test_all_settings_by_hand():
    wire = Wire(settings_by_hand())
    wire.driver().set_up()
    assert not wire.pairs


@pytest.mark.parametrize("kept", [{"gconf": 0x101}, {"chopconf": 0x10000053}])
def test_settings_that_were_not_kept_are_told(kept):
    pairs = settings_by_hand(**kept)
    wire = Wire(pairs[:-1] if "gconf" in kept else pairs)
    with pytest.raises(tmc.DriverError, match="keep its settings"):
        wire.driver().set_up()


@pytest.mark.parametrize(
    ("state", "status", "hot", "why"),
    [
        (0, 0, False, None),
        (0, 0xC0000000 | 0xC0, False, None),  # standstill, StealthChop, open load: no fault
        (0, 1, True, None),  # otpw
        (2, 0x703, True, None),  # ot, and the three temperatures passed
        (2, 1 << 2, False, "short"),  # s2ga
        (2, 1 << 5, False, "short"),  # s2vsb
        (4, 0, False, "supply is too low"),
        (1, 0, False, "lost its settings"),
    ],
)
def test_what_its_flags_say(state, status, hot, why):
    wire = Wire([(request(1), answer(1, state)), (request(0x6F), answer(0x6F, status))])
    said = wire.driver().look(None)
    assert said[0] is hot
    assert (said[1] is None) if why is None else (why in said[1])


def test_a_driver_that_does_not_answer_is_no_exception_where_it_is_looked_at():
    assert Wire([(request(1), "")] * 3).driver().look(1) == (False, "it does not answer")


# IOIN as recorded on a wire (above): ENN, PDN_UART and DIR high, version 0x21.
@pytest.mark.parametrize(
    ("inputs", "way", "why"),
    [
        (0x21000241, 1, None),
        (0x21000041, 0, None),
        (0x21000041, 1, "its DIR input does not follow"),
        (0x21000241, 0, "its DIR input does not follow"),
    ],
)
def test_the_level_at_its_dir_pin_must_be_the_one_that_is_driven(inputs, way, why):
    flags = [(request(1), answer(1, 0)), (request(0x6F), answer(0x6F, 0))]
    wire = Wire([*flags, (request(6), answer(6, inputs))])
    assert wire.driver().look(way) == (False, why)
