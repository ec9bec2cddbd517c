"""link, commands and controller by pairs of sent and received bytes, over a port in memory."""

import zlib

import pytest
from unit.firmware.bench import CONFIG, commands, configuration
from unit.firmware.wire_host import Host, frame, unframe

from doseloop import resources

states = resources.firmware_module("states")
wire = resources.firmware_module("wire")


@pytest.fixture
def host():
    host = Host(configuration())
    assert host.ask("hello")["ok"]["session"] == 1
    return host


def test_a_session_by_hand():
    host = Host()
    sent = b'!q 1 {"id":"a","c":"hello","a":{}} '
    reply = host.raw(sent + b"%08x\n" % zlib.crc32(sent))
    kind, seq, body = unframe(reply)
    assert (kind, seq, body["id"], body["ok"]["session"]) == ("r", 1, "a", 1)
    assert host.ask("hello", {})["ok"]["session"] == 2


def test_a_repeated_frame_gets_the_same_reply_and_does_nothing_twice(host):
    sent = frame("q", 7, {"s": 1, "id": "once", "c": "load", "a": {"volume_al": 10**15}})
    first = host.reply(sent)
    events = host.bench.events.last
    assert "ok" in first[2]
    host.bench.motor.position = 5  # load would set it back to 0
    for _ in range(3):
        assert host.reply(sent) == first
    assert host.bench.motor.position == 5
    assert host.bench.events.last == events


def test_a_refusal_is_repeated_too(host):
    sent = frame("q", 7, {"s": 1, "id": "no", "c": "resume", "a": {}})
    first = host.reply(sent)
    assert first[2]["err"]["code"] == "E_STATE"
    assert host.reply(sent) == first


def test_a_late_frame_is_stale_and_another_session_is_over(host):
    load = {"volume_al": 10**15}
    host.seq = 20
    assert "ok" in host.ask("load", load)
    before = host.snapshot()
    for seq in (20, 19, 0):  # the last one again under a new id, and older ones
        late = {"s": 1, "id": f"late{seq}", "c": "load", "a": load}
        assert host.reply(frame("q", seq, late))[2]["err"]["code"] == "E_STALE"
    host.seq = 30
    for session in (0, 2, None, "1", [], 10**20):
        assert host.error("load", load, s=session) == "E_SESSION"
    assert host.snapshot() == before
    assert host.ask("hello")["ok"]["session"] == 2
    host.seq = 1  # a new session counts from its hello
    host.ask("hello")
    assert "ok" in host.ask("status")


def test_a_delayed_frame_acts_at_most_once_even_when_its_reply_is_forgotten(host):
    sent = frame("q", 5, {"s": 1, "id": "old", "c": "load", "a": {"volume_al": 10**15}})
    host.reply(sent)
    host.seq = 5
    for _ in range(20):
        host.ask("status")
    before = host.snapshot()
    assert host.reply(sent)[2]["err"]["code"] == "E_STALE"
    assert host.snapshot() == before


GOOD = frame("q", 9, {"s": 1, "id": "g", "c": "load", "a": {"volume_al": 10**15}})
BROKEN = {
    "E_CRC": [GOOD[:-3] + b"00\n", GOOD.replace(b"load", b"lond"), GOOD.replace(b" 9 ", b" 8 ")],
    "E_FRAME": [
        b"!\n",
        b"!q\n",
        b"!q 9 {}\n",
        GOOD[:-10] + b"\n",
        frame("q", 9, None, "{"),
        frame("q", 9, []),
        frame("q", 9, 5),
        frame("z", 9, {}),
        frame("r", 9, {}),
        frame("q", -1, {}),
        frame("q", "1_0", {}),
        frame("q", 9, None, '{"s":1,"id":"\x01"}'),
        GOOD.replace(b"load", b"l\xffad"),
    ],
    "E_ARG": [
        frame("q", 9, {}),
        frame("q", 9, {"s": 1, "id": 5, "c": "load", "a": {}}),
        frame("q", 9, {"s": 1, "id": "x" * 25, "c": "load", "a": {}}),
        frame("q", 9, {"s": 1, "id": "x", "c": "load", "a": [1]}),
        frame("q", 9, {"s": 1, "id": "x", "c": "load", "a": "volume"}),
    ],
    "E_LINE": [b"!" + b"x" * 1024 + b"\n", GOOD[:-1] + b" " * 1024 + b"\n", b"!" * 5000 + b"\n"],
}


