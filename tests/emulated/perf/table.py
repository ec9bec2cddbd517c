"""The performance table: from the measured figures to a page that people read."""

from __future__ import annotations

from typing import Any

Figures = dict[str, Any]
KINDS = {
    "timer_soft": "`machine.Timer`",
    "timer_hard": "`machine.Timer(hard=True)`",
    "pwm": "`machine.PWM`",
}


def page(figures: Figures) -> str:
    """Return the Markdown of all tables, with where and how they were measured."""
    at = figures["measured_on"]
    return "\n\n".join(
        [
            f"MicroPython {at['micropython']}, image SHA-256 `{at['image_sha256']}`, firmware"
            f" `{at['firmware'][:16]}…`, emulated by rp2040py {at['emulator']}.",
            "### Steps\n\n" + _steps(figures),
            "### The tick\n\n" + _tick(figures),
            "### From a cause to the last step\n\n" + _stops(figures),
            "### Memory, boot, line\n\n" + _rest(figures),
        ]
    )


def _rows(head: list[str], rows: list[list[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _rate(hz: int) -> str:
    return f"{hz:,}"


def _load(loaded: bool) -> str:
    return "load" if loaded else "idle"


def _steps(figures: Figures) -> str:
    rows: list[list[Any]] = [
        [_rate(one["hz"]), "**doseloop**", _load(one["loaded"]), one["steps"],
         one.get("worst_us", "–"), one.get("rms_us", "–"), one["missed"], one["extra"],
         one["underruns"]]
        for one in figures["steps"]
    ]  # fmt: skip
    rows += [
        [_rate(one["hz"]), "**doseloop**", "400 ms without interrupts", "", one["worst_us"],
         one["rms_us"], one["missed"], 0, one["underruns"]]
        for one in figures["masked"]
    ]  # fmt: skip
    rows += [
        [_rate(one["hz"]), KINDS[one["kind"]], _load(one["loaded"]), one["wanted"],
         one.get("worst_us", "–"), one.get("rms_us", "–"), one["note"] or _lost(one), "", ""]
        for one in figures["others"]
    ]  # fmt: skip
    rows.sort(key=lambda row: (int(row[0].replace(",", "")), row[1] != "**doseloop**"))
    return _rows(
        ["steps/s", "made by", "", "steps", "worst µs", "RMS µs", "missed", "extra", "underruns"],
        rows,
    )


def _lost(one: Figures) -> str:
    missing = one["wanted"] - one["edges"]
    return f"{missing} not in twice the time" if missing else "0"


def _tick(figures: Figures) -> str:
    return _rows(
        ["steps/s", "mean µs", "worst µs", "share of the CPU", "worst gap between ticks, µs"],
        [
            [_rate(one["hz"]), one["mean_us"], one["worst_us"], f"{one['share_percent']} %",
             one["worst_gap_us"]]
            for one in figures["tick"]
        ],
    )  # fmt: skip


def _stops(figures: Figures) -> str:
    names = {
        "stop_input": "stop input opens",
        "end_switch": "end switch opens",
        "break": "a break, as before `stop` and `pause`, nothing else going on",
        "break_loaded": "the same under load",
        "stop_command": "`stop` in a frame alone, nothing else going on",
        "stop_command_loaded": "the same under load",
        "exception": "an exception in the main loop",
        "hang": "the main loop hangs",
        "die": "the CPU hangs, interrupts off",
    }
    rows: list[list[Any]] = []
    for name, text in names.items():
        for one in figures["stops"][name]:
            after = one.get("cause")
            told = f"reset by the watchdog; `boot cause={after}`" if after else ""
            rows.append([text, _rate(one["hz"]), one["latency_us"], told])
    return _rows(["cause", "steps/s", "last step after, µs", "then"], rows)


def _rest(figures: Figures) -> str:
    one = figures["board"]
    heap = {
        "heap_prompt": "free heap at MicroPython's prompt",
        "heap_free": "free heap after boot, as deployed",
        "heap_low": "lowest free heap under load",  # of figures that had only the next one
        "heap_low_after": "lowest free heap under load, right after a collection",
        "heap_low_before": "the same right before one, with the garbage of a pass",
    }
    rows = [
        ["boot to ready", f"{one['ready_ms']} ms"],
        *([text, f"{one[name]:,} B"] for name, text in heap.items() if name in one),
        ["`status`, from its last byte to the reply's", f"{one['round_trip_ms']} ms"],
        ["the same while infusing", f"{one['round_trip_moving_ms']} ms"],
        ["telemetry asked for every 20 ms", f"{one['telemetry_per_s']} a second, "
         f"{one['telemetry_dropped']} dropped"],
        ["the main loop's longest pass under load", f"{one['longest_pass_ms']} ms"],
    ]  # fmt: skip
    return _rows(["what", "figure"], rows)
