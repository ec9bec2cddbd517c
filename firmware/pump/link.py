"""The link: lines in, replies, events and telemetry out, for programs and for people.

Bytes that are not a good frame or a known command change nothing. Output waits in a bounded queue
that is written as the port takes it; telemetry is dropped when it does not fit, events too, and
counted: they can be asked for again. Nothing here ever waits for the host.
"""

from micropython import const

from pump import commands, wire, words
from pump.errors import Refused

_QUEUE_MAX = const(6144)  # bytes waiting for the port
_EVENT_ROOM = const(2048)  # kept free of telemetry
_STUCK_MS = const(1)  # until the port is tried again: a host fetches within a USB frame
_REPLIES = const(8)  # remembered by request id
_BREAK = const(3)


class Link:
    """``serial`` is hal.Serial; ``app`` gives state and status; requests go to ``table``."""

    def __init__(self, serial, clock, app, table):
        self._serial = serial
        self._clock = clock
        self._app = app
        self._table = table
        self._line = bytearray()
        self._overlong = False
        self._out = []
        self._waiting = 0
        self._at = 0
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
        """Take in what has come and act on whole lines. Return True for a break-in request."""
        data = self._serial.read()
        at = 0
        while at < len(data):
            if data[at] == 13 and not self._line:
                at += 1
                continue
            if data[at] == _BREAK and not self._line and self._app.may_break_in():
                return True
            end = data.find(b"\n", at)
            # Ctrl-C is a request only at a line's start: there serial.read() ends with it.
            self._collect(data[at : end if end >= 0 else len(data)])
            if end < 0:
                break
            self._take_line()
            at = end + 1
        return False

    def _collect(self, part):
        room = wire.MAX_LINE - len(self._line)
        part = part.replace(b"\r", b"")
        if len(part) > room:
            self._overlong = True
            part = part[:room]
        self._line.extend(part)

    def flush(self):
        """Make telemetry that is due; write what the port takes of the next frame or line."""
        now = self._clock.ms()
        if self._watch_ms and now >= self._watch_due:
            self._watch_due += self._watch_ms
            if self._watch_due <= now:
                self._watch_due = now + self._watch_ms
            self._sent += 1
            self._frame("t", self._sent, self._app.status(), _QUEUE_MAX - _EVENT_ROOM)
        # One frame a pass, so that a command never waits behind more than one.
        self._stuck = False
        if self._out:
            head = self._out[0]
            taken = self._serial.write(head, self._at)
            self._stuck = taken == 0
            self._at += taken
            if self._at == len(head):
                self._waiting -= len(head)
                self._at = 0
                self._out.pop(0)

    def wait_ms(self, most):
        """Return how long the main loop may wait for the link's sake."""
        if self._out:
            return min(most, _STUCK_MS) if self._stuck else 0
        if self._watch_ms:
            return max(0, min(most, self._watch_due - self._clock.ms()))
        return most

    def waiting(self):
        """True while something is left to be written."""
        return bool(self._out)

    def watch(self, ms):
        """Send the status every ``ms`` milliseconds from now on; 0 ends it."""
        self._watch_ms = ms
        self._watch_due = self._clock.ms() + ms

    def event(self, event):
        """Send an event; the events table is called with this as its listener."""
        if self._open:
            self._frame("e", event["n"], event, _QUEUE_MAX)
        else:
            self._plain(words.event_line(event), _QUEUE_MAX)

    def leave(self):
        """The program is done: no telemetry, and events as lines for people."""
        self._open = False
        self._watch_ms = 0

    # -- in -----------------------------------------------------------------------------------

    def _take_line(self):
        line, self._line = self._line, bytearray()
        overlong, self._overlong = self._overlong, False
        if overlong:
            error = Refused("E_LINE", "line longer than %d bytes" % wire.MAX_LINE)
            if line[:1] == b"!":
                self._reply(0, {"id": None, "err": error.as_dict()})
            else:
                self._plain(words.error_lines(error), _QUEUE_MAX)
        elif line[:1] == b"!":
            self._request(line)
        elif line.strip():
            self._words(line)

    def _request(self, line):
        try:
            kind, seq, request = wire.decode(line)
            if kind != "q":
                raise wire.WireError("E_FRAME", "a host sends requests", seq)
        except wire.WireError as error:
            refused = Refused(error.code, error.message)
            self._reply(error.seq, {"id": None, "err": refused.as_dict()})
            return
        self.heard_ms = self._clock.ms()
        request_id, name, args = request.get("id"), request.get("c"), request.get("a") or {}
        if not isinstance(request_id, str) or len(request_id) > 24 or not isinstance(args, dict):
            error = Refused("E_ARG", "a request has id, c and a")
            self._reply(seq, {"id": None, "err": error.as_dict()})
            return
        for known, reply in self._replies:
            if known == request_id:  # sent again: the same answer, the act not repeated
                self._reply(seq, reply)
                return
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
        try:
            for byte in line:
                if byte > 127 or (byte < 32 and byte != 9):
                    # µ is two bytes; the terminal form takes uL
                    raise Refused("E_LINE", "plain words are ASCII: write uL for microlitre")
            name, args = commands.parse_words(bytes(line).decode().strip())
            self._plain(words.reply_lines(name, self._table.run(name, args)), _QUEUE_MAX)
        except Refused as error:
            self._plain(words.error_lines(error), _QUEUE_MAX)

    # -- out ----------------------------------------------------------------------------------

    def _reply(self, seq, reply):
        self._frame("r", seq, reply, 2 * _QUEUE_MAX)

    def _frame(self, kind, seq, obj, most):
        try:
            self._queue(wire.encode(kind, seq, obj), most)
        except wire.WireError as error:
            if kind == "r":
                refused = Refused(error.code, error.message).as_dict()
                self._queue(wire.encode(kind, seq, {"id": obj["id"], "err": refused}), most)
            else:
                self.dropped += 1

    def _plain(self, text, most):
        self._queue(text.replace("\n", "\r\n").encode(), most)

    def _queue(self, data, most):
        if self._waiting + len(data) > most:
            self.dropped += 1
            return
        self._out.append(data)
        self._waiting += len(data)
