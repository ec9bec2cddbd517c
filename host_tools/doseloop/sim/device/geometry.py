"""What a configuration says of the bench: pins, mechanism, syringe and line."""

import json


def geometry_of(text):
    """Return the board model's geometry for a sealed configuration, or an empty bench."""
    bench = {"unique_id": bytes(8), "dir": None, "dir_infuse": 1, "stop": None, "end_front": None,
             "end_back": None, "end_open": 1, "enable": None, "enable_active": 0,
             "bolus": None, "bolus_pressed": 0, "force": None, "line": None,
             "backlash": 0, "travel_front": 1 << 60, "travel_back": -(1 << 60)}  # fmt: skip
    if text:
        config = json.loads(text.split("\n")[1])
        board, pins = config["board"], config["board"]["pins"]
        for name in ("dir", "stop", "end_front", "end_back", "enable", "bolus", "force"):
            bench[name] = pins.get(name)
        for name in ("clamp", "diag", "uart_tx", "battery", "temperature"):
            bench[name] = pins.get(name)
        bench["tmc2209"], bench["supply"] = board.get("tmc2209"), board.get("supply")
        bench["bolus_pressed"] = board.get("bolus_pressed", 0)
        for name in ("dir_infuse", "end_open", "enable_active"):
            bench[name] = board[name]
        bench["backlash"] = config["motion"]["backlash_steps"]
        # The switches stand a fifth of the stroke beyond what a full syringe can travel.
        travel = config["syringe"]["stroke_steps"] * 6 // 5
        bench["travel_front"], bench["travel_back"] = travel, -travel
        bench["line"] = _line_of(config)
    return bench


def _line_of(config):
    """Return the shape of syringe and sensor for hydraulics.py: SI units."""
    capacity = config["syringe"]["capacity_al"] * 1e-21
    force = config.get("force")
    shape = {
        "step_m3": config["motion"]["al_per_step"] * 1e-21,
        "capacity_m3": capacity,
        # Without a sensor nobody reads the force; a barrel like other syringes'.
        "area_m2": 5.55e-4 * (capacity / 5e-5) ** (2 / 3),
        "friction_n": 4.0,
        "counts_per_n": 1.0,
        "zero_counts": 0,
    }
    if force:
        shape["area_m2"] = force["area_um2"] * 1e-12
        shape["friction_n"] = force["friction_mn"] / 1000
        shape["counts_per_n"] = force["gain_num"] / force["gain_den"]
        shape["zero_counts"] = force["zero"]
    return shape
