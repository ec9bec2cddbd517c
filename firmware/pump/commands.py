"""The command table: what a host or a person may ask, with units, and what answers it.

Both forms of the line, frames and plain words, end here. The table is served to the host at
connect, so names and limits can't drift apart.
"""

import json

from pump import borrow
from pump.errors import Refused

_UPLOAD_MAX = 8192
_CHUNK = 512
_WHOLE_MAX = 1 << 30  # indexes, sizes and milliseconds: small integers on the chip
_ALARMS = 8  # in one reply
_PAGE = 700  # characters of events in one reply

# name: ((argument, kind, required), ...). A kind is one of quantity's, or text, whole. What each
# is for says words.HELP.
TABLE = {
    "hello": (),
    "commands": (("from", "whole", False),),
    "status": (),
    "put": (("slot", "text", True), ("offset", "whole", True), ("data", "text", True)),
    "config": (("size", "whole", True),),
    "confirm": (("digest", "text", True),),
    "config_get": (("offset", "whole", True),),
    "order": (("size", "whole", True),),
    "plan": (),
    "infuse": (("volume_al", "volume", False), ("rate_al_per_h", "rate", False),
               ("duration_ms", "duration", False)),
    "withdraw": (("volume_al", "volume", False), ("rate_al_per_h", "rate", False),
                 ("duration_ms", "duration", False)),
    "bolus": (("volume_al", "volume", False), ("rate_al_per_h", "rate", False),
              ("duration_ms", "duration", False)),
    "bolus_now": (("volume_al", "volume", True), ("rate_al_per_h", "rate", False),
                  ("duration_ms", "duration", False)),
    "demand": (),
    "pca": (),
    "hold": (),
    "start": (("order_crc", "text", False),),
    "pause": (),
    "resume": (),
    "stop": (),
    "rate": (("rate_al_per_h", "rate", True),),
    "library": (("size", "whole", False), ("replace", "whole", False),
                ("offset", "whole", False)),
    "occlusion": (("threshold_npa", "pressure", False),),
    "load": (("volume_al", "volume", True),),
    "clear": (),
    "alarms": (("from", "whole", False),),
    "silence": (),
    "alarm_test": (("sound", "whole", False), ("lamp", "whole", False)),
    "events": (("since", "whole", True), ("max", "whole", False)),
    "watch": (("ms", "whole", True),),
    "bye": (),
    "maintenance": (),
    "help": (),
}  # fmt: skip


