"""The device owns the dose: a killed, detached or interrupted host, and what it finds again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3

import pytest
from patience import wait_for

from doseloop import Pump

STEP = 'mode = "infuse"\nvolume = "5 mL"\nrate = "50 mL/h"'  # 6 min


@pytest.fixture
def running(sim, start_cli, order, home):
    """A run followed by `doseloop run`, with the pump's clock held at about one minute."""
    pump = sim()
    process = start_cli("run", order(STEP), "--yes", "--json", "--port", pump.port)
    # Time is asked to move on until the run has been under way for a minute.
    wait_for(lambda: "start" in recorded(home))
    pump.ask("advance 60")
    return pump, process


def recorded(home) -> list[str]:
    """Return the names of the recorded events, in the pump's order."""
    path = home / "records.sqlite3"
    if not path.exists():
        return []
    database = sqlite3.connect(path, timeout=5)
    try:
        return [name for (name,) in database.execute("SELECT name FROM event ORDER BY boot, n")]
    except sqlite3.OperationalError:  # not migrated yet
        return []
    finally:
        database.close()


def test_kill_9_then_attach_finds_all_of_it_once(running, cli, home):
    pump, process = running
    process.kill()
    process.wait()
    assert pump.ask("status")["moving"]
    pump.ask("advance 240")  # nobody listens; pump and events go on
    before = recorded(home)
    pump.ask("go")
    done = cli("run", "--attach", "--json", "--port", pump.port)
    assert done.code == 0, done.err
    assert done.json["witnessed_steps"] == done.json["ordered_steps"]
    events = [json.loads(line) for line in cli("logs", "--json").out.splitlines()]
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) > len(before)
    (run,) = cli("logs", "--runs", "--json").json["runs"]
    assert run["witnessed_steps"] == done.json["witnessed_steps"]
    assert run["order_text"] is not None
    # Nothing counted twice: reading it all again changes nothing.
    again = cli("logs", "--pump", "--json", "--port", pump.port)
    assert again.code == 0
    assert [json.loads(line) for line in cli("logs", "--json").out.splitlines()] == events


def test_attach_after_the_end_completes_the_record(running, cli, home):
    pump, process = running
    process.kill()
    process.wait()
    pump.ask("until end")
    done = cli("run", "--attach", "--json", "--port", pump.port)
    assert done.code == 0, done.err
    assert done.json["reason"] == "done"
    assert recorded(home)[-1] == "end"
    # A second time there is nothing left to take up.
    assert cli("run", "--attach", "--port", pump.port).code == 5


def test_attach_tells_only_of_the_run_that_it_follows(sim, cli, start_cli, order, home):
    pump = sim(held=False)
    short = 'mode = "infuse"\nvolume = "3 mL"\nrate = "300 mL/h"'
    first = cli("run", order(short, fill="2 mL"), "--yes", "--port", pump.port)
    assert (first.code, "ALARM A_EMPTY" in first.err) == (6, True)
    cli("stop", "--port", pump.port)
    cli("load", "40 mL", "--port", pump.port)
    pump.ask("hold")
    (home / "records.sqlite3").unlink()  # a second computer: it has to fetch all of it
    with Pump.open(pump.port) as device:
        device.infuse(volume_al=10**15, rate_al_per_h=60 * 10**15)
        device.start()
        pump.ask("advance 10")
        device.pause()
        pump.ask("advance 10")
        device.resume()
    pump.ask("go")
    done = cli("run", "--attach", "--port", pump.port)
    assert done.code == 0, done.err
    assert "pause" in done.err
    assert "A_EMPTY" not in done.err
    events = [json.loads(line) for line in cli("logs", "--json").out.splitlines()]
    assert "A_EMPTY" in [event["data"].get("code") for event in events]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_detach_and_leave_it_running(running, cli, signum):
    pump, process = running
    process.send_signal(signum)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert json.loads(out)["error"]["code"] == "E_DETACHED"
    assert pump.ask("status")["moving"]
    status = cli("status", "--json", "--port", pump.port).json
    assert status["state"] == "infusing"
    assert status["run"]["witnessed_steps"] > 0


def test_ctrl_c_stops_the_pump_and_says_what_was_delivered(running, cli):
    pump, process = running
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    result = json.loads(out)
    status = cli("status", "--json", "--port", pump.port).json
    assert status["state"] == "idle"
    assert not pump.ask("status")["moving"]
    assert result["run"]["delivered_nl"] == status["run"]["delivered_nl"]
    # One minute at 50 mL/h is 0.8333 mL.
    assert result["run"]["delivered_nl"] == pytest.approx(833_333, rel=0.01)
    assert "0.83" in result["error"]["message"]


def test_stop_from_another_program_ends_the_run_short(sim, cli, start_cli, order, home):
    pump = sim()
    process = start_cli("run", order(STEP), "--yes", "--json", "--port", pump.port)
    wait_for(lambda: "start" in recorded(home))
    pump.ask("advance 60")
    pump.ask("press stop")
    pump.ask("advance 1")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 6
    assert json.loads(out)["error"]["code"] == "A_STOP_INPUT"


@pytest.mark.requirement("F10")
def test_a_reset_interrupts_the_run_and_nothing_resumes(running, cli):
    pump, process = running
    edges = pump.ask("status")["edges"]
    pump.ask("power cut")
    pump.ask("advance 30")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 6, err
    assert "restarted" in json.loads(out)["error"]["message"]
    status = pump.ask("status")
    assert not status["moving"]
    assert status["edges"] - edges <= 1
    assert cli("status", "--json", "--port", pump.port).json["state"] == "interrupted"


def test_the_host_killed_with_its_own_simulated_pump_leaves_a_pump_to_attach_to(
    start_cli, cli, order, home
):
    path = order(STEP)
    process = start_cli("run", path, "--sim", "--speed", "20", "--yes")
    wait_for(lambda: "stretch" in recorded(home))
    process.kill()
    process.wait()
    (port,) = cli("ports", "--json").json["ports"]
    done = cli("stop", "--json")
    assert done.code == 0, done.err
    assert done.json["delivered_nl"] > 0
    os.kill(int(port["description"].rsplit(" ", 1)[1]), signal.SIGTERM)
    wait_for(lambda: not list((home / "sims").iterdir()))
