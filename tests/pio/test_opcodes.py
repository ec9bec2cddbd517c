"""The opcodes of the two PIO programs: as the chip wants them, and as the model knows them."""

from __future__ import annotations

# By hand from the RP2040 datasheet's section 3.4: opcode, delay (there is no side-set), operands.
# MicroPython's own assembler and adafruit-circuitpython-pioasm 1.3.8 make the same words of these
# programs. Neither is a dependency here: the first needs the chip, the second brings Blinka along.
STEP_GENERATOR = (
    "100 00000 1 0 1 00000",  # pull: not if-empty only, block
    "011 00010 001 01111",  # out: to x, 15 bits, 2 more cycles
    "101 00010 010 00 010",  # mov y, y: does nothing, 2 more cycles
    "000 00000 110 00111",  # jmp on pin, to 7
    "000 00000 010 00010",  # jmp on x not 0, x - 1 either way, to 2
    "011 01001 000 00001",  # out: to pins, 1 bit, 9 more cycles
    "111 00000 000 00000",  # set: pins, 0
    "110 00000 0 0 0 00000",  # irq: set and do not wait, number 0
    "000 00000 000 01000",  # jmp always, to 8: itself
)
EDGE_WITNESS = (
    "111 00000 001 00000",  # set: x, 0
    "001 00000 0 01 00000",  # wait: for 0, pin relative to the in base, 0
    "001 00000 1 01 00000",  # wait: for 1
    "000 00000 010 00100",  # jmp on x not 0, x - 1 either way, to 4: the next instruction
    "101 00000 110 00 001",  # mov isr, x
    "100 00000 0 0 0 00000",  # push: not if-full only, do not block
)


def words(table):
    return [int(row.replace(" ", ""), 2) for row in table]


def test_table_rows_are_16_bits():
    for row in STEP_GENERATOR + EDGE_WITNESS:
        assert len(row.replace(" ", "")) == 16, row


def test_step_generator_assembles_to_the_table(programs):
    assert list(programs.step.code) == words(STEP_GENERATOR)
    assert (programs.step.wrap_target, programs.step.wrap) == (0, 6)


def test_witness_assembles_to_the_table(programs):
    assert list(programs.witness.code) == words(EDGE_WITNESS)
    assert (programs.witness.wrap_target, programs.witness.wrap) == (1, 5)


def test_step_generator_takes_low_bits_first_and_all_eight_fifo_words(programs):
    pio = programs.rp2.PIO
    assert programs.step.options["out_shiftdir"] == pio.SHIFT_RIGHT == 1
    assert programs.step.options["fifo_join"] == pio.JOIN_TX == 1
    assert programs.step.options["out_init"] == programs.step.options["set_init"] == pio.OUT_LOW
    assert programs.witness.options == {}  # a receive FIFO of its own, four deep


def test_both_clocks_divide_whole(programs):
    # A fractional divider would move edges by a cycle now and then.
    assert 125_000_000 % programs.generator.SM_HZ == 0
    assert programs.generator.SM_HZ == 5 * programs.generator.TICK_HZ


def test_micropython_assembles_the_same_and_the_model_knows_them(programs, device):
    there = device("programs")
    for name, program, table in (
        ("step_generator", programs.step, STEP_GENERATOR),
        ("edge_witness", programs.witness, EDGE_WITNESS),
    ):
        assert there[name]["code"] == words(table)
        assert there[name]["known"] == words(table)
        assert there[name]["wrap"] == [program.wrap_target, program.wrap]


def test_model_shows_the_addresses_that_the_firmware_reads(programs, device):
    at_pull, in_pass, latched = device("programs")["addresses"]
    assert at_pull == programs.step.wrap_target
    assert programs.step.code[in_pass] == 0x00C7  # jmp(pin, "halt")
    assert latched == len(programs.step.code) - 1
