"""After a power failure at night, as a technician meets it: what the follower, `status`, `resume`,
`stop`, the records and the report say about a run that a reset cut short."""

from __future__ import annotations

import json
import re
import signal

import pytest
from patience import PATIENCE_S, wait_for
from simulated.test_detach import recorded

STEP = 'mode = "infuse"\nvolume = "2 mL"\nrate = "60 mL/h"'  # 11,525 steps in 2 min
PCA = (
    'mode = "pca"\nbasal = "1 mL/h"\ndose = "1 mL"\ndose_rate = "60 mL/h"\n'
    'lockout = "10 min"\nlimit_1h = "8 mL"\nlimit_4h = "20 mL"\nduration = "4 h"'
)


def ended(process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


@pytest.fixture
def cut_short(sim, start_cli, order, home):
    """A pump that lost power a minute into a run, and what following it came to."""

    def start(*steps: str):
        pump = sim()
        process = start_cli("run", order(*(steps or [STEP])), "--yes", "--port", pump.port)
        wait_for(lambda: "start" in recorded(home))
        pump.ask("advance 60")
        pump.ask("power cut")
        return pump, ended(process)

    return start


@pytest.mark.requirement("F10", "B8")
def test_a_run_through_a_power_failure_from_start_to_report(
    cut_short, cli, start_cli, home, tmp_path
):
    pump, (code, out, err) = cut_short()
    assert code == 6
    assert "run          1-1: interrupted" in out
    assert re.search(r"uncertain +up to 0\.04\d mL \(\d+ steps\) may have flowed beyond", out)
    assert "the pump restarted; run 1-1 is interrupted and nothing moves" in err
    assert "doseloop resume goes on with the rest, doseloop stop ends it" in err
    (run,) = cli("logs", "--runs", "--json").json["runs"]
    assert (run["reason"], run["ended"]) == ("interrupted", None)

    pump.ask("advance 3600")
    now = cli("status", "--json", "--port", pump.port).json
    made = now["run"]["witnessed_steps"]
    uncertain = now["run"]["uncertain_steps"]
    assert (
        now["state"] == "interrupted" and made <= pump.ask("status")["edges"] <= made + uncertain
    )
    text = cli("status", "--port", pump.port).out
    for line in (
        "state      interrupted",
        "order      test (run 1-1)",
        f"of 2.000 mL ({made * 100 // 11_525} %), {made:,} of 11,525 steps witnessed",
        f"({uncertain} steps) may have flowed beyond that: power was lost",
        "rate       60 mL/h (infuse, as ordered)",
        "doseloop resume",
        "doseloop stop",
    ):
        assert line in text, line

    asked = cli("resume", "--port", pump.port)
    assert (asked.code, cli("status", "--json", "--port", pump.port).json["state"]) == (
        2,
        "interrupted",
    )
    refused = cli("infuse", "1 mL", "60 mL/h", "--yes", "--port", pump.port)
    assert refused.code == 5 and "not while interrupted" in refused.err
    resumed = cli("resume", "--yes", "--port", pump.port)
    assert resumed.code == 0 and resumed.out == "resumed: infusing\n"
    assert "order      test (run 1-1)" in resumed.err and "--attach" in resumed.err

    process = start_cli("run", "--attach", "--json", "--port", pump.port)
    pump.ask("until end")
    code, out, err = ended(process)
    assert code == 0, err
    done = json.loads(out)
    assert done["run"] == "1-1" and done["witnessed_steps"] == 11_525
    assert done["uncertain_steps"] == uncertain
    assert pump.ask("status")["edges"] <= 11_525 + uncertain
    (run,) = cli("logs", "--runs", "--json").json["runs"]
    assert (run["reason"], run["witnessed_steps"]) == ("done", 11_525)
    lines = cli("logs", "--run", "1-1", "--json").out.splitlines()
    names = [(event["boot"], event["name"]) for event in map(json.loads, lines)]
    assert names[0] == (1, "start") and names[-1] == (2, "end")
    assert (2, "interrupted") in names and (2, "resume") in names

    page = tmp_path / "page.html"
    assert cli("report", "-o", page).code == 0
    html = page.read_text()
    assert ">complete, interrupted<" in html
    assert f"interrupted this run after\n{made:,} steps" in html
    assert html.count(">reset</text>") == 1
    assert re.search(r'<tr class="alarm"><td class="n">2:2</td>', html)


def test_what_was_cut_short_is_abandoned(cut_short, cli):
    pump, _ = cut_short()
    made = cli("status", "--json", "--port", pump.port).json["run"]["witnessed_steps"]
    stopped = cli("stop", "--port", pump.port)
    assert stopped.code == 0
    first, second = stopped.out.splitlines()
    assert first.startswith("stopped: run 1-1 delivered 0.")
    assert f"({made:,} of 11,525 steps witnessed)" in first
    assert "may have flowed beyond that" in second
    (run,) = cli("logs", "--runs", "--json").json["runs"]
    assert (run["reason"], run["witnessed_steps"]) == ("stop", made)


def test_a_port_that_vanishes_and_comes_back(sim, start_cli, order, home, tmp_path):
    # As a real board's does: its USB goes away with its power.
    options = ("--link", tmp_path / "pump", "--state", tmp_path / "flash")
    board = ("--board", "pico_tmc2209", "--syringe", "bd-plastipak-50")
    pump = sim(*options, *board)
    process = start_cli("run", order(STEP), "--yes", "--json", "--port", tmp_path / "pump")
    wait_for(lambda: "start" in recorded(home))
    pump.ask("advance 60")
    pump.end(signal.SIGKILL)
    sim(*options)
    code, out, err = ended(process)
    assert code == 6, err
    assert "waiting up to 30 s" in err and "the pump answers again" in err
    run = json.loads(out)["run"]
    assert run["reason"] == "interrupted" and run["alarm"] == "A_RESET"
    assert 5000 < run["witnessed_steps"] < 6000


def test_what_cannot_go_on_says_why(sim, cli, start_cli, order, home, tmp_path):
    path = order(STEP)
    path.write_text(path.read_text() + '[after]\nkvo = "1 mL/h"\n')
    pump = sim()
    process = start_cli("run", path, "--yes", "--port", pump.port)
    wait_for(lambda: "start" in recorded(home))
    pump.ask("advance 300")
    assert ended(process)[0] == 0
    pump.ask("power cut")
    text = cli("status", "--port", pump.port).out
    assert "state      idle" in text
    assert "because    the order was done; it kept the vein open" in text
    assert "11,525 of 11,525 steps witnessed" in text and "doseloop clear" in text
    assert cli("clear", "--port", pump.port).code == 0
    assert "because" not in cli("status", "--port", pump.port).out


def test_the_patients_counts_are_there_after_a_power_failure(cut_short, cli):
    pump, (code, _, _) = cut_short(PCA)
    assert code == 6
    looked = cli("demand", "--look", "--json", "--port", pump.port)
    assert looked.code == 0, looked.err
    assert looked.json["demands"] == 0 and looked.json["used_nl"][0] > 0
    denied = cli("demand", "--json", "--port", pump.port)
    assert denied.code == 5 and denied.json["denied"]["state"] == 1
    assert cli("status", "--json", "--port", pump.port).json["state"] == "interrupted"
    assert "rate       1 mL/h (pca, as ordered)" in cli("status", "--port", pump.port).out
