"""Serve a simulated pump until told to stop: the main loop of `doseloop sim`.

Moves bytes between pseudo-terminal and simulated board, relays control commands, and answers the
board's question whether the client has read its output: virtual time waits for that.
"""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

from doseloop.errors import DoseloopError, UsageError
from doseloop.sim import control, registry
from doseloop.sim.port import Port
from doseloop.sim.world import Options, World

_IDLE_S = 0.01  # an unattached port cannot be waited on: how soon a client is noticed
_SYNC_S = 0.0003  # how often to look whether the client has read
_PATIENCE_S = 2.0  # a client that has not read for so long is taken to have stopped reading
_TAIL_BYTES = 1 << 20


class Launcher:
    """One simulated pump. Construct, then `serve`, then `close`."""

    def __init__(
        self,
        options: Options,
        *,
        link: Path | None = None,
        control_path: Path | None = None,
        board: str | None = None,
        syringe: str | None = None,
        linger_s: float | None = None,
        script: Path | None = None,
    ) -> None:
        self.port = Port(link)
        self._server = None if control_path is None else control.Server(control_path)
        self._registration = registry.Registration(
            registry.Entry(
                pid=os.getpid(),
                port=self.port.path,
                link=None if link is None else str(link.absolute()),
                control=None if control_path is None else str(control_path.absolute()),
                board=board,
                syringe=syringe,
                speed=options.speed,
            )
        )
        self._options = options
        self._script = script
        self._linger_s = linger_s
        self._stopping = False
        self._attached = False
        self._alone_since = time.monotonic()
        self._clients: list[control.Client] = []
        self._asked: dict[int, control.Client] = {}
        self._next_id = 1
        self._sync: int | None = None
        self._sync_until = 0.0
        self._deaf = False

    def stop(self, signum: int = 0, frame: FrameType | None = None) -> None:
        """Ask `serve` to return. Fits as a signal handler."""
        self._stopping = True

    def serve(self) -> None:
        """Run until `stop`. Raises `DoseloopError` when the simulated board ends by itself."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        old = signal.set_wakeup_fd(wake_write)
        self._world = World(self._options, self._script)
        try:
            while not self._stopping and self._turn(wake_read):
                pass
        finally:
            signal.set_wakeup_fd(old)
            os.close(wake_read)
            os.close(wake_write)
            ended = self._world.exit_status()
            status = self._world.quit()
        if (not self._stopping and ended is not None) or status not in (0, -signal.SIGKILL):
            raise DoseloopError(
                f"the simulated board ended by itself, status {status}", code="E_SIM"
            )

    def close(self) -> None:
        """Remove link, registry entry and control socket."""
        for client in self._clients:
            client.close()
        if self._server is not None:
            self._server.close()
        self._registration.close()
        self.port.close()

    def _turn(self, wake: int) -> bool:
        """Wait for something and handle it; False when the simulated board has ended."""
        world = self._world
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(world.control_out, select.POLLIN)
        poll.register(world.stdout, select.POLLIN)
        if not world.room:
            poll.register(world.stdin, select.POLLOUT)
        if self._attached:
            mask = select.POLLIN if world.room else 0
            mask |= select.POLLOUT if self.port.waiting else 0
            poll.register(self.port.fileno(), mask)
        if self._server is not None:
            poll.register(self._server.fileno(), select.POLLIN)
        for client in self._clients:
            if not client.ended:
                poll.register(client.fileno(), select.POLLIN)
        timeout_s = _IDLE_S if not self._attached else 0.5
        if self._sync is not None:
            timeout_s = _SYNC_S
        ready = {fd for fd, _ in poll.poll(timeout_s * 1000)}

        self._look_who_is_there()
        self._pump_input()
        self.port.flush()
        if world.stdout in ready and not self._pump_output():
            return False
        if world.control_out in ready and not self._messages():
            return False
        self._answer_sync()
        if self._server is not None and self._server.fileno() in ready:
            client = self._server.accept()
            if client is not None:
                self._clients.append(client)
        for client in list(self._clients):
            if client.fileno() in ready:
                self._commands(client)
        if self._linger_s is not None and not self._attached:
            self._stopping |= time.monotonic() - self._alone_since > self._linger_s
        return True

    def _look_who_is_there(self) -> None:
        attached = self.port.attached()
        if attached == self._attached:
            return
        if not attached:
            self._world.send(self.port.read())
            self.port.forget_unread()
            self._alone_since = time.monotonic()
            self._deaf = False
        self._attached = attached
        self._world.control({"do": "attached", "value": attached})

    def _pump_input(self) -> None:
        self._world.flush()
        if self._world.room:
            data = self.port.read()
            if data:
                self._world.send(data)

    def _pump_output(self) -> bool:
        data = self._world.read()
        if data is None:
            return False
        self.port.write(data)
        return True

    def _messages(self) -> bool:
        messages = self._world.messages()
        if messages is None:
            return False
        for message in messages:
            if "sync" in message:
                self._sync = message["sync"]
                self._sync_until = time.monotonic() + _PATIENCE_S
                self._take_all_output()
                continue
            client = self._asked.pop(message.get("id", 0), None)
            if client is not None:
                client.waiting -= 1
                ok = "error" not in message
                client.answer({"ok": ok, **{k: v for k, v in message.items() if k != "id"}})
                self._drop_if_done(client)
        return True

    def _take_all_output(self) -> None:
        # Bytes and control lines travel in two pipes: what was written before the question must
        # be with the client before it is answered.
        taken = 0
        while taken < _TAIL_BYTES:
            data = self._world.read()
            if not data:
                return
            taken += len(data)
            self.port.write(data)

    def _answer_sync(self) -> None:
        if self._sync is None:
            return
        if self.port.all_read():
            self._deaf = False
        elif not self._deaf:
            if time.monotonic() < self._sync_until:
                return
            self._deaf = True
        # What the client sent as its answer is consumed before time goes on.
        self._pump_input()
        self._world.control({"do": "synced", "k": self._sync})
        self._sync = None

    def _commands(self, client: control.Client) -> None:
        lines = client.lines()
        for line in lines:
            try:
                request: dict[str, Any] = control.parse(line)
            except UsageError as error:
                client.answer({"ok": False, "error": error.message})
                continue
            # Whatever the caller sent on the port before this command is in front of it.
            self._look_who_is_there()
            self._pump_input()
            self._asked[self._next_id] = client
            client.waiting += 1
            self._world.control({"id": self._next_id, **request})
            self._next_id += 1
        self._drop_if_done(client)

    def _drop_if_done(self, client: control.Client) -> None:
        if client.ended and not client.waiting:
            self._clients.remove(client)
            client.close()
