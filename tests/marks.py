"""Marks that depend on the backend in use."""

import keras
import pytest

# What TensorFlow traces and compiles for long, and the others do not: there it is one of the tests
# that `pytest` leaves out, and on JAX and PyTorch it is run with the rest.
slow_on_tensorflow = (
    pytest.mark.slow
    if keras.backend.backend() == "tensorflow"
    else pytest.mark.skipif(False, reason="")  # A mark that does nothing.
)