class Commands:
    """Looks a command up, checks its arguments and calls it. ``app`` is the composition root."""

    def __init__(self, app):
        self._app = app
        self._slots = {"config": "", "order": "", "library": 0}

    def run(self, name, args):
        """Return the reply dict of a command, or raise Refused; then nothing has changed."""
        if not isinstance(name, str) or name not in TABLE:
            raise Refused("E_COMMAND", "no command " + str(name)[:32])
        spec = TABLE[name]
        names = [item[0] for item in spec]
        for key in args:
            if key not in names:
                raise Refused("E_ARG", "%s has no argument %s" % (name, str(key)[:32]))
        for key, kind, required in spec:
            value = args.get(key)
            if value is None:
                if required:
                    raise Refused("E_ARG", "%s needs %s" % (name, key))
            elif kind == "text":
                if not isinstance(value, str):
                    raise Refused("E_ARG", "%s is text" % key)
            elif type(value) is not int or value < 0 or value >= 10**30:
                raise Refused("E_ARG", "%s is a whole number" % key)
            elif kind == "whole" and value >= _WHOLE_MAX:
                raise Refused("E_ARG", "%s is too large" % key, limit=str(_WHOLE_MAX - 1))
        return getattr(self, "_" + name)(args)

    # -- the pump describes itself ------------------------------------------------------------

    def _hello(self, args):
        return self._app.identity()

    def _commands(self, args):
        names = sorted(TABLE)
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
                        for key, kind, required in TABLE[name]
                    ],
                }
            )
        after = first + 3
        return {"commands": view, "next": after if after < len(names) else None}

    def _bye(self, args):
        self._app.link.leave()
        return {}

    def _help(self, args):
        return {"commands": sorted(TABLE)}

    def _status(self, args):
        self._look()
        return self._app.status()

    def _look(self):
        # Main may have slept for a second: what is told, or changed, is what runs now.
        self._app.controller.service()

    def _events(self, args):
        events = self._app.events
        found = events.since(args["since"], min(args.get("max") or 8, 8))
        while len(found) > 1 and len(json.dumps(found)) > _PAGE:
            found.pop()
        return {"events": found, "last": events.last, "first": events.first(), "boot": events.boot}

    def _watch(self, args):
        if args["ms"] and args["ms"] < 20:
            raise Refused("E_ARG", "at most 50 a second", limit="20 ms", nearest="20 ms")
        self._app.link.watch(args["ms"])
        return {"ms": args["ms"]}

    # -- configuration and orders -------------------------------------------------------------

    def _put(self, args):
        slot, offset, data = args["slot"], args["offset"], args["data"]
        if slot not in self._slots:
            raise Refused("E_ARG", "slot is config or order")
        if slot == "library":
            return self._shelf().put(self._app.controller, args, self._slots)
        held = "" if offset == 0 else self._slots[slot]
        if offset > len(held):
            raise Refused("E_ARG", "%s has %d characters so far" % (slot, len(held)))
        if offset + len(data) > _UPLOAD_MAX or len(data) > _CHUNK:
            raise Refused("E_SIZE", "at most %d characters, %d a part" % (_UPLOAD_MAX, _CHUNK))
        self._slots[slot] = held[:offset] + data
        return {"size": offset + len(data)}

    def _take(self, slot, size):
        text = self._slots[slot]
        if len(text) != size or not size:
            raise Refused("E_SIZE", "%s has %d of %d characters" % (slot, len(text), size))
        self._slots[slot] = ""
        return text

    def _config(self, args):
        text = self._take("config", args["size"])
        return self._app.controller.propose_config(text, self._app.configure)

    def _confirm(self, args):
        self._look()
        return self._app.controller.pending.confirm(args["digest"])

    def _config_get(self, args):
        text = self._app.config_text()
        at = args["offset"]
        return {"data": text[at : at + _CHUNK], "size": len(text)}

    def _library(self, args):
        return self._shelf().command(self._app.controller, args)

    def _shelf(self):
        self._app.controller.may_plan()
        return borrow.take("library")

    def _order(self, args):
        controller = self._need_config()
        controller.may_plan()  # before the time that a look at it takes
        text = self._take("order", args["size"])
        made = borrow.order().unseal(text, controller.config)
        if made.drug is not None:
            self._shelf().hold(controller, made)
        return self._plan_view(controller.plan(made, False))

    def _need_config(self):
        controller = self._app.controller
        if controller.config is None:
            raise Refused("E_CONFIG", "the pump has no configuration")
        return controller

    def _direct(self, mode, args):
        controller = self._need_config()
        controller.may_plan()
        made = borrow.order().direct(mode, args, controller.config)
        return self._plan_view(controller.plan(made, True))

    def _infuse(self, args):
        return self._direct("infuse", args)

    def _withdraw(self, args):
        return self._direct("withdraw", args)

    def _bolus(self, args):
        return self._direct("bolus", args)

    def _bolus_now(self, args):
        rate, duration = args.get("rate_al_per_h"), args.get("duration_ms")
        return self._app.controller.bolus_now(args["volume_al"], rate, duration)

    def _demand(self, args):
        return self._app.controller.demand()

    def _pca(self, args):
        return self._app.controller.pca()

    def _hold(self, args):
        return self._app.controller.hold()

    def _plan(self, args):
        return self._plan_view(self._app.controller.plan_view())

    def _plan_view(self, plan):
        # Fifty stretches do not fit a line; the host has the order it sent.
        plan = dict(plan)
        count = len(plan["stretches"])
        plan["stretches"] = [
            {"mode": mode, "rate_al_per_h": rate, "steps": steps, "duration_ms": ms}
            for mode, rate, steps, ms in plan["stretches"][:4]
        ]
        plan["stretch_count"] = count
        return plan

    # -- motion -------------------------------------------------------------------------------

    def _start(self, args):
        return self._app.controller.start(args.get("order_crc"))

    def _pause(self, args):
        return self._app.controller.pause()

    def _resume(self, args):
        return self._app.controller.resume()

    def _stop(self, args):
        return self._app.controller.stop()

    def _rate(self, args):
        self._look()
        return self._app.controller.propose_rate(args["rate_al_per_h"])

    def _occlusion(self, args):
        return self._app.controller.occlusion(args.get("threshold_npa"))

    def _load(self, args):
        return self._app.controller.load(args["volume_al"])

    def _clear(self, args):
        return self._app.controller.clear()

    def _alarms(self, args):
        self._look()
        first = args.get("from") or 0
        standing = self._app.alarms.as_list()
        after = first + _ALARMS
        return {"alarms": standing[first:after], "next": after if after < len(standing) else None}

    def _silence(self, args):
        self._look()
        return self._app.alarms.silence(self._app.events)

    def _alarm_test(self, args):
        self._look()
        return borrow.attended().alarm_test(self._app, args)

    def _maintenance(self, args):
        return self._app.maintenance()
