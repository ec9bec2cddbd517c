"""The command `doseloop`: the table of verbs, and the one place where errors become exit codes.

A new verb is one line in `VERBS` and one module. Modules are imported when their verb is called,
so that `doseloop --help` and a rig script start fast.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import NoReturn

import click

from doseloop import errors

# verb: (module:attribute, what `doseloop --help` says about it)
VERBS: dict[str, tuple[str, str]] = {
    "check": ("doseloop.cli.check:check", "Check an order file without a pump."),
    "run": ("doseloop.cli.run:run", "Run an order: plan, progress, record, summary."),
    "infuse": ("doseloop.cli.motion:infuse", "Infuse: two of volume, rate, duration."),
    "withdraw": ("doseloop.cli.motion:withdraw", "Withdraw: two of volume, rate, duration."),
    "bolus": ("doseloop.cli.motion:bolus", "Give a bolus: two of volume, rate, duration."),
    "demand": ("doseloop.cli.motion:demand", "Ask for a dose in a patient-controlled run."),
    "bolus-now": ("doseloop.cli.motion:bolus_now", "Give a dose on top of the run in progress."),
    "prime": ("doseloop.cli.motion:prime", "Fill the line: two of volume, rate, duration."),
    "pause": ("doseloop.cli.motion:pause", "Pause the run in progress."),
    "resume": ("doseloop.cli.motion:resume", "Go on with a paused run."),
    "stop": ("doseloop.cli.motion:stop", "End the run; says what was delivered."),
    "rate": ("doseloop.cli.motion:rate", "Change the rate of the run in progress."),
    "load": ("doseloop.cli.motion:load", "Declare the syringe that was mounted."),
    "clear": ("doseloop.cli.motion:clear", "Clear an alarm whose cause is gone."),
    "alarms": ("doseloop.cli.alarms:alarms", "List, acknowledge, silence or test the alarms."),
    "explain": ("doseloop.cli.alarms:explain", "Say what a code means and what to do."),
    "status": ("doseloop.cli.look:status", "Show what the pump does now."),
    "info": ("doseloop.cli.look:info", "Show identity, versions, limits, step volume."),
    "ports": ("doseloop.cli.look:ports", "List pumps, real and simulated."),
    "config": ("doseloop.cli.config:config", "Show or push board and syringe."),
    "library": ("doseloop.cli.library:library", "Check, load or show a drug library."),
    "logs": ("doseloop.cli.logs:logs", "Print the numbered events."),
    "report": ("doseloop.cli.report:report", "Write a run as one HTML page."),
    "sim": ("doseloop.cli.sim:sim", "Serve a simulated pump on a pseudo-terminal."),
    "flash": ("doseloop.cli.flash:flash", "Put the firmware on a board."),
}


class Verbs(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        target, _ = VERBS[cmd_name]
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="doseloop")
def app() -> None:
    """Open syringe-pump controller: laboratory equipment, not a medical device."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code that `errors` gives."""
    arguments = sys.argv[1:] if argv is None else argv
    sys.exit(call(arguments))


def call(arguments: list[str]) -> int:
    """Run one command line; return its exit code, having printed whatever went wrong."""
    try:
        result = app.main(args=arguments, prog_name="doseloop", standalone_mode=False)
    except click.exceptions.Abort:
        return _failed(errors.Interrupted("interrupted; nothing was started"), arguments)
    except click.ClickException as error:
        text = error.format_message()
        hint = None
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"{error.ctx.command_path} --help"
        return _failed(errors.UsageError(text, next=hint), arguments)
    except errors.DoseloopError as error:
        return _failed(error, arguments)
    except KeyboardInterrupt:
        return _failed(errors.Interrupted("interrupted"), arguments)
    except BrokenPipeError:  # `doseloop logs | head`
        sys.stderr.close()
        return errors.OK
    except Exception as error:
        if "--debug" in arguments:
            raise
        return _failed(errors.DoseloopError(f"{type(error).__name__}: {error}"), arguments)
    return result if isinstance(result, int) else errors.OK


def _failed(error: errors.DoseloopError, arguments: list[str]) -> int:
    if "--json" in arguments:
        click.echo(json.dumps(error.as_json()))
    else:
        click.echo(error.as_text(), err=True)
    return error.exit_code


if __name__ == "__main__":
    main()
