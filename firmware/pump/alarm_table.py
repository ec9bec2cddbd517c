"""The table of alarms, for people: loaded for a moment (borrow.py) at boot and to tell an alarm.

alarms.py keeps of each what it needs to act. docs/alarms.md and `doseloop explain` are made of it.
"""

PRIORITIES = ("high", "medium", "low")  # the first wins; 60601-1-8

# What the pump does: E10, E15. Whatever stops leaves the motor without a step until a person has
# cleared the alarm and started again.
KEEPS, KVO, STOPS, ENDS = "keeps", "kvo", "stops", "ends"
ACTS = (KEEPS, KVO, STOPS, ENDS)  # by number, as alarms.py has them
DOES = {
    KEEPS: "goes on with what it does",
    KVO: "gives no dose; what flows is what the order keeps flowing at a limit",
    STOPS: "stops; the rest of the order may be resumed",
    ENDS: "stops and ends the order",
}

# When it ends. All but SELF latch.
CLEAR, GONE, LOAD, GO, SELF = "clear", "gone", "load", "go", "self"
ENDINGS = (CLEAR, GONE, LOAD, GO, SELF)
CLEARS = {
    CLEAR: "when a person clears it",
    GONE: "when a person clears it, once its cause is gone",
    LOAD: "when a syringe is loaded",
    GO: "when a person resumes, starts or stops, or clears it",
    SELF: "by itself, once its cause is gone; cleared before, it may come again",
}

# code: (priority, what the pump does, when it ends, what is the matter, next step)
TABLE = {
    "A_DRIFT": ("high", ENDS, CLEAR,
                "commanded and witnessed steps differ by more than 10, or by a tenth",
                "check STEP wiring and witness jumper; stop, then start a new order"),
    "A_UNDERRUN": ("high", STOPS, CLEAR, "the step queue ran dry; motion ended by itself",
                   "clear, then resume; report it if it comes back"),
    "A_TICK": ("high", ENDS, CLEAR, "the dose loop's tick died; motion ended by itself",
               "stop, then reset the board"),
    "A_LEASE": ("high", STOPS, CLEAR, "the main loop was silent; motion ended by itself",
                "clear, then resume; report it if it comes back"),
    "A_FAULT": ("high", ENDS, CLEAR, "an internal fault stopped the pump",
                "stop, read the log, reset the board"),
    "A_STOP_INPUT": ("high", STOPS, GONE, "the stop input opened", "close it, clear, then resume"),
    "A_END_SWITCH": ("high", STOPS, CLEAR, "an end switch was hit, or its wire is open",
                     "check carriage and wire, then clear"),
    "A_ENDS": ("high", ENDS, CLEAR, "both end switches are hit: a wire is open",
               "check their plug and wires, then clear"),
    "A_SYRINGE_OUT": ("high", STOPS, CLEAR, "no syringe is clamped in",
                      "clamp it in, clear, then resume"),
    "A_STALL": ("high", STOPS, CLEAR, "the motor stalled", "free the plunger, clear, then resume"),
    "A_DRIVER": ("high", STOPS, CLEAR, "the motor driver has a fault",
                 "check its supply and wires, clear, then resume"),
    "A_HOT": ("high", STOPS, CLEAR, "the motor driver is at 55 °C",
              "let it cool, clear, then resume"),
    "A_SUPPLY": ("high", STOPS, CLEAR, "the supply is out of range",
                 "check it, clear, then resume"),
    "A_BATTERY_END": ("high", STOPS, CLEAR, "the battery is empty in 3 min",
                      "connect the power supply, clear, then resume"),
    "A_BATTERY": ("medium", KEEPS, SELF, "the battery is empty in 30 min",
                  "connect the power supply"),
    "A_OCCLUSION": ("high", STOPS, CLEAR, "the pressure in the line has reached the threshold",
                    "open clamp or kink, check the access, clear, then resume"),
    "A_DISCONNECT": ("high", STOPS, CLEAR,
                     "the pressure fell suddenly: line off, or an occlusion gave way",
                     "clamp the line, check it up to the access, clear, then resume"),
    "A_FORCE": ("high", STOPS, CLEAR, "the force sensor reads no force, or nothing",
                "check its wires and its zero, clear, then resume"),
    "A_REPEATED": ("high", ENDS, CLEAR, "the same alarm has come three times in 10 min",
                   "stop, check syringe, line and access, then start a new order"),
    "A_EMPTY": ("high", STOPS, LOAD, "the syringe is empty and the order is not done",
                "load a syringe, then resume"),
    "A_FULL": ("high", STOPS, LOAD, "the syringe is full and the order is not done",
               "load a syringe, then resume"),
    "A_LINK": ("medium", STOPS, CLEAR, "the host is silent and the order says to stop",
               "reconnect, clear, then resume"),
    "A_RESET": ("high", KEEPS, GO, "a reset cut the run short; nothing moves",
                "see `status`; resume goes on with the rest, stop ends it"),
    "A_BUTTON": ("medium", KEEPS, GONE, "the bolus button has been down for over 60 s",
                 "free it or unplug it, then clear; until then it gives nothing"),
    "A_STOP_HELD": ("medium", KEEPS, SELF, "the stop input has been open for over 60 s",
                    "free the stop button, or mend its wire; until then nothing can start"),
    "A_STANDBY": ("medium", KEEPS, GO, "an order has waited to be started for too long",
                  "start or resume it, or stop it"),
    "A_CHANGE_LOST": ("medium", KEEPS, CLEAR, "a proposed change was not confirmed; it is dropped",
                      "propose it again if it is still wanted, and confirm it"),
    "A_SIGNAL": ("medium", KEEPS, CLEAR, "buzzer or lamp was not noticed in the alarm test",
                 "check their wires, then test again; until then look at the host"),
    "A_STORE": ("low", KEEPS, CLEAR, "the record of doses could not be stored or read",
                "note what was given; a reset would forget it"),
    "A_LIMIT": ("low", KVO, SELF, "a limit keeps the patient's doses back",
                "see `pca`; it ends by itself when a dose may be given again"),
    "A_LEAP": ("low", KEEPS, CLEAR, "the pressure leapt, and not by the pump's own flow",
                        "check the line: a clamp, another pump on it; then clear"),
    "A_NEAR_EMPTY": ("low", KEEPS, SELF, "the syringe will soon be empty", "have the next ready"),
    "A_PAUSED": ("low", KEEPS, GO, "an order under way has been paused for long",
                 "resume it, or stop it"),
    "A_WAITING": ("low", KEEPS, GO, "an order waits for a person to start it",
                  "start or resume it, or stop it"),
    "A_CHANGE": ("low", KEEPS, SELF, "a proposed change waits to be confirmed",
                 "confirm it; what is not confirmed is dropped"),
}  # fmt: skip
