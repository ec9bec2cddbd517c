"""hal/serial over a port that takes and gives as little as it likes."""

import builtins
import importlib
import sys
from types import SimpleNamespace

import pytest

from doseloop import resources

USB_AVAILABLE = 1 << 10


class Port:
    """stdin, stdout and the USB endpoint. A read that would wait raises."""

    def __init__(self):
        self.to_pump, self.from_pump = bytearray(), bytearray()
        self.takes = []  # what each write takes at most; then all of it
        self.unfetched = 0  # looks at which the last packet still lies there

    def readinto(self, buffer):
        assert self.to_pump, "a read that would wait for the host"
        buffer[0] = self.to_pump.pop(0)
        return 1

    def write(self, data):
        taken = min(len(data), self.takes.pop(0)) if self.takes else len(data)
        self.from_pump += data[:taken]
        return taken

    def __getitem__(self, _address):
        self.unfetched -= 1
        return USB_AVAILABLE if self.unfetched >= 0 else 0


@pytest.fixture
def port():
    return Port()


@pytest.fixture
def serial(port, monkeypatch):
    stdout = SimpleNamespace(buffer=port)

    class Poll:
        def register(self, stream, mask):
            self.stream = stream

        def poll(self, ms):
            return [1] if self.stream is stdout or port.to_pump else []

        ipoll = poll

    resources.firmware_module("wire")
    fakes = {
        "machine": SimpleNamespace(mem32=port),
        "select": SimpleNamespace(poll=Poll, POLLIN=1, POLLOUT=4),
        "uctypes": SimpleNamespace(),
    }
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.setattr(sys.modules["micropython"], "kbd_intr", lambda code: None, raising=False)
    monkeypatch.setattr(builtins, "ptr8", lambda buffer: buffer, raising=False)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=port))
    monkeypatch.setattr(sys, "stdout", stdout)
    for name in ("pump.hal.registers", "pump.hal.serial"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("pump.hal.serial").Serial()
    for name in ("pump.hal.registers", "pump.hal.serial"):
        sys.modules.pop(name, None)  # they hold the fakes


def test_a_read_ends_with_the_line_and_never_asks_for_what_is_not_there(serial, port):
    port.to_pump += b"status\r\nst"
    assert [serial.read() for _ in range(3)] == [b"status\r\n", b"st", b""]
    port.to_pump += b"op\x03\x01"  # what follows a Ctrl-C may be the REPL's
    assert serial.read() == b"op\x03"
    assert port.to_pump == b"\x01"
    port.to_pump[:] = bytes(range(11, 256)) * 2
    assert serial.read() == bytes(range(11, 139))


def test_all_of_a_line_goes_out_a_packet_at_a_time(serial, port):
    line = bytes(range(200))
    assert serial.write(line, 0) == 200
    assert serial.write(line, 150) == 50
    assert port.from_pump == line + line[150:]


def test_a_packet_that_is_not_fetched_keeps_the_next_one_back(serial, port):
    port.unfetched = 100
    assert serial.write(bytes(64), 0) == 0
    assert port.from_pump == b""


@pytest.mark.parametrize("takes", [[64, 10], [0], [1, 2, 3, 0, 64], [63] * 4])
def test_a_port_that_takes_a_part_loses_and_doubles_nothing(serial, port, takes):
    # 64, then 10 of the next 64: the rest of that packet comes with the call after.
    line = bytes(range(200))
    port.takes = list(takes)
    at = tries = 0
    while at < len(line):
        at += serial.write(line, at)
        tries += 1
        assert tries < 9
        assert port.from_pump == line[:at]
