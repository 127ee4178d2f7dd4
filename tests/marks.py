"""Marks that depend on the backend in use."""

import keras
import pytest


def slow_on(*backends):
    """Marks as `slow` what these backends trace and compile for long, on them alone."""
    there = keras.backend.backend() in backends
    return pytest.mark.slow if there else pytest.mark.skipif(False, reason="")  # Does nothing.


slow_on_tensorflow = slow_on("tensorflow")