@pytest.mark.parametrize(
    ("code", "line"), [(code, line) for code, lines in BROKEN.items() for line in lines]
)
def test_a_bad_line_has_a_name_and_changes_nothing(host, code, line):
    before = host.snapshot()
    ((kind, _, body),) = host.frames(line)
    assert kind == "r"
    assert body["id"] is None
    if code == "E_FRAME" and body["err"]["code"] == "E_CRC":
        assert line == GOOD[:-10] + b"\n"  # a truncated frame may be called either
    else:
        assert body["err"]["code"] == code
    assert body["err"]["next"]
    assert host.snapshot() == before
    assert "ok" in host.ask("status")  # and the link goes on


def test_a_frame_of_exactly_the_longest_line_is_taken(host):
    body = '{"s":1,"id":"x","c":"status","a":{}%s}'
    room = wire.MAX_LINE - len(frame("q", 9, None, body % ""))
    line = frame("q", 9, None, body % (" " * room))
    assert len(line) == wire.MAX_LINE
    assert "ok" in host.reply(line)[2]


@pytest.mark.parametrize(
    "line",
    [b"\xff\x00\x03\n", b"x" * 2000 + b"\n", b"bogus 1 2\n", b"!" + b"y" * 2000 + b"\n",
     b"!nonsense\n", b"!q 1 {} 00000000\n"],
)  # fmt: skip
def test_noise_is_answered_without_reading_a_module_from_flash(host, monkeypatch, line):
    # Each reading takes the chip some 0.1 s, and a command behind the noise would wait for it.
    def read(*names):
        raise AssertionError(names)

    monkeypatch.setattr(resources.firmware_module("borrow"), "_lend", read)
    answer = host.raw(line)
    assert answer.startswith((b"E_LINE ", b"E_COMMAND ", b"!r "))
    assert b"next" in answer


@pytest.mark.parametrize("command", [None, "", "STATUS", "__init__", "run", 5, [], {}, ["load"]])
def test_an_unknown_command_of_any_type(host, command):
    before = host.snapshot()
    assert host.error(command) == "E_COMMAND"
    assert host.snapshot() == before


WRONG = [None, -1, 1.5, True, "5 mL", "", [], {}, 10**30]


@pytest.mark.parametrize("command", sorted(commands.TABLE))
def test_arguments_of_the_wrong_type_change_nothing(host, command):
    spec = commands.TABLE[command]
    before = host.snapshot()
    assert host.error(command, {"nonsense": 1}) == "E_ARG"
    for key, kind, required in spec:
        given = {other: "x" if k == "text" else 1 for other, k, need in spec if need}
        for value in WRONG:
            if (kind == "text" and isinstance(value, str)) or (value is None and not required):
                continue
            assert host.error(command, {**given, key: value}) == "E_ARG"
        if required:
            del given[key]
            assert host.error(command, given) == "E_ARG"
    assert host.snapshot() == before


@pytest.mark.parametrize("value", [2**30, 2**31, 2**32, 10**20, 10**29])
def test_numbers_beyond_a_machine_word(host, value):
    # MicroPython can't slice with them; here it is the answer that counts.
    before = host.snapshot()
    for command, key in (("commands", "from"), ("events", "since")):
        reply = host.ask(command, {key: value})
        assert "ok" in reply or reply["err"]["code"] == "E_ARG"
    assert host.error("load", {"volume_al": 10**29}) == "E_VOLUME"
    assert host.snapshot() == before


def test_refusals_name_limit_and_nearest(host):
    host.ask("load", {"volume_al": 40 * 10**15})
    reply = host.ask("infuse", {"volume_al": 10**15, "rate_al_per_h": 10**21})["err"]
    assert reply["code"] == "E_RATE_HIGH"
    most = configuration()["limits"]["rate_max_al_per_h"]
    quantity = resources.firmware_module("quantity")
    assert quantity.parse(reply["nearest"], "rate") == most
    assert "ok" in host.ask("infuse", {"volume_al": 10**15, "rate_al_per_h": most})
    reply = host.ask("infuse", {"volume_al": 41 * 10**15, "rate_al_per_h": 10**15})["err"]
    assert reply["code"] == "E_VOLUME" and reply["limit"] == reply["nearest"]
    assert host.error("infuse", {"volume_al": 10**15}) == "E_ORDER"
    assert host.error("infuse", {"volume_al": 10**15, "rate_al_per_h": 1}) == "E_RATE_LOW"


