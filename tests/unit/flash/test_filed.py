"""The flash of an emulated board as the unix port writes it: what a deploy would leave."""

from contextlib import closing

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from doseloop import resources
from doseloop.errors import LinkError
from doseloop.flash import deploy
from doseloop.flash.build import build
from doseloop.sim.emulated import placing
from doseloop.sim.emulated.chip import FS_SIZE
from doseloop.sim.emulated.filed import Filed


def test_a_blank_flash_gets_firmware_loader_and_configuration():
    firmware, config = build(resources.firmware_root()), "doseloop config 1 0\n{}\n"
    with closing(Filed(FS_SIZE // 4096)) as filed:
        placing._fill(filed, firmware, config)
        found = deploy.look(filed)
        kept = filed.run("print(open('/kept/config.a').read(), end='')")
        assert len(filed.content()) == FS_SIZE
        with pytest.raises(LinkError, match="ZeroDivisionError"):
            filed.run("1 / 0")
    assert found.active == firmware.folder
    for artifact in firmware.payload:
        assert found.files[f"/{firmware.folder}/{artifact.path}"] == artifact.sha256
    for artifact in firmware.loader:
        assert found.files[f"/{artifact.path}"] == artifact.sha256
    slots = resources.firmware_module("slots")
    assert kept == slots.pack("config", 1, 1, config)
