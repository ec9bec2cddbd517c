"""Opens what is watched, UART and ADC inputs, and makes the guard. Needed for a moment at boot."""

import machine
from micropython import const

_BAUD = const(115_200)  # the driver follows any from 9600 to 500,000 (TMC2209 datasheet, 4)
_ANSWER_MS = const(5)  # 12 bytes take 1.1 ms, and it answers after 8 bits


def guard(board, clock):
    """Return the guard of a board section; None when there is nothing for it to watch."""
    pins = board["pins"]
    driver, supply = None, _reading(pins.get("battery"))
    heat = _reading(pins.get("temperature"))
    if "tmc2209" in board:
        from pump.hal.tmc2209 import Tmc2209

        driver = Tmc2209(_uart(pins["uart_tx"], pins["uart_rx"]), board["tmc2209"])
    if supply is not None:
        from pump.supply import Supply

        supply = Supply(supply, board["supply"])
    if driver is None and heat is None and supply is None:
        return None
    from pump.guard import Guard

    it = Guard(clock, driver, heat, board.get("hot_counts"), supply)
    it.ready()  # gives the driver its settings; what is wrong is told at a start
    return it


def _uart(tx, rx):
    return machine.UART(
        (tx + 4) // 8 % 2,  # RP2040 datasheet, 1.4.3: 0 at GPIO 0, 12, 16, 28; 1 at 4, 8, 20, 24
        _BAUD,
        tx=machine.Pin(tx),
        rx=machine.Pin(rx),
        timeout=_ANSWER_MS,
        timeout_char=_ANSWER_MS,
    )


def _reading(number):
    return None if number is None else machine.ADC(machine.Pin(number)).read_u16
