"""The world's outside line: the serial bytes, and the control channel to `doseloop sim`.

Descriptors 0 and 1 carry what the pump reads and writes; 3 and 4 carry JSON lines. The launcher
(host_tools/doseloop/sim) owns the pseudo-terminal and answers `sync` when its client has read.
"""

_PACE_MS = 5  # virtual time follows real time in steps of this; a byte ends the wait
_PACKET = 64
_PIPE_BUF = 4096  # a pipe that polls as writable takes this much


class Line:
    """``select`` and ``ticks_us`` are the real ones, from before virtual time took their names.

    streams: pump bytes in and out, control lines in and out, standard error.
    """

    def __init__(self, select, ticks_us, json, streams, commands):
        stdin, stdout, control_in, control_out, err = streams
        self._select = select
        self._ticks_us = ticks_us
        self._json = json
        self._stdin = stdin
        self._control_in = control_in
        self._control_out = control_out
        self._commands = commands  # name: function(kernel, message) -> dict
        self._err = err
        self._both = select.poll()
        self._both.register(stdin, select.POLLIN)
        self._both.register(control_in, select.POLLIN)
        self._only_in = select.poll()
        self._only_in.register(stdin, select.POLLIN)
        self._only_control = select.poll()
        self._only_control.register(control_in, select.POLLIN)
        self._only_out = select.poll()
        self._only_out.register(stdout, select.POLLOUT)
        self._room = 0
        self.attached = False
        self.deaf_room = None  # bytes that a deaf host's USB still takes
        self._dirty = False
        self._synced = self._sync = 0
        self._pending = b""
        self._advancing = None
        self._until = None
        self._real = self._virtual = 0
        self._wait_until = False

    # -- the firmware's side ------------------------------------------------------------------

    def readable(self):
        return self._ready(self._only_in)

    def writable(self):
        """POLLOUT: whether a write would find room at all."""
        return self._room > 0 or self._ready(self._only_out)

    def _ready(self, poll):
        for _, event in poll.poll(0):
            if event & (self._select.POLLIN | self._select.POLLOUT):
                return True
            # Hung up: the launcher was killed. The board ends as if its power were cut; else its
            # firmware would take the broken pipe for a fault of its own, and go on for ever.
            raise SystemExit(0)
        return False

    def fetched(self):
        """The USB endpoint: whether the host has taken the packet before. The next one follows."""
        if self.deaf_room is not None:
            if self.deaf_room <= 0:
                return False
            self.deaf_room -= _PACKET
        if self._room < _PACKET:
            if not self._ready(self._only_out):
                return False  # the launcher holds back: its client does not read
            self._room = _PIPE_BUF
        self._room -= _PACKET
        self._dirty = True
        return True

    # -- the kernel's side --------------------------------------------------------------------

    def serve(self, kernel):
        """Act on the control lines that have come."""
        while self._only_control.poll(0):
            self._take(kernel)

    def block(self, kernel):
        """Nothing is due: wait, in real time, for the host or a control line."""
        self.rebase(kernel)
        for stream, _ in self._both.poll(-1):
            if stream is self._control_in:
                self._take(kernel)

    def settle(self, kernel):
        """Before time moves on: let the client read what the pump wrote."""
        if not self._dirty:
            return
        self._dirty = False
        if not self.attached:
            return
        self._sync += 1
        self._send({"sync": self._sync})
        while self._synced < self._sync and self.attached:
            self._take(kernel)

    def pace(self, kernel, horizon):
        """Return how far time may go at the kernel's speed, waiting for it if need be."""
        now = self._ticks_us()
        allowed = self._virtual + int((now - self._real) * kernel.speed)
        if allowed <= kernel.now:
            self._both.poll(_PACE_MS)
            return kernel.now
        return min(horizon, allowed)

    def rebase(self, kernel):
        """Virtual and real time run together from here."""
        self._real, self._virtual = self._ticks_us(), kernel.now

    def saw(self, kernel, event):
        """The firmware recorded an event."""
        if self._until is not None and self._until[1] == event:
            self._answer(self._until[0], {"now_ns": kernel.now * 1000})
            self._until = None
            kernel.held = True

    def arrived(self, kernel):
        """`advance` has reached its instant."""
        kernel.hold_at = None
        kernel.held = True
        if self._advancing is not None:
            self.settle(kernel)
            self._answer(self._advancing, {"now_ns": kernel.now * 1000})
            self._advancing = None

    def note(self, text):
        self._err.write("sim: " + text + "\n")

    # -- control ------------------------------------------------------------------------------

    def _take(self, kernel):
        text = self._control_in.readline()
        if not text:
            raise SystemExit(0)  # the launcher is gone
        message = self._json.loads(text)
        what = message.get("do")
        number = message.get("id")
        if what == "synced":
            self._synced = message["k"]
        elif what == "attached":
            self.attached = message["value"]
        elif what == "advance":
            whole, _, part = message["seconds"].partition(".")
            us = int(whole) * 1_000_000 + int((part + "000000")[:6])
            kernel.hold_at = kernel.now + us
            kernel.held = False
            self.rebase(kernel)
            self._advancing = number
        elif what == "until":
            self._until = (number, message["event"])
            kernel.held = False
            self.rebase(kernel)
        elif what == "hold" or what == "go":
            kernel.held = what == "hold"
            self.rebase(kernel)
            self._answer(number, {"now_ns": kernel.now * 1000})
        else:
            try:
                reply = self._commands[what](kernel, message)
            except (ValueError, KeyError) as error:
                self._send({"id": number, "error": str(error)})
            else:
                self._answer(number, reply[0])
                if reply[1] is not None:
                    raise reply[1]

    def _answer(self, number, fields):
        if number is not None:
            reply = {"id": number, "ok": True}
            reply.update(fields)
            self._send(reply)

    def _send(self, obj):
        self._control_out.write((self._json.dumps(obj) + "\n").encode())
