"""The control socket of a simulated board: one command a line, one JSON line as the answer.

Parses and relays; what a command does is decided in the simulated board. Used by launcher.
"""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

from doseloop.errors import UsageError
from doseloop.sim import faults

COMMANDS = (
    "advance SECONDS, until EVENT, hold, go, fault NAME [VALUE], clear NAME, "
    "press stop|bolus, line [KEY VALUE], break, power cut, status, signals"
)
_MAX_LINE = 1024


def parse(line: str) -> dict[str, Any]:
    """Return the request for the simulated board; raise `UsageError` for a bad line."""
    match line.split():
        case ["advance", seconds]:
            faults.seconds_to_ns(seconds)
            return {"do": "advance", "seconds": seconds}
        case ["until", event]:
            return {"do": "until", "event": event}
        case [("hold" | "go" | "status" | "signals" | "break") as word]:
            return {"do": word}
        case ["fault", name]:
            return {"do": "fault", "name": faults.check_name(name), "value": None}
        case ["fault", name, value]:
            return {"do": "fault", "name": faults.check_name(name), "value": value}
        case ["clear", name]:
            return {"do": "clear", "name": faults.check_name(name)}
        case ["line"]:
            return {"do": "line", "key": None}
        case ["line", key, value] if re.fullmatch(r"-?[0-9]{1,9}", value, re.ASCII):
            return {"do": "line", "key": key, "value": int(value)}
        case ["press", ("stop" | "bolus") as what]:
            return {"do": "press", "what": what}
        case ["power", "cut"]:
            return {"do": "power", "what": "cut"}
        case _:
            raise UsageError(f"{line.strip()!r} is not a command; there are: {COMMANDS}")


class Client:
    """One connection. Answers go out in the order the simulated board gives them."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.setblocking(False)
        self._pending = bytearray()
        self.waiting = 0  # commands without an answer yet
        self.ended = False  # it sends no more; it may still be listening

    def fileno(self) -> int:
        return self._socket.fileno()

    def lines(self) -> list[str]:
        """Return the whole lines that came; sets `ended` when no more will."""
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self._pending += data
        if not data or len(self._pending) > _MAX_LINE:
            self.ended = True
            self._pending += b"\n"  # `printf status | nc -U` sends no newline
        *whole, rest = self._pending.split(b"\n")
        self._pending = bytearray(rest)
        return [line.decode("utf-8", "replace") for line in whole if line.strip()]

    def answer(self, obj: dict[str, Any]) -> None:
        """Send one JSON line; a client that does not take its answers loses them."""
        try:
            self._socket.sendall(json.dumps(obj).encode() + b"\n")
        except OSError:
            pass

    def close(self) -> None:
        self._socket.close()


class Server:
    """The listening socket at `path`, removed at `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._remove_stale()
        try:
            self._socket.bind(str(path))
            os.chmod(path, 0o600)
        except OSError as error:
            self._socket.close()
            raise UsageError(f"cannot make the control socket {path}: {error}") from error
        self._socket.listen()
        self._socket.setblocking(False)

    def _remove_stale(self) -> None:
        # A socket file nobody answers on was left by a killed simulator.
        if not self._path.is_socket():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self._path))
            except OSError:
                self._path.unlink(missing_ok=True)

    def fileno(self) -> int:
        return self._socket.fileno()

    def accept(self) -> Client | None:
        """Return the next connection, None when it went away again."""
        try:
            sock, _ = self._socket.accept()
        except OSError:
            return None
        return Client(sock)

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)
