"""Taking an order, showing its plan, and beginning it. ``c`` is the controller (controller.py).

Borrowed (borrow.py): all of it is done at standstill.
"""

from pump import (
    borrow,
    leg,  # noqa: F401  # carries the order out: read now, so that it begins promptly
    states,
)
from pump.errors import Refused
from pump.run import Run


def plan(c, new_order, direct):
    """Take an order and wait for start. ``direct``: it came as a command, without a fill."""
    c._need("plan")
    c._need_config()
    if c.library_fault:
        raise Refused("E_LIBRARY", c.library_fault)  # H7
    if direct:
        motor = c.motor
        borrow.checks().check_room(new_order, motor.room(1), motor.room(-1), motor.al)
    c.pending.drop()  # a configuration: it would take this order away
    c.order = new_order
    c._unmet = 0
    c._go(states.READY)
    c._events.add(
        "order", name=new_order.name, crc=new_order.crc, ordered_steps=new_order.total_steps()
    )
    return plan_view(c)


def plan_view(c):
    """Return the plan of the order that waits or runs."""
    if c.order is None:
        raise Refused("E_STATE", "there is no order")
    # An order needs a step more than there is when its volume reaches one.
    held_al = (c.motor.room(1) + 1) * c.motor.al - 1
    return c.order.view(c.config["syringe"], c.motor.al, held_al)


def start(c, crc=None):
    """Begin the order. ``crc``: that of the order the host has shown, to be sure."""
    c._need("start")
    if crc is not None and crc != c.order.crc:
        raise Refused("E_ORDER", "the pump holds another order", next_step="send it again")
    c._check_way(next(c.order.items()).way)
    c._alarms.end("A_RESET", c._events)
    c._forget_button()
    if c.order.steps[0].pca is not None:
        c._prescribe(c._unmet)
        c._patient.begin()
    if c.order.fill_al is not None:
        c._load(c.order.fill_al)
    c.pending.drop()
    c._runs += 1
    c.run = Run("%d-%d" % (c._events.boot, c._runs), c.order, c.motor.al)
    try:
        c.journal.open(c.run)
    except OSError:
        c._alarm("A_STORE")
    c.journal.touch()
    c._keep()  # before it moves: no reset finds a pump that knows nothing of it
    c.order.text = None  # up to 8 kB, and kept now
    c._watchdog.arm()
    c.motor.forget_break()
    library = c.order.library
    c._events.add(
        "start",
        run=c.run.id,
        ordered_steps=c.run.ordered,
        duration_ms=c.order.duration_ms(),
        name=c.order.name,
        library=library and library.named,
    )
    c._next_leg()
    return {"run": c.run.id}
