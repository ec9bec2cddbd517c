"""What board and syringe allow: rates, volumes, room. A refusal names the nearest allowed."""

from micropython import const

from pump import arith, shown
from pump.errors import Refused

_MINUTE_MS = const(60_000)  # the least, where no lockout says more
_SQUARE_MAX_MS = const(6 * 3_600_000)  # OPCA R5.3.0(6)


def check_rate(rate, limits):
    """Raise Refused(E_RATE_HIGH or E_RATE_LOW) naming the nearest allowed rate."""
    most, least = limits["rate_max_al_per_h"], limits["rate_min_al_per_h"]
    if rate > most:
        edge, code, word = most, "E_RATE_HIGH", "above"
    elif rate < least:
        edge, code, word = least, "E_RATE_LOW", "below"
    else:
        return
    text = shown.format(edge, "rate")
    raise Refused(
        code,
        "rate %s is %s what board and syringe allow" % (shown.format(rate, "rate"), word),
        limit=text,
        nearest=text,
    )


def beyond(what, volume, most):
    """Return the refusal of a volume that the plunger can't travel."""
    text = shown.format(most, "volume")
    return Refused(
        "E_VOLUME",
        "%s of %s is beyond the plunger's %s" % (what, shown.format(volume, "volume"), text),
        limit=text,
        nearest=text,
    )


def check_room(order, infuse_steps, withdraw_steps, al_per_step):
    """Raise Refused(E_VOLUME) when a direct command would move beyond the plunger's travel."""
    for way, room in ((1, infuse_steps), (-1, withdraw_steps)):
        if order.steps_of(way) > room:
            what = "infusing" if way == 1 else "withdrawing"
            raise beyond(what, order.volume_al(way), room * al_per_step)


def square_rate(volume_al, duration_ms, lockout_ms, left_ms):
    """Return the rate of a dose spread evenly over a time (C4), or raise Refused (C6).

    lockout_ms: of a patient's order, else 0; left_ms: of the infusion that it is to flow beside,
    so that this ends when it would have.
    """
    least, most = max(_MINUTE_MS, lockout_ms), _SQUARE_MAX_MS
    if left_ms < most:
        most = left_ms // _MINUTE_MS * _MINUTE_MS  # still allowed when it has been typed
    if least <= duration_ms <= most:
        # Rounded up, by less than an aL/h: so it takes its time to the millisecond.
        return -(-volume_al * arith.HOUR_MS // duration_ms)
    text = shown.format(least if duration_ms < least else most, "duration")
    raise Refused(
        "E_DURATION",
        "a square bolus lasts %s at least, 6 h at most, and not beyond the infusion"
        % shown.format(least, "duration"),
        limit=text,
        nearest=text if most >= least else None,
        next_step="change the duration, or give a rate",
    )


def check_bolus(volume_al, rate, flowing, config, room_steps):
    """Raise Refused for a dose that can't be given on top of a flow (aL/h) with this room."""
    al = config["motion"]["al_per_step"]
    most = config["limits"]["rate_max_al_per_h"] - flowing
    check_rate(rate, config["limits"])
    if rate > most:
        text = shown.format(most, "rate")
        raise Refused("E_RATE_HIGH", "bolus and infusion together are too fast", text, text)
    if volume_al < al:
        least = shown.format(al, "volume")
        raise Refused("E_VOLUME", "less than one step of the motor", limit=least, nearest=least)
    # The infusion flows on meanwhile, and the dose may share a step with it.
    room = max(0, room_steps - 1) * al
    if volume_al + arith.volume_of(flowing, arith.duration_of(volume_al, rate) + 1) > room:
        less = max(0, room - arith.volume_of(flowing, 2))  # both round up to a millisecond
        text = shown.format(less * rate // (rate + flowing) // 10**9 * 10**9, "volume")
        raise Refused("E_VOLUME", "the syringe has less left than the bolus", text, text)
