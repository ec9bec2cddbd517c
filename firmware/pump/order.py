"""An order as the device understands it: checked against board and syringe, fixed in whole steps.

Takes the compiled order (host_tools/doseloop/order.py, or the words typed on a terminal), refuses
what board and syringe can't do, and keeps its steps; program.py unrolls them for the run.
"""

import json

from pump import arith, quantity, sealed
from pump.errors import Refused
from pump.program import Step, unroll

KIND = "order"
VERSION = 1
ITEMS_MAX = 50

REPEAT_MAX = 1000
UNROLLED_MAX = 5000  # after a reset the items up to the interrupted one are unrolled again

_TOP = ("schema", "name", "syringe", "fill_al", "on_link_loss", "steps", "kvo_al_per_h", "repeat")
_STEP = ("mode", "rate_al_per_h", "volume_al", "duration_ms")
# mode: further keys, all of them required
_MORE = {
    "infuse": (),
    "withdraw": (),
    "pause": (),
    "bolus": (),
    "ramp": ("rate_end_al_per_h",),
    "intermittent": ("every_ms", "count"),
}
_PCA = ("mode", "basal_al_per_h", "dose_al", "dose_rate_al_per_h", "lockout_ms", "limit_1h_al",
        "limit_4h_al", "duration_ms")  # fmt: skip
_PCA_MS = 24 * 3_600_000  # how long, unless the order says


class Order:
    """A checked order: ``steps`` (program.Step), done ``repeat`` times; ``name``, ``fill_al`` or
    None, ``kvo`` or None, ``stop_ms`` or None."""

    def __init__(self, name, steps, al_per_step, fill_al, kvo, stop_ms, repeat, crc):
        self.name = name
        self.steps = steps
        self.fill_al = fill_al
        self.kvo = kvo
        self.stop_ms = stop_ms
        self.repeat = repeat
        self.crc = crc
        self.text = None  # sealed, as it came
        self._al = al_per_step

    def items(self):
        """Yield the items, one after another."""
        return unroll(self.steps, self.repeat, self.kvo)

    def volume_al(self, way):
        """Return the volume ordered in a direction, without KVO."""
        return self.repeat * sum(step.total_al() for step in self.steps if step.way == way)

    def steps_of(self, way):
        """Return the steps ordered in a direction."""
        return arith.steps_of(self.volume_al(way), self._al)

    def total_steps(self):
        """Return the ordered steps, both directions added."""
        return self.steps_of(1) + self.steps_of(-1)

    def duration_ms(self):
        """Return the planned duration without ramps and take-up."""
        return self.repeat * sum(step.total_ms() for step in self.steps)

    def syringe_changes(self, capacity_al, held_al):
        """Return how many more full syringes the order needs. held_al: what is mounted holds;
        a declared fill takes its place."""
        level = held_al if self.fill_al is None else self.fill_al
        changes = 0
        for _ in range(self.repeat):
            for step in self.steps:
                level -= step.way * step.total_al()
                if level < 0:
                    changes -= level // capacity_al
                    level %= capacity_al
        return changes

    def view(self, syringe, al_per_step, held_al):
        """Return the plan as replies carry it; a stretch is (mode, rate, steps, ms) of a step."""
        return {
            "ordered_steps": self.total_steps(),
            "duration_ms": self.duration_ms(),
            "stretches": [
                (step.mode, step.rate, arith.steps_of(step.total_al(), self._al), step.total_ms())
                for step in self.steps
            ],
            "repeat": self.repeat,
            "syringe_changes": self.syringe_changes(syringe["capacity_al"], held_al),
            "syringe": syringe["model"],
            "fill_al": self.fill_al,
            "order_crc": self.crc,
            "al_per_step": al_per_step,
        }


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
    crc = text.split("\n", 1)[0].split(" ")[3]
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
    return made


def direct(mode, step, config):
    """Return the Order of one step that was asked for by a command."""
    data = {"schema": VERSION, "name": mode, "steps": [dict(step, mode=mode)]}
    return unseal(sealed.seal(KIND, VERSION, json.dumps(data)), config)


