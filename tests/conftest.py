"""What holds for a whole run of the tests: emulated device time is rationed.

Here, because xdist's first process reads no other conftest.
"""

import pytest
from emulated.ration import ration


def pytest_configure(config: pytest.Config) -> None:
    ration(config)
