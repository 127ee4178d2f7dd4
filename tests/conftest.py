"""What every test shares: the backend in use, a seed, the data's whereabouts."""

import os
import pathlib

import keras
import pytest


def pytest_report_header():
    return f"keras {keras.__version__} on {keras.backend.backend()}"


@pytest.fixture(autouse=True)
def _same_state_for_every_test():
    keras.utils.set_random_seed(1234)
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    yield
    # A test that leaves another policy behind would change the ones after it.
    assert keras.config.floatx() == floatx
    assert keras.config.dtype_policy() == policy


@pytest.fixture(scope="session")
def data_dir():
    """The folder with prepared TFDS data that KERAS_RECRES_DATA names."""
    folder = os.environ.get("KERAS_RECRES_DATA")
    if not folder:
        pytest.skip("KERAS_RECRES_DATA names no folder with prepared data sets")
    return pathlib.Path(folder)
