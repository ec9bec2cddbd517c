"""Alarms as a table: priority, what the text says, what to do, and whether the order may go on."""

# code: (priority, stops, resumable, text, next step)
TABLE = {
    "A_DRIFT": ("high", True, False, "commanded and witnessed steps differ by more than 10",
                "check STEP wiring and witness jumper; stop, then start a new order"),
    "A_UNDERRUN": ("high", True, True, "the step queue ran dry; motion ended by itself",
                   "clear, then resume; report it if it comes back"),
    "A_TICK": ("high", True, False, "the dose loop's tick died; motion ended by itself",
               "stop, then reset the board"),
    "A_LEASE": ("high", True, True, "the main loop was silent; motion ended by itself",
                "clear, then resume; report it if it comes back"),
    "A_FAULT": ("high", True, False, "an internal fault stopped the pump",
                "stop, read the log, reset the board"),
    "A_STOP_INPUT": ("high", True, True, "the stop input opened", "close it, clear, then resume"),
    "A_END_SWITCH": ("high", True, True, "an end switch was hit, or its wire is open",
                     "check carriage and wire, then clear"),
    "A_EMPTY": ("high", True, True, "the syringe is empty and the order is not done",
                "load a syringe, then resume"),
    "A_FULL": ("high", True, True, "the syringe is full and the order is not done",
               "load a syringe, then resume"),
    "A_LINK": ("medium", True, True, "the host is silent and the order says to stop",
               "reconnect, clear, then resume"),
    "A_RESET": ("high", False, True, "a reset cut the run short; nothing moves",
                "see `status`; resume goes on with the rest, stop ends it"),
    "A_BUTTON": ("medium", False, True, "the bolus button has been down for over 60 s",
                 "free it or unplug it, then clear; until then it gives nothing"),
    "A_STORE": ("low", False, True, "the record of doses could not be stored or read",
                "note what was given; a reset would forget it"),
    "A_LIMIT": ("low", False, True, "a limit keeps the patient's doses back",
                "see `pca`; it ends by itself when a dose may be given again"),
    "A_OCCLUSION": ("high", True, True, "the pressure in the line has reached the threshold",
                    "open clamp or kink, check the access, clear, then resume"),
    "A_DISCONNECT": ("high", True, True,
                     "the pressure fell suddenly: line off, or an occlusion gave way",
                     "clamp the line, check it up to the access, clear, then resume"),
    "A_FORCE": ("high", True, True, "the force sensor reads no force, or nothing",
                "check its wires and its zero, clear, then resume"),
    "A_REPEATED": ("high", True, False, "the same alarm has come three times in 10 min",
                   "stop, check syringe, line and access, then start a new order"),
    "A_PRESSURE_LEAP": ("low", False, True, "the pressure leapt, and not by the pump's own flow",
                        "check the line: a clamp, another pump on it; then clear"),
    "A_NEAR_EMPTY": ("low", False, True, "the syringe will soon be empty", "have the next ready"),
}  # fmt: skip

_RANK = {"high": 0, "medium": 1, "low": 2}


class Alarms:
    """The alarms that stand, highest priority first, each with the time it came."""

    def __init__(self, clock):
        self._clock = clock
        self._since = {}

    def raise_(self, code):
        """Add an alarm; return False when it stands already."""
        if code in self._since:
            return False
        self._since[code] = self._clock.ms()
        return True

    def clear(self, code):
        """Drop one alarm; return whether it stood."""
        return self._since.pop(code, None) is not None

    def stands(self, code):
        """Return whether one alarm stands."""
        return code in self._since

    def tell(self, code, events):
        """Add an alarm, and record it unless it stands already."""
        if self.raise_(code):
            priority, _, _, text, _ = TABLE[code]
            events.add("alarm", code=code, priority=priority, text=text)

    def end(self, code, events):
        """Drop an alarm, and record it if it stood."""
        if self.clear(code):
            events.add("clear", code=code)

    def standing(self):
        """Return the codes, highest priority first, older first."""
        return sorted(self._since, key=lambda code: (_RANK[TABLE[code][0]], self._since[code]))

    def stopping(self):
        """Return the codes of those that stop the pump."""
        return [code for code in self.standing() if TABLE[code][1]]

    def as_list(self):
        """Return the alarms as status shows them."""
        return [
            {
                "code": code,
                "priority": TABLE[code][0],
                "since_ms": self._since[code],
                "silenced": False,
            }
            for code in self.standing()
        ]
