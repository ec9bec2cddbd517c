"""What goes out first, what waits, and that one line going wrong costs no other."""

import pytest
from unit.firmware.bench import configuration
from unit.firmware.wire_host import Host, frame, unframe


@pytest.fixture
def host():
    host = Host(configuration())
    host.ask("hello")
    return host


def request(seq, command, **args):
    return frame("q", seq, {"s": 1, "id": f"r{seq}", "c": command, "a": args})


def sent(host):
    """Return kind and number of each frame that came; take them. Each must be whole."""
    lines = bytes(host.bench.serial.from_pump).splitlines(keepends=True)
    host.bench.serial.from_pump.clear()
    return [unframe(line)[:2] for line in lines]


def run(host, passes=50):
    for _ in range(passes):
        host.bench.link.poll()
        host.bench.link.flush()


def test_a_reply_overtakes_whole_lines_and_never_cuts_one(host):
    bench = host.bench
    bench.serial.room = 0
    for i in range(3):
        bench.events.add("fault", code="E_INTERNAL", text="x" * i)
    first = bench.events.last - 2
    bench.serial.room = 10  # of the first event the port takes ten bytes, then no more
    run(host)
    assert len(bench.serial.from_pump) == 10
    bench.serial.to_pump += request(50, "status") + request(51, "events", since=first)
    run(host)
    bench.serial.room = 10**9
    run(host)
    assert sent(host) == [
        ("e", first),
        ("r", 50),
        ("r", 51),
        ("e", first + 1),
        ("e", first + 2),
    ]


def test_a_reply_overtakes_events_that_fill_the_queue(host):
    bench = host.bench
    bench.serial.room = 0
    for _ in range(100):
        bench.events.add("fault", code="E_INTERNAL", text="x" * 100)
    assert bench.link.dropped > 0
    for seq in range(50, 100):
        bench.serial.to_pump += request(seq, "status")
    run(host, 200)
    assert bench.link._waiting <= 12288
    bench.serial.room = 10**9
    run(host, 200)
    kinds = [kind for kind, _ in sent(host)]
    replies = kinds.count("r")
    # 12 kB less 6 kB of events leave room for some 20 replies, not for all 50.
    assert 10 < replies < 50
    assert kinds == ["r"] * replies + ["e"] * (len(kinds) - replies)
    assert bench.link._waiting == 0


def test_words_answer_before_events_too():
    host = Host(configuration())
    bench = host.bench
    bench.events.add("fault", code="E_INTERNAL", text="one")
    bench.serial.to_pump += b"status\n"
    run(host)
    assert bytes(bench.serial.from_pump).startswith(b"state idle")
    assert b"# 0 ms fault" in bytes(bench.serial.from_pump)


def test_telemetry_is_never_older_than_the_line_before_it(host):
    bench = host.bench
    host.ask("watch", {"ms": 20})
    bench.serial.room = 0
    for _ in range(1000):
        bench.clock.now += 10_000
        run(host, 1)
    assert bench.link.dropped > 400
    bench.serial.room = 10**9
    run(host, 2)  # what waited; then one, made now
    lines = bytes(bench.serial.from_pump).splitlines(keepends=True)
    bench.clock.now += 20_000
    run(host, 2)
    assert len(lines) == 1
    kinds = sent(host)
    assert kinds == [("t", 1), ("t", 2)]


def test_a_pass_makes_telemetry_or_writes_a_line_and_does_not_starve_the_line(host):
    bench = host.bench
    made = []
    status = bench.status

    def slow_status():
        bench.clock.now += 30_000  # longer than a beat
        made.append(bench.clock.now)
        return status()

    host.ask("watch", {"ms": 20})
    bench.link._app = type("App", (), {"status": staticmethod(slow_status)})
    for _ in range(40):
        bench.clock.now += 20_000
        before = len(made), len(bench.serial.from_pump)
        bench.link.flush()
        after = len(made), len(bench.serial.from_pump)
        assert (after[0] > before[0]) != (after[1] > before[1])
    assert len(made) == 20 == len(sent(host))


def test_lines_behind_one_that_broke_something_are_acted_on(host):
    bench = host.bench

    def broken(args):
        raise ZeroDivisionError

    bench.table._resume = broken
    # All in one chunk.
    bench.serial.to_pump += request(50, "resume") + b"load 1 mL\nstatus\n"
    raised = 0
    for _ in range(50):
        try:
            bench.link.poll()
        except ZeroDivisionError:
            raised += 1  # App._broken stops the pump
        bench.link.flush()
    assert raised == 1
    text = bytes(bench.serial.from_pump)
    assert b"E_INTERNAL" in text
    assert text.index(b'"r50"') < text.index(b"ok remaining_nl") < text.index(b"state idle")
    assert any(event["e"] == "load" for event in bench.events.since(0, 99))


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_frame_of_the_longest_line_with_any_ending(host, ending):
    body = '{"s":1,"id":"x","c":"status","a":{}%s}'
    room = 1024 - len(frame("q", 9, None, body % ""))
    line = frame("q", 9, None, body % (" " * room))
    assert len(line) == 1024
    assert "ok" in host.reply(line[:-1] + ending)[2]
    longer = frame("q", 9, None, body % (" " * (room + 1)))
    assert host.reply(longer[:-1] + ending)[2]["err"]["code"] in ("E_SIZE", "E_LINE")


@pytest.mark.parametrize(("bad", "passes"), [(0, 1), (3, 1), (4, 2)])
def test_bad_lines_do_not_keep_a_stop_waiting(host, bad, passes):
    bench = host.bench
    stops = []
    bench.controller.stop = lambda: stops.append(1) or {}
    bench.serial.to_pump += b"".join(
        [b"nonsense\n", b"!q 1 damaged\n", b"\x01\x02\n", b" \n"][:bad]
    )
    bench.serial.to_pump += request(50, "stop") + request(51, "stop")
    for nth in range(1, passes + 1):
        bench.link.poll()
        assert len(stops) == (nth == passes), "one good line in a pass"
