"""Commands for what comes before a start: configuration, drug library, orders; and the help.

Borrowed (borrow.py) for one command. Each answers as commands.py's methods do: with a reply, or by
raising Refused, and then nothing has changed.
"""

from pump import borrow, commands
from pump.errors import Refused

_UPLOAD_MAX = 8192
_CHUNK = 512


def answer(name, app, args, slots):
    """Return the reply of a command. slots: what was sent so far and not used yet, by its kind."""
    return _ANSWERS[name](name, app, args, slots)


def _commands(_name, _app, args, _slots):
    names = sorted(commands.TABLE)
    first = args.get("from") or 0
    view = []
    texts = borrow.words().HELP
    for name in names[first : first + 3]:
        view.append(
            {
                "name": name,
                "help": texts[name],
                "args": [
                    {"name": key, "unit": kind, "required": required}
                    for key, kind, required in commands.TABLE[name]
                ],
            }
        )
    after = first + 3
    return {"commands": view, "next": after if after < len(names) else None}


def _help(_name, _app, _args, _slots):
    return {"commands": sorted(commands.TABLE)}


# -- what is sent in parts ------------------------------------------------------------------------


def _put(_name, app, args, slots):
    slot, offset, data = args["slot"], args["offset"], args["data"]
    if slot not in slots:
        raise Refused("E_ARG", "slot is config or order")
    if slot == "library":
        return _shelf(app).put(app.controller, args, slots)
    held = "" if offset == 0 else slots[slot]
    if offset > len(held):
        raise Refused("E_ARG", "%s has %d characters so far" % (slot, len(held)))
    if offset + len(data) > _UPLOAD_MAX or len(data) > _CHUNK:
        raise Refused("E_SIZE", "at most %d characters, %d a part" % (_UPLOAD_MAX, _CHUNK))
    slots[slot] = held[:offset] + data
    return {"size": offset + len(data)}


def _take(slots, slot, size):
    text = slots[slot]
    if len(text) != size or not size:
        raise Refused("E_SIZE", "%s has %d of %d characters" % (slot, len(text), size))
    slots[slot] = ""
    return text


def _config(_name, app, args, slots):
    c = app.controller
    text = _take(slots, "config", args["size"])
    c.may_plan()
    config = borrow.config()
    new, old = config.check(text), c.config
    reply = c.pending.propose(new["crc"], lambda: app.configure(text))
    reply["old"] = old and config.named(old)
    reply["new"] = config.named(new)
    reply["old_al_per_step"] = old and old["motion"]["al_per_step"]
    reply["new_al_per_step"] = new["motion"]["al_per_step"]
    return reply


def _config_get(_name, app, args, _slots):
    text = app.config_text()
    at = args["offset"]
    return {"data": text[at : at + _CHUNK], "size": len(text)}


def _library(_name, app, args, _slots):
    return _shelf(app).command(app.controller, args)


def _shelf(app):
    app.controller.may_plan()
    return borrow.take("library")


# -- orders ---------------------------------------------------------------------------------------


def _order(_name, app, args, slots):
    controller = _configured(app)
    text = _take(slots, "order", args["size"])
    made = borrow.order().unseal(text, controller.config)
    if made.drug is not None:
        _shelf(app).hold(controller, made)
    return _view(controller.plan(made, False))


def _direct(name, app, args, _slots):
    controller = _configured(app)
    made = borrow.order().direct(name, args, controller.config)
    return _view(controller.plan(made, True))


def _configured(app):
    controller = app.controller
    if controller.config is None:
        raise Refused("E_CONFIG", "the pump has no configuration")
    controller.may_plan()  # before the time that a look at an order takes
    return controller


def _plan(_name, app, _args, _slots):
    return _view(app.controller.plan_view())


def _view(plan):
    # Fifty stretches do not fit a line; the host has the order it sent.
    plan = dict(plan)
    count = len(plan["stretches"])
    plan["stretches"] = [
        {"mode": mode, "rate_al_per_h": rate, "steps": steps, "duration_ms": ms}
        for mode, rate, steps, ms in plan["stretches"][:4]
    ]
    plan["stretch_count"] = count
    return plan


_ANSWERS = {
    "commands": _commands,
    "help": _help,
    "put": _put,
    "config": _config,
    "config_get": _config_get,
    "library": _library,
    "order": _order,
    "infuse": _direct,
    "withdraw": _direct,
    "bolus": _direct,
    "prime": _direct,
    "plan": _plan,
}
