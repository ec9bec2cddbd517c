"""Commands with numbers that are no machine word: MicroPython can't slice with those."""

from pump import commands, events
from pump.errors import Refused


class Clock:
    def ms(self):
        return 0


class App:
    """What the commands below ask of the composition root."""

    def __init__(self):
        self.events = events.Events(Clock(), 1)
        self.events.listener = lambda event: None
        self.events.add("boot")

    def config_text(self):
        return "x" * 2000


def test_numbers_beyond_a_machine_word(_folder):
    table = commands.Commands(App())
    for value in (0, 1, 2**30 - 1, 2**30, 2**31, 2**32, 2**62, 2**63, 2**64, 10**20, 10**29):
        for command, args in (
            ("commands", {"from": value}),
            ("config_get", {"offset": value}),
            ("events", {"since": value}),
            ("events", {"since": 0, "max": value}),
            ("put", {"slot": "order", "offset": value, "data": "x"}),
            ("order", {"size": value}),
        ):
            try:
                table.run(command, args)
            except (Refused, AttributeError) as error:
                # This App has no controller: only a request that got that far may find out.
                if isinstance(error, AttributeError) and command != "order":
                    raise


def test_unhashable_names(_folder):
    table = commands.Commands(App())
    for name in ([], {}, None, 5, "x"):
        try:
            table.run(name, {})
        except Refused as error:
            if error.code == "E_COMMAND":
                continue
        raise AssertionError(name)
