"""Opens what the guard watches (guard.py): UART and ADC inputs. Needed for a moment at boot."""

import machine
from micropython import const

_BAUD = const(115_200)  # the driver follows any from 9600 to 500,000 (TMC2209 datasheet, 4)
_ANSWER_MS = const(5)  # 12 bytes take 1.1 ms, and it answers after 8 bits


def parts(board):
    """Return (driver or None, heat reading or None, supply reading or None) of a board section."""
    pins = board["pins"]
    driver = None
    if "tmc2209" in board:
        from pump.hal.tmc2209 import Tmc2209

        tx, rx = pins["uart_tx"], pins["uart_rx"]
        uart = machine.UART(
            (tx + 4)
            // 8
            % 2,  # RP2040 datasheet, 1.4.3: 0 at GPIO 0, 12, 16, 28; 1 at 4, 8, 20, 24
            _BAUD,
            tx=machine.Pin(tx),
            rx=machine.Pin(rx),
            timeout=_ANSWER_MS,
            timeout_char=_ANSWER_MS,
        )
        driver = Tmc2209(uart, board["tmc2209"])
    return driver, _reading(pins.get("temperature")), _reading(pins.get("battery"))


def _reading(number):
    return None if number is None else machine.ADC(machine.Pin(number)).read_u16
