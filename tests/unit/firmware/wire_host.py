"""A host program of the tests: makes frames itself, sends bytes to a Bench, reads what comes."""

import json
import zlib

from unit.firmware.bench import Bench


def frame(kind, seq, obj, text=None):
    """Return a frame, made here and not by the firmware."""
    head = f"!{kind} {seq} {text or json.dumps(obj)} ".encode()
    return head + b"%08x\n" % zlib.crc32(head)


def unframe(line):
    assert line.startswith(b"!") and line.endswith(b"\n")
    head, crc = line[:-9], line[-9:-1]
    assert b"%08x" % zlib.crc32(head) == crc
    kind, seq, body = head[1:-1].decode("ascii").split(" ", 2)
    return kind, int(seq), json.loads(body)


class Host:
    """Sends bytes and collects what comes back."""

    def __init__(self, config=None):
        self.bench = Bench(config)
        self.seq = 0

    def raw(self, data):
        self.bench.serial.to_pump += data
        while self.bench.serial.to_pump:
            self.bench.link.poll()
        self.bench.link.flush()
        while self.bench.link.wait_ms(1) == 0:
            self.bench.link.flush()
        out, self.bench.serial.from_pump = bytes(self.bench.serial.from_pump), bytearray()
        return out

    def frames(self, data):
        return [unframe(line) for line in self.raw(data).splitlines(keepends=True)]

    def reply(self, data):
        (reply,) = [found for found in self.frames(data) if found[0] == "r"]
        return reply

    def ask(self, command, args=None, **more):
        self.seq += 1
        request = {
            "s": self.bench.link.session,
            "id": f"r{self.seq}",
            "c": command,
            "a": args or {},
        }
        return self.reply(frame("q", self.seq, {**request, **more}))[2]

    def error(self, *args, **more):
        reply = self.ask(*args, **more)
        assert "ok" not in reply
        assert set(reply["err"]) == {"code", "message", "limit", "nearest", "next"}
        assert reply["err"]["next"], "an error says what to do next"
        return reply["err"]["code"]

    def snapshot(self):
        """Everything that a bad request must not change."""
        bench, link = self.bench, self.bench.link
        return json.dumps(
            [
                bench.status(),
                link.session,
                bench.events.last,
                bench.left,
                str(bench.controller.order),
                link._watch_ms,
                bench.table._slots,
                bench.controller.pending.digest,
            ]
        )
