"""What all tests share: runs train on the device that STACKED_TRAINER_TEST_DEVICE names."""

import os

import pytest
from hypothesis import settings

settings.register_profile("no times", deadline=None)  # a loaded machine is slow, and not wrong
settings.load_profile("no times")
# hundreds of processes are started, each of which would compile the package anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session", autouse=True)
def _runs_on_the_double():
    """Let runs that ask for a GPU, or for none, have the double of CuPy where it is named.

    A spec's `device: cpu` stays the CPU. tests/test_device.py has the true `choose` by its name.
    """
    if os.environ.get("STACKED_TRAINER_TEST_DEVICE") != "double":
        yield
        return
    from stacks import DEVICE

    from trainer import device

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            device, "choose", lambda wanted: device.cpu("asked for") if wanted == "cpu" else DEVICE
        )
        yield
