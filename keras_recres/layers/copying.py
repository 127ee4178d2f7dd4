"""What a layer holds, given to another that was made from the same configuration."""

import tempfile

from keras import ops

from keras_recres.backend.keras_private import sublayers
from keras_recres.layers.checks import a_kind


def copy_state(source, target, path=None):
    """Gives a built layer what another of the same configuration holds, and what is frozen in it.

    That is more than weights: a layer's `save_own_variables` and `save_assets` say what else, such
    as the mean of a `Normalization` or the vocabulary of a lookup.

    Args:
        source: Built layer.
        target: Layer made again from its configuration, built.
        path: How to name `source` in errors; None for its name.

    Raises:
        ValueError: If the two differ in their sub-layers or the shapes of their weights.
    """
    path = path or source.name
    _check_alike(path, source, [[tuple(w.shape) for w in of.weights] for of in (source, target)])
    parts = [sublayers(of) for of in (source, target)]
    _check_alike(path, source, [[type(part).__name__ for part in of] for of in parts])
    # Containers come before what they contain, whose setting they overwrite.
    for own, copy in zip(*parts, strict=True):
        copy.trainable = own.trainable
        store = {}
        own.save_own_variables(store)
        copy.load_own_variables({key: ops.convert_to_numpy(store[key]) for key in store})
        if hasattr(own, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:
                own.save_assets(folder)
                copy.load_assets(folder)
    # Once more one by one: Keras merges low-rank updates into the kernels that it saves.
    for weight, copy in zip(source.weights, target.weights, strict=True):
        # A copy: JAX may not be handed one buffer twice.
        copy.assign(ops.copy(ops.convert_to_tensor(weight)))


def _check_alike(path, source, found):
    if found[0] != found[1]:
        raise ValueError(
            f"{path!r} in `model`, {a_kind(source)}, has other weights when it is made "
            f"again from its get_config(): {found[1]} instead of {found[0]}."
        )
