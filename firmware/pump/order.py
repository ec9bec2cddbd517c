"""From the text of an order to an Order: checked against board and syringe, or refused.

Takes the compiled order (host_tools/doseloop/order.py) or the words typed on a terminal; what
comes of it is program.py's. Borrowed (borrow.py): a run's heap has none of it.
"""

import json

from pump import arith, sealed, shown
from pump.checks import beyond, check_rate
from pump.errors import Refused
from pump.planner import Ramp
from pump.program import Order, Step

KIND = "order"
VERSION = 1
ITEMS_MAX = 50

REPEAT_MAX = 1000
UNROLLED_MAX = 5000  # after a reset the items up to the interrupted one are unrolled again

_TOP = ("schema", "name", "syringe", "fill_al", "on_link_loss", "steps", "kvo_al_per_h", "repeat",
        "drug")  # fmt: skip
_STEP = ("mode", "rate_al_per_h", "volume_al", "duration_ms")
# mode: further keys, all of them required
_MORE = {
    "infuse": (),
    "withdraw": (),
    "pause": (),
    "bolus": (),
    "prime": (),
    "ramp": ("rate_end_al_per_h",),
    "intermittent": ("every_ms", "count"),
}
_PCA = ("mode", "basal_al_per_h", "dose_al", "dose_rate_al_per_h", "lockout_ms", "limit_1h_al",
        "limit_4h_al", "duration_ms", "boluses_apart")  # fmt: skip
_PCA_MS = 24 * 3_600_000  # how long, unless the order says


def unseal(text, config):
    """Return the Order in a sealed text. Raise Refused and change nothing when it is not good."""
    try:
        data = json.loads(sealed.unseal(KIND, VERSION, text))
    except sealed.SealError as error:
        raise Refused("E_CRC" if error.code in ("E_CRC", "E_SIZE") else "E_ORDER", error.message)
    except ValueError:
        raise Refused("E_ORDER", "order is not JSON")
    if not isinstance(data, dict) or data.get("schema") != VERSION:
        raise Refused("E_ORDER", "order of schema %d expected" % VERSION)
    for key in data:
        if key not in _TOP:
            raise Refused("E_ORDER", "unknown key " + str(key)[:32])
    steps = data.get("steps")
    if not isinstance(steps, list) or not 0 < len(steps) <= ITEMS_MAX:
        raise Refused("E_ORDER", "an order has 1 to %d steps" % ITEMS_MAX)
    model = config["syringe"]["model"]
    if data.get("syringe") not in (None, model):
        raise Refused(
            "E_SYRINGE",
            "order is for syringe %s, the pump has %s" % (str(data["syringe"])[:64], model),
        )
    fill = _whole(data, "fill_al", None)
    crc = sealed.crc_of(text)
    made = make(
        str(data.get("name", ""))[:64],
        steps,
        config,
        fill,
        _whole(data, "kvo_al_per_h", None),
        _stop_ms(data.get("on_link_loss")),
        crc,
        _whole(data, "repeat", 1),
    )
    made.text = text
    made.drug = data.get("drug")  # library.py checks it
    return made


def direct(mode, step, config):
    """Return the Order of one step that was asked for by a command."""
    data = {"schema": VERSION, "name": mode, "steps": [dict(step, mode=mode)]}
    return unseal(sealed.seal(KIND, VERSION, json.dumps(data)), config)


def make(name, steps, config, fill_al=None, kvo=None, stop_ms=None, crc=None, repeat=1):
    """Return a checked Order of step dicts (the compiled order's), for this configuration."""
    capacity = config["syringe"]["capacity_al"]
    if fill_al is not None and not 0 < fill_al <= capacity:
        raise beyond("fill", fill_al, capacity)
    if not 0 < repeat <= REPEAT_MAX:
        raise Refused("E_ORDER", "an order is repeated 1 to %d times" % REPEAT_MAX)
    steps = [_step(step, config["limits"]) for step in steps]
    if kvo is not None:
        check_rate(kvo, config["limits"])
    alone = ["pca" if step.pca else "prime" for step in steps if step.pca or step.mode == "prime"]
    if alone and (len(steps), repeat) != (1, 1):
        why = "a %s is an order of its own" % alone[0]
        raise Refused("E_ORDER", why, next_step="leave the rest out")
    if repeat * sum(step.size() for step in steps) > UNROLLED_MAX:
        raise Refused("E_ORDER", "more than %d doses, stairs and steps" % UNROLLED_MAX)
    al = config["motion"]["al_per_step"]
    if crc is None:  # not sealed: the digest of what it came to
        values = [(step.mode, step.rate, step.volume_al, step.duration_ms) for step in steps]
        crc = sealed.crc_hex("%s %d" % (values, al))
    order = Order(name, steps, al, fill_al, kvo, stop_ms, repeat, crc)
    rates = [step.rate + (step.pca[1] if step.pca else 0) for step in steps]
    fastest = max(rates + [step.rate_end for step in steps] + [kvo or 0])
    order.fault_al = fastest and arith.fault_volume(fastest, al)
    _add_lags(order, config["motion"])
    moving = [step for step in steps if step.way]
    if moving and not steps[0].pca and not order.total_steps():
        least = shown.format(al, "volume")
        raise Refused("E_VOLUME", "less than one step of the motor", limit=least, nearest=least)
    return order


