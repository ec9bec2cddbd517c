"""A pytest plugin: how much device time the emulated chips of a session ran, and that it's little.

Emulated time costs twenty times as much of real time, so what tests ask of it is rationed. Every
process that runs a chip counts (doseloop.sim.emulated.device_time): xdist's workers, forked
boards, `doseloop sim --emulated`. The session that made the folder adds up.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from doseloop.sim.emulated.device_time import FOLDER

LIMIT_S = 90


class Ration:
    """The count of one session."""

    def __init__(self, limited: bool) -> None:
        self._limited = limited
        self._folder = tempfile.TemporaryDirectory(prefix="doseloop-device-time-")
        os.environ[FOLDER] = self._folder.name
        self._ran_s = 0.0

    @pytest.hookimpl(trylast=True)  # when xdist's workers have ended
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        counts = [path.read_text() for path in Path(self._folder.name).iterdir()]
        self._ran_s = sum(int(count or 0) for count in counts) / 1e9
        if self._exceeded and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._ran_s:
            return
        of = f" of {LIMIT_S} s" if self._limited else ""
        terminalreporter.write_line(f"emulated device time: {self._ran_s:.1f} s{of}")
        if self._exceeded:
            terminalreporter.write_line(
                "too much: share a boot (emulated.rig.in_fork), wait for less, or make it a soak"
                " test", red=True
            )  # fmt: skip

    def pytest_unconfigure(self) -> None:
        del os.environ[FOLDER]
        self._folder.cleanup()

    @property
    def _exceeded(self) -> bool:
        return self._limited and self._ran_s > LIMIT_S


def ration(config: pytest.Config) -> None:
    """Count the device time of this session, unless it is part of one that counts already."""
    if FOLDER not in os.environ:
        config.pluginmanager.register(Ration(config.getoption("markexpr") != "soak"))
