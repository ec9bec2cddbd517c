"""The link: lines in, replies, events and telemetry out, for programs and for people.

Bytes that are not a good frame or a known command change nothing. Output waits in bounded queues
that are written as the port takes it, replies first; what does not fit is dropped and counted:
events can be asked for again. Nothing here ever waits for the host. A pass of the main loop takes
in one good line, and makes one telemetry frame or writes one line: so a command waits for little.
"""

from micropython import const

from pump import borrow, shown, wire
from pump.errors import Refused

_QUEUE_MAX = const(6144)  # bytes of events and telemetry waiting for the port
_ALL_MAX = const(12288)  # with the replies
_LINE_MAX = const(1025)  # wire.MAX_LINE, and a carriage return that a relay adds
_STUCK_MS = const(1)  # until the port is tried again: a host fetches within a USB frame
_BAD_LINES = const(4)  # at most, in a pass of the main loop
_REPLIES = const(8)  # remembered by request id
_AT_ONCE = ("stop", "pause")  # typed: before the words for an answer are read from flash


class Link:
    """``serial`` is hal.Serial; ``app`` gives state and status; requests go to ``table``."""

    def __init__(self, serial, clock, app, table):
        self._serial = serial
        self._clock = clock
        self._app = app
        self._table = table
        self._line = bytearray()  # of a line that has not come whole yet
        self._overlong = False
        self._answers = []  # lines to send: these first, ...
        self._others = []  # ... then events and telemetry
        self._from = self._others  # the one whose first line is being written, ...
        self._at = 0  # ... from here on
        self._waiting = 0  # bytes in both
        self._stuck = False
        self._replies = []
        self.session = 0
        self._open = False
        self._seq = -1
        self._sent = 0
        self._watch_ms = 0
        self._watch_due = 0
        self.dropped = 0
        self.heard_ms = 0

    def poll(self):
        """Take in what has come, and act on a line that is whole; a bad line does not keep the one
        behind it waiting. Return True for a break-in request."""
        for _ in range(_BAD_LINES):
            taken = self._poll()
            if taken is not None:
                return taken
        return False

    def _poll(self):
        # Returns None for a line that was none: there may be a better one behind it.
        data = self._serial.read()  # nothing past a newline or a Ctrl-C
        if not self._line:
            if data == b"\n":  # a program's way to end noise: what follows is not kept waiting
                data = self._serial.read()
            data = data.lstrip(b"\r")
            if data == b"\x03" and self._app.may_break_in():
                return True
        if not data:
            return False
        whole = data[-1] == 10
        if self._line or not whole:
            room = _LINE_MAX - len(self._line)
            if len(data) > room:
                self._overlong = True
            self._line.extend(data[:room])
            if not whole:
                return False
            data, self._line = bytes(self._line), bytearray()
        return False if self._take_line(data) else None

    def flush(self):
        """Write what the port takes of the next line. When none waits, make telemetry that is due:
        so none waits behind older telemetry, and a pass does one of the two."""
        busy = self._waiting > 0
        if busy:
            self._write()
        late = self._clock.ms() - self._watch_due if self._watch_ms else -1
        if busy:
            if self._stuck and late >= self._watch_ms > 0:
                self.dropped += 1
                self._watch_due += self._watch_ms
        elif late >= 0:
            self._watch_due += self._watch_ms + (late if late >= self._watch_ms else 0)
            self._sent += 1
            self._frame("t", self._sent, self._app.status(), self._others, _QUEUE_MAX)

    def _write(self):
        if not self._at:
            self._from = self._answers or self._others
        line = self._from[0]
        taken = self._serial.write(line, self._at)
        self._stuck = taken == 0
        self._at += taken
        self._waiting -= taken
        if self._at == len(line):
            self._from.pop(0)
            self._at = 0

    def wait_ms(self, most):
        """Return how long the main loop may wait for the link's sake."""
        if self._waiting:
            return min(most, _STUCK_MS) if self._stuck else 0
        if self._watch_ms:
            return max(0, min(most, self._watch_due - self._clock.ms()))
        return most

    def waiting(self):
        """True while something is left to be written."""
        return self._waiting > 0

    def watch(self, ms):
        """Send the status every ``ms`` milliseconds from now on; 0 ends it."""
        self._watch_ms = ms
        self._watch_due = self._clock.ms() + ms

    def event(self, event):
        """Send an event; the events table is called with this as its listener."""
        if self._open:
            self._frame("e", event["n"], event, self._others, _QUEUE_MAX)
        else:
            self._plain(shown.event_line(event), self._others, _QUEUE_MAX)

    def leave(self):
        """The program is done: no telemetry, and events as lines for people."""
        self._open = False
        self._watch_ms = 0

    # -- in -----------------------------------------------------------------------------------

    def _take_line(self, line):
        """Act on a line; return whether it was a good one."""
        overlong, self._overlong = self._overlong, False
        frame = line[0] == 33  # "!"
        if overlong:
            error = _no_line("line longer than %d bytes" % wire.MAX_LINE)
            if frame:
                self._reply(0, {"id": None, "err": error.as_dict()})
            else:
                self._say(error.as_text())
            return False
        if frame:
            return self._request(line)
        return bool(line.strip()) and self._words(line)

    def _request(self, line):
        try:
            kind, seq, request = wire.decode(line)
            if kind != "q":
                raise wire.WireError("E_FRAME", "a host sends requests", seq)
        except wire.WireError as error:
            refused = Refused(error.code, error.message, next_step="send it again")
            self._reply(error.seq, {"id": None, "err": refused.as_dict()})
            return False
        self.heard_ms = self._clock.ms()
        request_id, name, args = request.get("id"), request.get("c"), request.get("a") or {}
        if not isinstance(request_id, str) or len(request_id) > 24 or not isinstance(args, dict):
            error = Refused("E_ARG", "a request has id, c and a")
            self._reply(seq, {"id": None, "err": error.as_dict()})
            return True
        for known, reply in self._replies:
            if known == request_id:  # sent again: the same answer, the act not repeated
                self._reply(seq, reply)
                return True
        reply = {"id": request_id}
        try:
            self._check_order(name, seq, request.get("s"))
            reply["ok"] = self._table.run(name, args)
            if name == "hello":
                self.session += 1
                self._open = True
                reply["ok"]["session"] = self.session
        except Refused as error:
            reply["err"] = error.as_dict()
        except Exception as error:
            # It may have acted: remembered like any other, so that a repeat doesn't act again.
            reply["err"] = Refused("E_INTERNAL", "internal: %r" % error).as_dict()
            self._answer(request_id, seq, reply)
            raise
        self._answer(request_id, seq, reply)
        return True

    def _answer(self, request_id, seq, reply):
        self._replies.append((request_id, reply))
        if len(self._replies) > _REPLIES:
            self._replies.pop(0)
        self._reply(seq, reply)

    def _check_order(self, name, seq, session):
        if name == "hello":
            self._seq = seq
            return
        if session != self.session:
            raise Refused("E_SESSION", "this session is over")
        if seq <= self._seq:
            raise Refused("E_STALE", "frame %d came late; %d was the last" % (seq, self._seq))
        self._seq = seq  # also when it is refused: it must not act when it comes once more, late

    def _words(self, line):
        self.heard_ms = self._clock.ms()
        known = False
        try:
            line = line.strip()
            for byte in line:
                if byte > 127 or (byte < 32 and byte != 9):
                    # µ is two bytes; the terminal form takes uL
                    raise _no_line("plain words are ASCII: write uL for microlitre")
            name, args, reply = line.decode(), {}, None
            self._table.check_name(name.split(" ")[0])
            known = True
            if name in _AT_ONCE:
                reply = self._table.run(name, args)
            words = borrow.words()
            if reply is None:
                name, args = words.parse(name)
                reply = self._table.run(name, args)
            self._say(words.reply_lines(name, reply))
        except Refused as error:
            self._say(error.as_text())
        return known

    # -- out ----------------------------------------------------------------------------------

    def _reply(self, seq, reply):
        self._frame("r", seq, reply, self._answers, _ALL_MAX)

    def _say(self, text):
        self._plain(text, self._answers, _ALL_MAX)

    def _frame(self, kind, seq, obj, queue, most):
        try:
            line = wire.encode(kind, seq, obj)
        except wire.WireError as error:
            if kind != "r":
                self.dropped += 1
                return
            refused = Refused(error.code, error.message).as_dict()
            line = wire.encode(kind, seq, {"id": obj["id"], "err": refused})
        self._queue(line, queue, most)

    def _plain(self, text, queue, most):
        self._queue(text.replace("\n", "\r\n").encode(), queue, most)

    def _queue(self, line, queue, most):
        if self._waiting + len(line) > most:
            self.dropped += 1
            return
        queue.append(line)
        self._waiting += len(line)


def _no_line(why):
    # Noise makes many of these, and none may cost a reading of next_steps.py from flash.
    step = "end each command with a newline; at most %d bytes" % wire.MAX_LINE
    return Refused("E_LINE", why, next_step=step)
