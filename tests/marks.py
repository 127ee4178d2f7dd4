"""Marks that depend on the backend in use: tests/conftest.py reads them."""

import pytest

# `slow` on the backends that it is given, which trace and compile for long. What TensorFlow traces
# PyTorch runs in its place, unless the test is marked `tensorflow`.
slow_on = pytest.mark.slow_on
slow_on_tensorflow = slow_on("tensorflow")