def _add_lags(order, motion):
    """Give the order what ramps and take-up add to its time (B3)."""
    order.ramp = Ramp(motion["pull_in_hz"], motion["accel_hz_per_s"])
    order.takeup_ms = motion["backlash_steps"] * 1000 // motion["takeup_hz"]
    way = 1  # a syringe is loaded with its plunger against the nut
    passes = []
    for _ in range(min(2, order.repeat)):
        lag = 0
        for step in order.steps:
            if way == -step.way:
                lag += order.takeup_ms
            way = step.way or way
            if step.mode == "ramp":
                lag += sum(order.lag_of(item.rate, item.volume_al) for item in step.items(1, 0))
            else:
                lag += step.count * order.lag_of(step.rate, step.volume_al)
        passes.append(lag)
    order.lag_ms = passes[0] + (order.repeat - 1) * passes[-1]


def _step(step, limits):
    if not isinstance(step, dict):
        raise Refused("E_ORDER", "a step is a table")
    mode = step.get("mode")
    if mode == "pca":
        return _pca(step, limits)
    if not isinstance(mode, str) or mode not in _MORE:
        raise Refused("E_MODE", "mode %s" % str(mode)[:16])
    more = _MORE[mode]
    for key in step:
        if key not in _STEP and key not in more:
            raise Refused("E_ORDER", "unknown key in a step: " + str(key)[:32])
    for key in more:
        if not _whole(step, key, 0):
            raise Refused("E_ORDER", "%s needs %s" % (mode, key))
    rate = _whole(step, "rate_al_per_h", None)
    volume = _whole(step, "volume_al", None)
    duration = _whole(step, "duration_ms", None)
    given = sum(value is not None for value in (rate, volume, duration))
    if mode == "pause":
        if given != 1 or not duration:
            raise Refused("E_ORDER", "a pause has a duration and nothing else")
        return Step("pause", 0, 0, duration)
    if given != 2 or 0 in (rate, volume, duration):
        raise Refused("E_ORDER", "give exactly two of rate, volume and duration, none of them 0")
    if mode == "ramp":
        return _ramp(rate, volume, duration, step["rate_end_al_per_h"], limits)
    if volume is None:
        volume = arith.volume_of(rate, duration)
    elif rate is None:
        rate = arith.rate_of(volume, duration)
    check_rate(rate, limits)
    if duration is None:
        duration = arith.duration_of(volume, rate)
    if mode != "intermittent":
        return Step(mode, rate, volume, duration)
    every, count = step["every_ms"], step["count"]
    if every <= duration:
        text = shown.format(duration, "duration")
        raise Refused("E_DURATION", "a dose takes %s, longer than `every`" % text, limit=text)
    return Step(mode, rate, volume, duration, every_ms=every, count=count)


def _pca(step, limits):
    for key in step:
        if key not in _PCA:
            raise Refused("E_ORDER", "unknown key in a step: " + str(key)[:32])
    given = [_whole(step, key, 0) for key in _PCA[1:]]
    basal, dose, dose_rate, lockout, in_1h, in_4h, duration, apart = given
    if 0 in (dose, dose_rate, lockout) or not (in_1h or in_4h):
        raise Refused("E_ORDER", "pca needs dose, dose_rate, lockout and a limit")
    if apart > 1:
        raise Refused("E_ORDER", "boluses_apart is 0 or 1")
    if basal:
        check_rate(basal, limits)
    check_rate(basal + dose_rate, limits)
    duration = duration or _PCA_MS
    in_hours = ((1, in_1h), (4, in_4h))
    windows = [(hours * arith.HOUR_MS, volume) for hours, volume in in_hours if volume]
    rules = (dose, dose_rate, lockout, windows, not apart)
    from pump.pca import Pca  # on demand: such orders are few

    Pca(basal, *rules[:4], limits["rate_max_al_per_h"])  # refuses what can never work
    return Step("pca", basal, arith.volume_of(basal, duration), duration, pca=rules)


def _ramp(rate, volume, duration, rate_end, limits):
    # The mean of both rates flows for the duration: 2 V = (r0 + r1) T.
    if rate is None:
        rate = max(0, 2 * arith.rate_of(volume, duration) - rate_end)
    check_rate(rate, limits)
    check_rate(rate_end, limits)
    if volume is None:
        volume = arith.volume_of(rate + rate_end, duration) // 2
    elif duration is None:
        duration = arith.duration_of(2 * volume, rate + rate_end)
        if not duration:
            raise Refused("E_DURATION", "a ramp of less than a millisecond")
    return Step("ramp", rate, volume, duration, rate_end=rate_end)


def _whole(data, key, default):
    value = data.get(key)
    if value is None:
        return default
    if type(value) is not int or value < 0 or value >= 10**30:
        raise Refused("E_ORDER", "%s is not a whole number" % key)
    return value


def _stop_ms(value):
    if value in (None, "continue"):
        return None
    if not isinstance(value, dict) or len(value) != 1 or _whole(value, "stop_ms", None) is None:
        raise Refused("E_ORDER", "on_link_loss is continue or a time to stop after")
    return value["stop_ms"]
