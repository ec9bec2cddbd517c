"""Changes of a run under way: a clinician's dose on top, another rate. Borrowed (borrow.py).

``c`` is the controller (dosing.py, controller.py).
"""

from pump import arith, checks, sealed, shown, states
from pump.errors import Refused


def admit_dose(c, volume_al, rate_al_per_h, duration_ms):
    """Return the rate of a dose, or raise Refused: it can't be given now.

    At a rate: it suspends a square bolus under way (C3). Or square, spread evenly over a duration
    (C4): one at a time (C5), and none while another dose is given.
    """
    c._need_run("bolus_now")
    square = duration_ms is not None
    if (rate_al_per_h is not None) == square:
        raise Refused("E_ARG", "give exactly one of rate, duration")
    item, motor = c.run.beneath(), c.motor
    if c.state == states.PAUSED and c._resume_at is None:
        raise Refused("E_STATE", "not while paused", next_step="resume first")
    busy = c._then is not None or motor.taking_up
    given = c.run.item()
    if given is not item and (square or given is not c._bolus.square):
        busy = True  # a dose under way leaves room for none but a normal one over a square one
    if item is None or item.way < 0 or item.kind == "bolus" or busy:
        raise Refused("E_STATE", "no bolus can begin now", next_step="see `status`, try again")
    flowing = item.rate if item.way and item.kind != "kvo" else 0
    if square:
        lockout = c.run.order.steps[0].pca[2] if c._controlled() else 0
        left = c.pause_left_ms()
        if item.way:
            left = arith.duration_of(item.left() * motor.al, item.rate)
        rate_al_per_h = checks.square_rate(volume_al, duration_ms, lockout, left)
    checks.check_bolus(volume_al, rate_al_per_h, flowing, c.config, motor.room(1))
    if c.run.order.library:
        c.run.order.library.bolus(volume_al, rate_al_per_h, square)
    c._check_way(1)
    if c._controlled():
        why = c._patient.bolus(volume_al, rate_al_per_h, motor.room(1) * motor.al, square)
        if why is not None:
            raise Refused("E_LIMIT", "denied: " + why, next_step="doseloop demand --look")
    return rate_al_per_h


def propose_rate(c, rate_al_per_h):
    """Check a new rate for the item under way. It comes into effect when it is confirmed."""
    item = c._may_change(rate_al_per_h)
    if c._controlled():
        c._patient.check_basal(rate_al_per_h)
    old = item.rate
    change = "%s %d %d %d" % (c.run.id, item.number, old, rate_al_per_h)
    reply = c.pending.propose(
        sealed.crc_hex(change),
        lambda: c.change_rate(rate_al_per_h),
        lambda: c.run.item() is item and item.rate == old,
    )
    reply["old"] = shown.format(old, "rate")
    reply["new"] = shown.format(rate_al_per_h, "rate")
    reply["old_al_per_h"], reply["new_al_per_h"] = old, rate_al_per_h
    return reply
