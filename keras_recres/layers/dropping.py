"""Per-step dropout rates of a shared branch."""

import contextlib
import fnmatch

from keras_recres.backend.keras_private import sublayers

# What layers call their rate: Keras, keras-cv and keras-hub; keras.applications.
RATES = ("rate", "drop_path_rate")


def own_rates(layer):
    """What `drop_rates` of a RecurrentResidual means: (sub-layer, attribute, its rates) each.

    Raises:
        ValueError: For a pattern without a layer that drops, or one that was made to drop nothing.
    """
    if layer.drop_rates is None:
        return []
    parts = [(x, name) for x in sublayers(layer.branch) for name in RATES if hasattr(x, name)]
    found = {}
    for pattern, rates in layer.drop_rates.items():
        hits = [(x, name) for x, name in parts if fnmatch.fnmatchcase(x.name, pattern)]
        if not hits:
            raise ValueError(
                f"`drop_rates` pattern {pattern!r} matches no sub-layer of {layer.branch.name!r} "
                f"that drops, only {[x.name for x, _ in parts]} do."
            )
        for x, name in hits:
            if not getattr(x, name) and any(rates):
                raise ValueError(
                    f"`drop_rates` cannot let {x.name!r} drop, which was made with a rate of 0: "
                    f"give it the largest of its rates."
                )
            found.setdefault(id(x), (x, name, rates))
    return list(found.values())


@contextlib.contextmanager
def rates_of(layer, step):
    """Inside, the branch of a RecurrentResidual drops as in one of its steps."""
    kept = [(x, name, getattr(x, name)) for x, name, _ in layer.own_rates]
    try:
        for x, name, rates in layer.own_rates:
            setattr(x, name, rates[min(step, len(rates) - 1)])
        yield
    finally:
        for x, name, rate in kept:
            setattr(x, name, rate)
