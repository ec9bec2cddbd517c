"""Before a deploy: make a pump step aside, or refuse. After it: hear from the board what runs.

Talks the native protocol; a board without firmware does not answer it, and that is no error here.
"""

from __future__ import annotations

import time

from doseloop import ports
from doseloop.errors import LinkError, NoPump, Refused
from doseloop.results import Identity, convert
from doseloop.session import Session
from doseloop.transport import SerialTransport

# Everywhere else an order is loaded or under way, or its account is still open. The firmware
# itself refuses to leave in the others.
MAY_FLASH = ("idle", "maintenance", "fault")

_HELLO_S = 0.5  # one of three tries; a fresh board costs a second and a half of waiting
_RESTART_S = 20.0  # boot to ready takes 2 s; USB has to be found again by the system as well
_GONE_S = 1.0  # a prompt this long after the restart is no longer the one before it
_EMULATED = 30.0  # times slower than a board: see `slowness`

_PROMPT = b"\n>>> "


class _Door(SerialTransport):
    """A port that gives up as soon as MicroPython's prompt answers: then no pump will."""

    def __init__(self, port: str) -> None:
        super().__init__(port)
        self.prompt = False
        self._tail = b"\n"
        self.write(b"\r")  # the prompt comes anew for it; a pump skips it, at any time

    def read(self) -> bytes:
        data = super().read()
        self._tail = (self._tail + data)[-256:]
        if _PROMPT in self._tail:
            self.prompt = True
            raise LinkError(f"MicroPython's prompt answers on {self.port}", code="E_PROMPT")
        return data


def release(port: str) -> Identity | None:
    """Bring the pump on `port` to its MicroPython prompt; return who it was.

    None: nothing there speaks the protocol, so it is a blank or a broken board, or none at all.
    Raise Refused when the pump works or is simulated, NoPump or PortBusy when there is no port.
    """
    session = Session(_Door(port), deadline_s=_HELLO_S * slowness(port))
    try:
        try:
            identity = convert(session.hello(), Identity, "identity")
        except LinkError:
            return None
        if identity.tier == "simulated":
            raise Refused(
                f"{port} is a simulated pump: it runs the sources and has nothing to flash",
                code="E_BOARD",
                next="change the sources and start it again: doseloop sim",
            )
        if identity.state not in MAY_FLASH:
            session.bye()  # whoever has the port next hears of events in plain words again
            raise Refused(
                f"the pump is {identity.state}; firmware is exchanged only when it is idle",
                code="E_STATE",
                limit=" or ".join(MAY_FLASH),
                next="wait for the end of the run, or: doseloop stop",
            )
        session.request("maintenance", {})
        return identity
    finally:
        session.close()


def usb_serial(port: str) -> str | None:
    """Return the USB serial number behind a port; None for anything that is not USB."""
    return next((found.usb_serial for found in ports.find() if found.port == port), None)


def slowness(port: str) -> float:
    """Return how many times longer than a board the one on `port` may take: an emulated one."""
    try:
        from doseloop.sim import registry
        from doseloop.sim.emulated import BOARD
    except ImportError:  # no fcntl: this system has no emulated boards
        return 1.0
    mine = [entry for entry in registry.running() if port in (entry.port, entry.link)]
    return _EMULATED if any(entry.board == BOARD for entry in mine) else 1.0


def await_hash(port: str, serial: str | None, wait_s: float = _RESTART_S) -> str | None:
    """Wait until the restarted board answers and return the hash of what it runs.

    `serial` finds the board when the system gives it another port name. Raise LinkError when it
    does not answer in time, or ends up at MicroPython's prompt.
    """
    slow = slowness(port)
    start = time.monotonic()
    while True:
        door = None
        try:
            door = _Door(_now_at(port, serial))
            session = Session(door, deadline_s=_HELLO_S * slow)
            try:
                return convert(session.hello(), Identity, "identity").hash
            finally:
                session.close()
        except (LinkError, NoPump) as error:  # still restarting
            passed_s = time.monotonic() - start
            if door is not None and door.prompt and passed_s > _GONE_S * slow:
                raise LinkError(
                    f"the firmware on {port} ended: the board is at MicroPython's prompt",
                    code="E_START",
                    next=f"see why: mpremote connect {port} resume exec 'import main'; "
                    "then deploy another firmware: doseloop flash",
                ) from error
            if passed_s > wait_s * slow:
                raise LinkError(
                    f"the board on {port} did not come back within {wait_s * slow:g} s: {error}",
                    next="docs/deploy.md, section 'A board that does not answer'",
                ) from error
            time.sleep(0.2)


def _now_at(port: str, serial: str | None) -> str:
    if serial is None:
        return port
    return next((found.port for found in ports.find() if found.usb_serial == serial), port)
