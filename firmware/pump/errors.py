"""One error type of the device, and the table of its codes with the next step for each."""

# code: what a person does next. The message says what was wrong.
NEXT = {
    "E_ARG": "see `help`",
    "E_COMMAND": "see `help`",
    "E_CONFIG": "doseloop config push --board BOARD --syringe SYRINGE",
    "E_CONFIRM": "propose the change again; confirm it with the digest of what you saw",
    "E_CRC": "send it again",
    "E_DURATION": "give a duration of at least 1 ms and a volume of at least one step",
    "E_FRAME": "send it again",
    "E_LIMIT": "lower the rate or the dose, or wait",
    "E_LINE": "end each command with a newline; at most 1024 bytes",
    "E_MODE": "doseloop check ORDER.toml",
    "E_NUMBER": "write 2.5 mL, 5 mL/h or 30 min",
    "E_ORDER": "doseloop check ORDER.toml",
    "E_RATE_HIGH": "lower the rate, or use a larger syringe",
    "E_RATE_LOW": "raise the rate, or use a smaller syringe",
    "E_SESSION": "say hello again",
    "E_SIZE": "send it in smaller parts",
    "E_STALE": "say hello again",
    "E_STATE": "see `status`",
    "E_STOP_OPEN": "close the stop input",
    "E_END_SWITCH": "move the carriage off its end switch, or check the wire",
    "E_ENDS": "check their plug and wires",
    "E_SYRINGE_OUT": "clamp a syringe in",
    "E_DRIVER": "check its supply and wires",
    "E_HOT": "let it cool down",
    "E_SUPPLY": "check the power supply",
    "E_BATTERY_END": "connect the power supply",
    "E_STORE": "the flash did not take it; try again",
    "E_SYRINGE": "doseloop config push, or another order",
    "E_UNIT": "write 2.5 mL, 5 mL/h or 30 min",
    "E_VOLUME": "lower the volume, or load a larger syringe",
    "E_INTERNAL": "report this with `logs`",
}


class Refused(Exception):
    """A request that can't be honoured. Nothing was changed.

    ``limit`` and ``nearest`` are quantity texts where there is a limit; ``next`` what to do.
    """

    def __init__(self, code, message, limit=None, nearest=None, next_step=None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.limit = limit
        self.nearest = nearest
        self.next = next_step or NEXT.get(code)

    def as_dict(self):
        """Return the error as the reply carries it."""
        return {
            "code": self.code,
            "message": self.message,
            "limit": self.limit,
            "nearest": self.nearest,
            "next": self.next,
        }
