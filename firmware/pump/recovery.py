"""After a reset: make a run again of what journal.py kept of it, and of what the witness counted.

Imported when there is such a run, before the motion parts are built. Nothing moves by it: the
controller shows the interrupted order, and goes on only when a person says so.
"""

from micropython import const

from pump import borrow, dose_loop, sealed, states
from pump.errors import Refused
from pump.run import Run

_HALF = const(1 << 31)


class Interrupted:
    """A run as it stood; ``why`` names what keeps it from going on, None when nothing does.

    run: None with a ``why``; counts: Run.dump()'s; plunger, number: for Motor.take_over.
    """

    def __init__(self, record, run, why):
        self.id = record[0]
        self.pause_ms, self.held = record[7], record[8]
        self.plunger, self.number = record[4], record[5][0]
        self.counts = record[3][0]
        self.run = run
        self.why = why


def recover(journal, record, config, counted):
    """Return the Interrupted of a record.

    config: the one in force, or None; counted: hal.witness.kept(), or None after a loss of power.
    """
    if config is None or config.get("crc") != record[1]:
        return Interrupted(record, None, "another configuration is in force")
    try:
        library, text = journal.order_of(record[0])
        kept = borrow.order().unseal(text, config)
        if library:
            kept.library = borrow.take("bounds").Bounds(*library)
    except (ValueError, sealed.SealError, Refused) as error:
        return Interrupted(record, None, "its order can't be read: %s" % error)
    run = Run(record[0], kept, config["motion"]["al_per_step"])
    run.restore(record[3])
    found = Interrupted(record, run, None)
    book = _Books(run, found.plunger, config["motion"]["backlash_steps"])
    number, way, taking_up, made, seen = record[5]
    tag, now, before = counted or (number + 2 << 2, 0, 0)
    passed = (tag >> 2) - number & dose_loop.NUMBER_MASK  # motions begun since the record
    if passed == 0:
        book.motion(way, taking_up, made, seen, now)
    elif passed == 1:
        book.motion(way, taking_up, made, seen, before)
        book.motion(1 if tag & 1 else -1, tag & 2, 0, 0, now)
    else:
        run.uncertain += record[6]
    found.counts = run.dump()[0]
    if found.pause_ms and run.item() is not None and not run.item().way:
        run.item().duration_ms = found.pause_ms
    # Kept before the witness is set to zero, so that another reset finds the same.
    found.number = tag >> 2
    record[3], record[4], record[6] = run.dump(), found.plunger, 0
    record[5] = [found.number, way, 0, now, now]
    try:
        journal.keep(record)
    except OSError:
        pass  # the controller keeps it again, and says so if it can't
    return found


def show(c, found):
    """Let the controller ``c`` show what a reset cut short (an Interrupted). Nothing moves."""
    run, why = found.run, found.why
    if found.held and why is None:
        why = "it was held, and nobody holds it now"
    if run is not None:
        c.run, c.order = run, None if run.ended else run.order
        c.motor.take_over(found.plunger, found.number, run)
        c._bolus.take_over(run)
        if run.ended:
            why = "the order was done; it kept the vein open"
        elif run.item() is None or why is not None:
            c._close("reset")
        else:
            c._go(states.INTERRUPTED)
            if c._controlled():
                c._recall_patient()
    commanded, witnessed, booked_in = found.counts[:3]
    c._events.add(
        "interrupted",
        run=found.id,
        commanded_steps=commanded,
        witnessed_steps=witnessed,
        booked_in=booked_in,
        uncertain_steps=run.uncertain if run else None,
        why=why,
    )
    c._alarm("A_RESET")
    c.journal.touch()


class _Books:
    """Books what the witness counted after the record was made."""

    def __init__(self, run, plunger, backlash):
        self._run = run
        self._plunger = plunger
        self._backlash = backlash

    def motion(self, way, taking_up, made, seen, counted):
        """made, seen: the record's; counted: the witness's, of the same motion, mod 2**32."""
        steps = counted - seen & 0xFFFFFFFF
        if steps >= _HALF:
            steps = 0
        if not steps and not taking_up:
            return
        if taking_up:
            # The record has the slack from before the motion, and the place as it was at the
            # record: beyond the slack it has backed off, or pushed that in again (motor.py).
            here, there = (2, 3) if way > 0 else (3, 2)
            slack, total = self._plunger[here], seen + steps
            beyond = max(0, total - slack) - max(0, seen - slack)
            slack = max(0, slack - total)
            self._plunger[here], self._plunger[there] = slack, self._backlash - slack
            self._plunger[0] += way * beyond
            self._plunger[4] = max(0, self._plunger[4] - way * beyond)
            self._run.takeup += steps
            return
        self._plunger[0] += way * steps
        # At standstill what was seen was made (motor.py).
        self._run.book(way, max(0, seen + steps - made), steps)
