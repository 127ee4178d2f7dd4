"""What every test shares: the backend in use, a seed, the data's whereabouts, a budget of time."""

import os
import pathlib

import hypothesis
import keras
import pytest

# Processor seconds, those of its processes included, that a test may take unless it is `slow`. JAX
# compiles every operation of a new shape, which is not what the marker is about.
BUDGET = 60 if keras.backend.backend() == "jax" else 20
BEGAN = pytest.StashKey()

# Each example of a new shape is compiled anew, which takes JAX a second or more.
hypothesis.settings.register_profile("default", deadline=None, max_examples=8, derandomize=True)
hypothesis.settings.register_profile("whole", deadline=None, max_examples=50)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# Rooms whose tests train, ask or export a network a few times: on TensorFlow a graph takes longer
# to trace than all that is computed with it. Those that are `slow` have graphs, as users do.
EAGER = {"cli", "models", "serve", "training", "zoo"}


def room_of(item):
    """The folder in tests/ that a test lies in, itself or deeper."""
    return item.path.relative_to(pathlib.Path(__file__).parent).parts[0]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        in_graphs = any(map(item.get_closest_marker, ("slow", "graphs")))
        tf.config.run_functions_eagerly(room_of(item) in EAGER and not in_graphs)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        slow, about_it = map(item.get_closest_marker, ("slow", "tensorflow"))
        on = {backend for mark in item.iter_markers("slow_on") for backend in mark.args}
        if keras.backend.backend() in on:
            item.add_marker("slow")
        trains = room_of(item) == "training" and slow
        if (trains or "tensorflow" in on) and not about_it:
            item.add_marker("on_torch")


def pytest_report_header():
    return f"keras {keras.__version__} on {keras.backend.backend()}"


def processor_seconds():
    """What this process and its children that ended have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    # From the setup on: what several tests share is paid by the first of them, and left out.
    if call.when == "setup":
        item.stash[BEGAN] = processor_seconds()
    if call.when == "call":
        spent = processor_seconds() - item.stash[BEGAN]
        if report.passed and spent > BUDGET and not item.get_closest_marker("slow"):
            report.outcome = "failed"
            report.longrepr = (
                f"{item.nodeid} took {spent:.0f} processor seconds, more than {BUDGET}: make it "
                "cheaper, or mark it `slow`."
            )
    return report


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
