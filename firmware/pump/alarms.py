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
    "A_ENDS": ("high", True, False, "both end switches are hit: a wire is open",
               "check their plug and wires, then clear"),
    "A_SYRINGE_OUT": ("high", True, True, "no syringe is clamped in",
                      "clamp it in, clear, resume"),
    "A_STALL": ("high", True, True, "the motor stalled", "free the plunger, clear, resume"),
    "A_DRIVER": ("high", True, True, "the motor driver has a fault",
                 "check its supply and wires, clear, resume"),
    "A_HOT": ("high", True, True, "the motor driver is at 55 °C", "let it cool, clear, resume"),
    "A_SUPPLY": ("high", True, True, "the supply is out of range", "check it, clear, resume"),
    "A_BATTERY_END": ("high", True, True, "the battery is empty in 3 min",
                      "connect the power supply, clear, resume"),
    "A_BATTERY": ("medium", False, True, "the battery is empty in 30 min",
                  "connect the power supply"),
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
