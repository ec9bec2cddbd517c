"""`doseloop logs`: the numbered events, from the records or fresh from the pump."""

from __future__ import annotations

import json

import click

from doseloop.cli.common import json_option, open_pump, port_option, print_json


@click.command()
@click.option("--run", "run_id", help="only this run: the pump's id, or a number of --runs")
@click.option("--runs", "list_runs", is_flag=True, help="list the recorded runs instead")
@click.option("--since", type=int, default=0, help="only events after this number of a boot")
@click.option("--pump", "ask_pump", is_flag=True, help="ask the pump, not the records")
@port_option
@json_option
def logs(
    run_id: str | None,
    list_runs: bool,
    since: int,
    ask_pump: bool,
    port: str | None,
    as_json: bool,
) -> None:
    """Print events, oldest first. What the pump is asked for is recorded, too."""
    from doseloop import output, results
    from doseloop.store import Store

    if list_runs:
        _list_runs(as_json)
        return
    if ask_pump or port is not None:
        with open_pump(port) as pump:
            events = list(pump.events(since))
    else:
        with Store() as store:
            if run_id is None:
                events = store.events()
            else:
                events = store.run_events(store.find_run(run_id))
    for event in events:
        if event.n <= since:
            continue
        if as_json:
            click.echo(json.dumps(results.plain(event)))
        else:
            click.echo(output.event_line(event))


def _list_runs(as_json: bool) -> None:
    from dataclasses import asdict

    from doseloop import output, results
    from doseloop.store import Store

    with Store() as store:
        runs = store.runs()
    if as_json:
        rows = [
            {**asdict(run), "plan": None if run.plan is None else results.plain(run.plan)}
            for run in runs
        ]
        print_json({"schema": 1, "runs": rows})
        return
    for run in reversed(runs):
        end = run.reason or "not ended"
        volume = "" if run.delivered_nl is None else output.ml(run.delivered_nl)
        click.echo(
            f"{run.id:>4}  {run.started[:19]}  {run.serial}  {run.run:<8} "
            f"{end:<10} {volume:>12}  {run.order_name or ''}"
        )
