"""An order as the device understands it: checked against board and syringe, fixed in whole steps.

Takes the compiled order (host_tools/doseloop/order.py, or the words typed on a terminal) and makes
items: one direction, one rate, a whole number of steps each. Volumes are summed before they become
steps, so fifty small steps lose no more than one.
"""

import json

from pump import arith, quantity, sealed
from pump.errors import Refused

KIND = "order"
VERSION = 1
ITEMS_MAX = 50

_WAYS = {"infuse": 1, "withdraw": -1, "pause": 0}
_TOP = ("schema", "name", "syringe", "fill_al", "on_link_loss", "steps", "kvo_al_per_h")
_STEP = ("mode", "rate_al_per_h", "volume_al", "duration_ms")


class Item:
    """One stretch of an order.

    way: 1 infuse, -1 withdraw, 0 pause; steps: whole steps; rest_al: volume beyond the last of
    them that the next item of this way inherits; done: steps made so far.
    """

    def __init__(self, way, rate_al_per_h, volume_al, duration_ms):
        self.way = way
        self.rate = rate_al_per_h
        self.volume_al = volume_al
        self.duration_ms = duration_ms
        self.steps = 0
        self.rest_al = 0
        self.done = 0

    def left(self):
        """Return the steps still to make."""
        return self.steps - self.done


class Order:
    """A checked order: ``items``, ``name``, ``fill_al`` or None, ``kvo``, ``stop_ms`` or None."""

    def __init__(self, name, items, fill_al, kvo, stop_ms, crc):
        self.name = name
        self.items = items
        self.fill_al = fill_al
        self.kvo = kvo
        self.stop_ms = stop_ms
        self.crc = crc

    def total_steps(self):
        """Return the ordered steps, both directions added."""
        return sum(item.steps for item in self.items)

    def duration_ms(self):
        """Return the planned duration without ramps and take-up."""
        return sum(item.duration_ms for item in self.items)

    def syringe_changes(self, capacity_al):
        """Return how many more full syringes the order needs, 0 without a declared fill."""
        if self.fill_al is None:
            return 0
        volume = sum(item.volume_al for item in self.items if item.way > 0)
        return max(0, -(-(volume - self.fill_al) // capacity_al))

    def view(self, syringe, al_per_step):
        """Return the plan as replies carry it; a stretch is (mode, rate, steps, ms)."""
        stretches = []
        for item in self.items:
            mode = "pause" if not item.way else "infuse" if item.way > 0 else "withdraw"
            stretches.append((mode, item.rate, item.steps, item.duration_ms))
        return {
            "ordered_steps": self.total_steps(),
            "duration_ms": self.duration_ms(),
            "stretches": stretches,
            "syringe_changes": self.syringe_changes(syringe["capacity_al"]),
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
            next_step="doseloop config push, or another order",
        )
    fill = _whole(data, "fill_al", None)
    crc = text.split("\n", 1)[0].split(" ")[3]
    return make(
        str(data.get("name", ""))[:64],
        steps,
        config,
        fill,
        _whole(data, "kvo_al_per_h", None),
        _stop_ms(data.get("on_link_loss")),
        crc,
    )


def make(name, steps, config, fill_al=None, kvo=None, stop_ms=None, crc="0"):
    """Return a checked Order of step dicts (the compiled order's), for this configuration."""
    capacity = config["syringe"]["capacity_al"]
    if fill_al is not None and not 0 < fill_al <= capacity:
        raise _volume("fill", fill_al, capacity)
    items = [_item(step, config["limits"]) for step in steps]
    if kvo is not None:
        check_rate(kvo, config["limits"])
    _fix_steps(items, config["motion"]["al_per_step"])
    for item in items:
        if item.way and not item.steps and len(items) == 1:
            raise Refused(
                "E_VOLUME",
                "less than one step of the motor",
                limit=quantity.format(config["motion"]["al_per_step"], "volume"),
                nearest=quantity.format(config["motion"]["al_per_step"], "volume"),
            )
    return Order(name, items, fill_al, kvo, stop_ms, crc)


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
        if sum(item.steps for item in order.items if item.way == way) > room:
            volume = sum(item.volume_al for item in order.items if item.way == way)
            what = "infusing" if way == 1 else "withdrawing"
            raise _volume(what, volume, room * al_per_step)


def _item(step, limits):
    if not isinstance(step, dict):
        raise Refused("E_ORDER", "a step is a table")
    for key in step:
        if key not in _STEP:
            raise Refused("E_ORDER", "unknown key in a step: " + str(key)[:32])
    mode = step.get("mode")
    if not isinstance(mode, str) or mode not in _WAYS:
        raise Refused("E_MODE", "mode %s" % str(mode)[:16])
    rate = _whole(step, "rate_al_per_h", None)
    volume = _whole(step, "volume_al", None)
    duration = _whole(step, "duration_ms", None)
    given = sum(value is not None for value in (rate, volume, duration))
    if mode == "pause":
        if given != 1 or not duration:
            raise Refused("E_ORDER", "a pause has a duration and nothing else")
        return Item(0, 0, 0, duration)
    if given != 2 or 0 in (rate, volume, duration):
        raise Refused("E_ORDER", "give exactly two of rate, volume and duration, none of them 0")
    if volume is None:
        volume = arith.volume_of(rate, duration)
    elif rate is None:
        rate = arith.rate_of(volume, duration)
    check_rate(rate, limits)
    if duration is None:
        duration = arith.duration_of(volume, rate)
    return Item(_WAYS[mode], rate, volume, duration)


def _fix_steps(items, al_per_step):
    total = {1: 0, -1: 0}
    fixed = {1: 0, -1: 0}
    for item in items:
        if not item.way:
            continue
        total[item.way] += item.volume_al
        upto = arith.steps_of(total[item.way], al_per_step)
        item.steps = upto - fixed[item.way]
        item.rest_al = total[item.way] - upto * al_per_step
        fixed[item.way] = upto


def _whole(data, key, default):
    value = data.get(key, default)
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
