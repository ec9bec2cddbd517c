"""The command table: what a host or a person may ask, with units, and what answers it.

Both forms of the line, frames and plain words, end here. The table is served to the host at
connect, so names and limits can't drift apart. What answers is found by the command's name: a
method below; or planning.py, for what is asked at standstill only; or else the controller, whose
method then takes the arguments in the table's order.
"""

import json

from pump import borrow
from pump.errors import Refused

_WHOLE_MAX = 1 << 30  # indexes, sizes and milliseconds: small integers on the chip
_ALARMS = 8  # in one reply
_PAGE = 700  # characters of events in one reply

_DOSE = (("volume_al", "volume", False), ("rate_al_per_h", "rate", False),
         ("duration_ms", "duration", False))  # fmt: skip

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
    "infuse": _DOSE,
    "withdraw": _DOSE,
    "bolus": _DOSE,
    "prime": _DOSE,
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

# Answered by planning.py.
_PLANNING = ("commands", "help", "put", "config", "config_get", "library", "order", "infuse",
             "withdraw", "bolus", "prime", "plan")  # fmt: skip


class Commands:
    """Looks a command up, checks its arguments and calls it. ``app`` is the composition root."""

    def __init__(self, app):
        self._app = app
        self._slots = {"config": "", "order": "", "library": 0}

    def check_name(self, name):
        """Raise Refused for what is no command. Noise asks often: it reads nothing from flash."""
        if not isinstance(name, str) or name not in TABLE:
            why = "no command " + str(name)[:32]
            raise Refused("E_COMMAND", why, next_step="see `help`")

    def run(self, name, args):
        """Return the reply dict of a command, or raise Refused; then nothing has changed."""
        self.check_name(name)
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
        if name in _PLANNING:
            return borrow.planning().answer(name, self._app, args, self._slots)
        own = getattr(self, "_" + name, None)
        if own is not None:
            return own(args)
        return getattr(self._app.controller, name)(*[args.get(key) for key in names])

    # -- the pump describes itself ------------------------------------------------------------

    def _hello(self, args):
        return self._app.identity()

    def _bye(self, args):
        self._app.link.leave()
        return {}

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

    # -- what changes, and what alarms --------------------------------------------------------

    def _confirm(self, args):
        self._look()
        return self._app.controller.pending.confirm(args["digest"])

    def _rate(self, args):
        self._look()
        return self._app.controller.propose_rate(args["rate_al_per_h"])

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
