"""The locator: checkout and installed wheel, and that `pump` is really ours."""

from pathlib import Path

import pytest

from doseloop import resources


def test_checkout_and_sim_device():
    assert (resources.firmware_root() / "pump" / "quantity.py").is_file()
    assert (resources.boards_root() / "syringes.toml").is_file()
    assert resources.sim_device_root().parts[-2:] == ("sim", "device")


def _tree(root: Path) -> Path:
    (root / "firmware" / "pump").mkdir(parents=True)
    (root / "boards").mkdir()
    return root


def test_the_wheels_own_data_win_over_a_checkout_around_it(tmp_path):
    checkout = _tree(tmp_path)
    package = tmp_path / "host_tools" / "doseloop"
    package.mkdir(parents=True)
    assert resources.data_root(package) == checkout
    data = _tree(package / "_data")
    assert resources.data_root(package) == data


def test_a_broken_install_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="install doseloop again"):
        resources.data_root(tmp_path / "site-packages" / "doseloop")


def test_firmware_module_is_the_file_of_the_firmware():
    module = resources.firmware_module("sealed")
    assert Path(module.__file__) == resources.firmware_root() / "pump" / "sealed.py"
    assert resources.firmware_module("sealed") is module
    with pytest.raises(ImportError):
        resources.firmware_module("no_such_module")
