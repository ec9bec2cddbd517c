"""A run as it goes on, drawn on stderr. The only module that knows rich's bars."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from doseloop import output
from doseloop.results import Status

if TYPE_CHECKING:
    from rich.console import Console

_AL_PER_NL = 10**9
_PLAIN_EVERY = 10  # per cent, where there is no terminal to draw a bar on


class Progress:
    """A live bar on stderr while a run goes on; plain lines where stderr is no terminal."""

    def __init__(self, ordered_steps: int, *, plain: bool | None = None) -> None:
        """`ordered_steps` is the whole run; `plain` forces lines instead of a bar."""
        self._steps = max(ordered_steps, 1)
        self._plain = not sys.stderr.isatty() if plain is None else plain
        self._next_percent = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if not self._plain:
            self._bar, self._task = _bar(self._steps)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, status: Status) -> None:
        """Show a new status."""
        run = status.run
        if run is None or status.syringe is None:
            return
        # Steps, not delivered_nl: a withdrawal moves volume without delivering any.
        al_per_step = status.syringe.al_per_step
        moved = output.ml(run.witnessed_steps * al_per_step // _AL_PER_NL)
        ordered = output.ml(self._steps * al_per_step // _AL_PER_NL)
        fields = {
            "state": status.state,
            "volume": f"{moved[:-3]} / {ordered}" + (" moved" if run.withdrawn_nl else ""),
            "rate": output.rate(status.rate_al_per_h) if status.rate_al_per_h else "–",
            "left": output.clock(run.remaining_ms),
            "plunger": _plunger(status),
        }
        if self._bar is not None:
            self._bar.update(self._task, completed=run.witnessed_steps, **fields)
            return
        percent = run.witnessed_steps * 100 // self._steps
        if percent >= self._next_percent:
            self._next_percent = percent // _PLAIN_EVERY * _PLAIN_EVERY + _PLAIN_EVERY
            self.say(
                f"{percent:3d} %  {fields['volume']}  {fields['rate']}  "
                f"{fields['left']} left  {fields['plunger']}"
            )

    def say(self, text: str) -> None:
        """Print one line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)


def _plunger(status: Status) -> str:
    syringe = status.syringe
    if syringe is None or syringe.remaining_nl is None:
        return ""
    return f"{output.ml(syringe.remaining_nl)} in syringe"


def _bar(steps: int, console: Console | None = None) -> tuple[Any, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    bar = Progress(
        TextColumn("[bold]{task.fields[state]}"),
        BarColumn(bar_width=None),
        TaskProgressColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[volume]}"),
        TextColumn("[cyan]{task.fields[rate]}"),
        TextColumn("{task.fields[left]} left"),
        TextColumn("[dim]{task.fields[plunger]}"),
        console=console or Console(stderr=True),
        expand=True,
        refresh_per_second=8,
    )
    task = bar.add_task(
        "run", total=steps, state="starting", volume="", rate="", left="", plunger=""
    )
    return bar, task
