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


def release(port: str) -> Identity | None:
    """Bring the pump on `port` to its MicroPython prompt; return who it was.

    None: nothing there speaks the protocol, so it is a blank or a broken board, or none at all.
    Raise Refused when the pump works or is simulated, NoPump or PortBusy when there is no port.
    """
    session = Session(SerialTransport(port), deadline_s=_HELLO_S)
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


def await_hash(port: str, serial: str | None, wait_s: float = _RESTART_S) -> str | None:
    """Wait until the restarted board answers and return the hash of what it runs.

    `serial` finds the board when the system gives it another port name. Raise LinkError when it
    does not answer in time.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            session = Session(SerialTransport(_now_at(port, serial)), deadline_s=_HELLO_S)
            try:
                return convert(session.hello(), Identity, "identity").hash
            finally:
                session.close()
        except (LinkError, NoPump) as error:  # still restarting
            if time.monotonic() > deadline:
                raise LinkError(
                    f"the board on {port} did not come back within {wait_s:g} s: {error}",
                    next="docs/deploy.md, section 'A board that does not answer'",
                ) from error
            time.sleep(0.2)


def _now_at(port: str, serial: str | None) -> str:
    if serial is None:
        return port
    return next((found.port for found in ports.find() if found.usb_serial == serial), port)
