"""Networks of plain `torch.nn` with random weights, to compare a builder's with.

Their modules are named as in the files of torchvision and timm, so that a comparison also tests
what the converter says that these files have.
"""

import contextlib

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.backend import keras_private

SKIP = pytest.mark.skipif(keras.backend.backend() != "torch", reason="compares with plain PyTorch")


def only_torch(test):
    """Marks a test for PyTorch alone, where `.ci/run` has it even if it is slow."""
    return pytest.mark.on_torch(SKIP(test))


@contextlib.contextmanager
def without_initial_values():
    """Weights begin with zeros: drawing tens of millions of numbers takes seconds."""
    zeros = keras.initializers.Zeros()
    with pytest.MonkeyPatch.context() as patch, keras_private.values_given_later():
        for kind in ("VarianceScaling", "RandomNormal", "RandomUniform", "TruncatedNormal"):
            patch.setattr(
                getattr(keras.initializers, kind),
                "__call__",
                lambda _, shape, dtype=None: zeros(shape, dtype),
            )
        yield


def filled(build):
    """The module that `build()` makes, in evaluation, with random weights and statistics."""
    import torch

    with torch.device("meta"):
        module = build()
    module = module.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.ndim > 1:
                # He's deviation keeps the signal's size.
                std = (2 / value[0].numel()) ** 0.5
                value.normal_(0, std, generator=generator)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.is_floating_point() and value.ndim:
                # Of norms the scale, whose partner is a running mean.
                mean = name.removesuffix("weight") + "running_mean" in module.state_dict()
                value.normal_(float(mean and name.endswith("weight")), 0.1, generator=generator)
            else:
                value.zero_()
    return module


def assert_same_function(name, module, shape, state=None, **arguments):
    """A network of the zoo gives what a module does that has the same weights.

    Args:
        name: The network's name.
        module: What `filled` gives.
        shape: (height, width, channels) of the images.
        state: The module's `state_dict`, or what is to be converted in its place.
        **arguments: Further arguments of the converter, other than the name's.

    Returns:
        The network.
    """
    import torch

    with without_initial_values():
        state = module.state_dict() if state is None else state
        model = zoo.convert.checkpoint(name, state, input_shape=shape, **arguments)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    # Deep networks of random weights hardly tell noise from noise, but its size.
    x[1] *= 3
    with torch.no_grad():
        wanted = module(torch.tensor(x).permute(0, 3, 1, 2))
        got = model(x, training=False)
    wanted = wanted if isinstance(wanted, tuple | list) else [wanted]
    got = got if isinstance(got, tuple | list) else [got]
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        theirs = theirs.numpy()
        # Images of one kind alone would not tell a network from a constant one.
        assert np.abs(theirs[0] - theirs[1]).max() > 0.1 * theirs.std()
        found = keras.ops.convert_to_numpy(ours)
        np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-4 * theirs.std())
    return model
