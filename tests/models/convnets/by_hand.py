"""Counts of networks of convolutions with batch norms, from lists of their layers."""


def counts(layers, features, classes=1000):
    """Trainable parameters, moving statistics and multiply-adds.

    Args:
        layers: (channels, filters, cells of the kernel, side of the maps that come out) of every
            convolution, which has a batch norm and no bias.
        features: How many the dense layer reads.
        classes: Integer.
    """
    filters = sum(outputs for _, outputs, _, _ in layers)
    weights = [(i * o * cells, side**2) for i, o, cells, side in layers]
    dense = features * classes
    return (
        sum(w for w, _ in weights) + 2 * filters + dense + classes,
        2 * filters,
        sum(w * cells for w, cells in weights) + dense,
    )