def make(name, steps, config, fill_al=None, kvo=None, stop_ms=None, crc=None, repeat=1):
    """Return a checked Order of step dicts (the compiled order's), for this configuration."""
    capacity = config["syringe"]["capacity_al"]
    if fill_al is not None and not 0 < fill_al <= capacity:
        raise _volume("fill", fill_al, capacity)
    if not 0 < repeat <= REPEAT_MAX:
        raise Refused("E_ORDER", "an order is repeated 1 to %d times" % REPEAT_MAX)
    steps = [_step(step, config["limits"]) for step in steps]
    if kvo is not None:
        check_rate(kvo, config["limits"])
    if [step for step in steps if step.pca] and (len(steps), repeat) != (1, 1):
        raise Refused("E_ORDER", "a pca is an order of its own", next_step="leave the rest out")
    if repeat * sum(step.size() for step in steps) > UNROLLED_MAX:
        raise Refused("E_ORDER", "more than %d doses, stairs and steps" % UNROLLED_MAX)
    al = config["motion"]["al_per_step"]
    if crc is None:  # not sealed: the digest of what it came to
        values = [(step.mode, step.rate, step.volume_al, step.duration_ms) for step in steps]
        crc = sealed.crc_hex("%s %d" % (values, al))
    order = Order(name, steps, al, fill_al, kvo, stop_ms, repeat, crc)
    moving = [step for step in steps if step.way]
    if moving and not steps[0].pca and not order.total_steps():
        least = quantity.format(al, "volume")
        raise Refused("E_VOLUME", "less than one step of the motor", limit=least, nearest=least)
    return order


def check_rate(rate, limits):
    """Raise Refused(E_RATE_HIGH or E_RATE_LOW) naming the nearest allowed rate."""
    most, least = limits["rate_max_al_per_h"], limits["rate_min_al_per_h"]
    if rate > most:
        edge, code, word = most, "E_RATE_HIGH", "above"
    elif rate < least:
        edge, code, word = least, "E_RATE_LOW", "below"
    else:
        return
    text = quantity.format(edge, "rate")
    raise Refused(
        code,
        "rate %s is %s what board and syringe allow" % (quantity.format(rate, "rate"), word),
        limit=text,
        nearest=text,
    )


def _volume(what, volume, most):
    text = quantity.format(most, "volume")
    return Refused(
        "E_VOLUME",
        "%s of %s is beyond the plunger's %s" % (what, quantity.format(volume, "volume"), text),
        limit=text,
        nearest=text,
    )


def check_room(order, infuse_steps, withdraw_steps, al_per_step):
    """Raise Refused(E_VOLUME) when a direct command would move beyond the plunger's travel."""
    for way, room in ((1, infuse_steps), (-1, withdraw_steps)):
        if order.steps_of(way) > room:
            what = "infusing" if way == 1 else "withdrawing"
            raise _volume(what, order.volume_al(way), room * al_per_step)


def check_bolus(volume_al, rate, flowing, config, room_steps):
    """Raise Refused for a dose that can't be given on top of a flow (aL/h) with this room."""
    al = config["motion"]["al_per_step"]
    most = config["limits"]["rate_max_al_per_h"] - flowing
    check_rate(rate, config["limits"])
    if rate > most:
        text = quantity.format(most, "rate")
        raise Refused("E_RATE_HIGH", "bolus and infusion together are too fast", text, text)
    if volume_al < al:
        least = quantity.format(al, "volume")
        raise Refused("E_VOLUME", "less than one step of the motor", limit=least, nearest=least)
    # The infusion flows on meanwhile, and the dose may share a step with it.
    room = max(0, room_steps - 1) * al
    if volume_al + arith.volume_of(flowing, arith.duration_of(volume_al, rate) + 1) > room:
        text = quantity.format(room * rate // (rate + flowing), "volume")
        raise Refused("E_VOLUME", "the syringe has less left than the bolus", text, text)


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
        text = quantity.format(duration, "duration")
        raise Refused("E_DURATION", "a dose takes %s, longer than `every`" % text, limit=text)
    return Step(mode, rate, volume, duration, every_ms=every, count=count)


def _pca(step, limits):
    for key in step:
        if key not in _PCA:
            raise Refused("E_ORDER", "unknown key in a step: " + str(key)[:32])
    given = [_whole(step, key, 0) for key in _PCA[1:]]
    basal, dose, dose_rate, lockout, in_1h, in_4h, duration = given
    if 0 in (dose, dose_rate, lockout) or not (in_1h or in_4h):
        raise Refused("E_ORDER", "pca needs dose, dose_rate, lockout and a limit")
    if basal:
        check_rate(basal, limits)
    check_rate(basal + dose_rate, limits)
    duration = duration or _PCA_MS
    in_hours = ((1, in_1h), (4, in_4h))
    windows = [(hours * arith.HOUR_MS, volume) for hours, volume in in_hours if volume]
    rules = (dose, dose_rate, lockout, windows)
    from pump.pca import Pca  # on demand: such orders are few

    Pca(basal, *rules, limits["rate_max_al_per_h"])  # refuses what can never work
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