def test_without_a_configuration_nothing_can_move():
    host = Host()
    host.ask("hello")
    infuse = {"volume_al": 10**15, "rate_al_per_h": 10**15}
    before = host.snapshot()
    assert host.error("infuse", infuse) == "E_CONFIG"
    assert host.error("load", {"volume_al": 10**15}) == "E_CONFIG"
    assert host.error("config_get", {"offset": 0}) == "E_CONFIG"
    for command in ("start", "resume", "pause", "rate"):
        assert host.error(command, {"rate_al_per_h": 1} if command == "rate" else {}) == "E_STATE"
    assert host.snapshot() == before


def test_a_configuration_in_parts():
    host = Host()
    host.ask("hello")
    for at in range(0, len(CONFIG), 500):
        part = CONFIG[at : at + 500]
        reply = host.ask("put", {"slot": "config", "offset": at, "data": part})
        assert reply["ok"]["size"] == at + len(part)
    assert host.error("config", {"size": len(CONFIG) - 1}) == "E_SIZE"
    assert host.bench.motor is None
    digest = host.ask("config", {"size": len(CONFIG)})["ok"]["digest"]
    assert host.bench.motor is None
    assert host.ask("confirm", {"digest": digest})["ok"]["config_crc"] == CONFIG.split()[3]
    assert host.error("config", {"size": len(CONFIG)}) == "E_SIZE"  # it was taken
    damaged = CONFIG.replace("20000", "20001", 1)
    for at in range(0, len(damaged), 500):
        host.ask("put", {"slot": "config", "offset": at, "data": damaged[at : at + 500]})
    motor = host.bench.motor
    assert host.error("config", {"size": len(damaged)}) == "E_CRC"
    assert host.bench.motor is motor


def test_the_table_of_commands_fits_the_line_and_is_whole(host):
    names, first = [], 0
    while first is not None:
        reply = host.ask("commands", {"from": first})["ok"]
        names += [row["name"] for row in reply["commands"]]
        first = reply["next"]
    assert names == sorted(commands.TABLE)


def test_events_can_be_asked_for_again_whatever_they_hold(host):
    events = host.bench.events
    events.listener = lambda event: None
    for i in range(100):
        events.add("fault", code="E_INTERNAL", text=('File "x"\n' * 60)[-400:], i=i)
        events.add("order", name="Größe µ" * 9, crc="12345678")
    seen, since = [], 0
    for _ in range(300):
        found = host.ask("events", {"since": since, "max": 3})["ok"]["events"]
        if not found:
            break
        seen += [event["n"] for event in found]
        since = seen[-1]
    assert seen == list(range(events.first(), events.last + 1))


def test_watch_sends_telemetry_that_a_slow_host_may_miss(host):
    assert host.error("watch", {"ms": 19}) == "E_ARG"
    assert host.ask("watch", {"ms": 100})["ok"] == {"ms": 100}
    host.bench.clock.now += 250_000
    kinds = [kind for kind, _, _ in host.frames(b"")]
    assert kinds == ["t"]
    host.bench.serial.room = 0  # the host stops reading for a minute
    for _ in range(600):
        host.bench.clock.now += 100_000
        host.raw(b"")
    link = host.bench.link
    assert link._waiting <= 6144 and link.dropped > 0
    host.bench.serial.room = 10**9
    assert all(kind == "t" for kind, _, _ in host.frames(b""))
    assert host.ask("watch", {"ms": 0})["ok"] == {"ms": 0}
    host.bench.clock.now += 10**6
    assert host.raw(b"") == b""


def test_any_number_of_bytes_at_a_time():
    host = Host(configuration())
    sent = frame("q", 1, {"id": "a", "c": "hello", "a": {}}) * 2
    one = host.frames(sent)
    other = Host(configuration())
    byte_by_byte = b"".join(other.raw(sent[i : i + 1]) for i in range(len(sent)))
    assert [unframe(line) for line in byte_by_byte.splitlines(keepends=True)] == one


def test_control_c_is_data_inside_a_line_and_while_busy(host):
    link, serial = host.bench.link, host.bench.serial
    serial.to_pump += b"\x03"
    assert link.poll() is True
    assert b"E_LINE" in host.raw(b"sta\x03tus\n")
    host.ask("infuse", {"volume_al": 10**12, "rate_al_per_h": 10**15})
    host.bench.controller.state = states.INFUSING
    serial.to_pump += b"\x03"
    assert link.poll() is False
