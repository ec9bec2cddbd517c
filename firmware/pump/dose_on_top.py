"""Whether a clinician's dose on top of the run may be given now. Borrowed (borrow.py)."""

from pump import arith, checks, states
from pump.errors import Refused


def admit(c, volume_al, rate_al_per_h, duration_ms):
    """Return the rate of a dose, or raise Refused. ``c``: the controller (dosing.py).

    At a rate: it suspends a square bolus under way (C3). Or square, spread evenly over a duration
    (C4): one at a time (C5), and none while another dose is given.
    """
    c._need_run()
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
