"""The form of `shared_resnet` with several states that step at once."""

import keras

from keras_recres.layers.checks import check_count
from keras_recres.models.shared_parts import convolution, norm


def states(image, steps, filters, unshare, transitions):
    """The last state after `steps`, as in `shared_resnet`."""
    size = len(filters)
    check_count("steps", steps)
    table = _checked(transitions, size)
    unshare = (unshare,) if isinstance(unshare, str) else tuple(unshare)
    if unshare not in ((), ("norm",)):
        raise ValueError(
            f"`unshare` with `transitions` must be 'norm' or nothing, but it is {unshare!r}."
        )
    if any(side % 2 ** (size - 1) for side in image.shape[1:3]):
        raise ValueError(
            f"`input_shape` must have sides that are multiples of {2 ** (size - 1)} for {size} "
            f"states, but it is {tuple(image.shape[1:])}."
        )
    operators = {
        (i, j): _Operator(i, j, filters[i], bool(unshare))
        for i, row in enumerate(table)
        for j, there in enumerate(row)
        if there
    }
    x = norm("stem_norm")(convolution(filters[0], 1, "stem_conv")(image))
    now = [keras.layers.ReLU(name="stem_relu")(x)] + [None] * (size - 1)
    for step in range(steps):
        after = []
        for i, own in enumerate(now):
            parts = [] if own is None else [own]
            parts += [
                operators[i, j](other, step)
                for j, other in enumerate(now)
                if (i, j) in operators and other is not None
            ]
            joined = keras.layers.Add(name=f"state{i}_step{step}")
            after.append(joined(parts) if len(parts) > 1 else parts[0] if parts else None)
        now = after
    if now[-1] is None:
        raise ValueError(
            f"`transitions` must lead from the first state to the last one within {steps} "
            f"step{'s' * (steps > 1)}, but they do not: {table}."
        )
    return now[-1]


class _Operator:
    """K_ij: its convolutions, shared by the steps, and its norms, each step's own or shared."""

    def __init__(self, i, j, filters, own_norms):
        self.name, self.own_norms, self.norms = f"state{i}_from{j}", own_norms, {}
        # Down to smaller sides one convolution strides, up to larger ones nearest pixels repeat.
        self.up = 2 ** max(0, j - i)
        sizes = [(filters, 2 ** max(0, i - j))] + [(filters, 1)] * (i == j)
        self.convs = [
            convolution(channels, strides, f"{self.name}_conv{n}")
            for n, (channels, strides) in enumerate(sizes, 1)
        ]

    def __call__(self, x, step):
        for n, conv in enumerate(self.convs, 1):
            key = (n, step) if self.own_norms else n
            if key not in self.norms:
                own = f"_step{step}" if self.own_norms else ""
                self.norms[key] = norm(f"{self.name}_norm{n}{own}")
            x = conv(keras.layers.ReLU()(self.norms[key](x)))
        return x if self.up == 1 else keras.layers.UpSampling2D(self.up)(x)


def _checked(transitions, size):
    """The table as tuples of 0 and 1."""
    try:
        table = tuple(tuple(map(int, row)) for row in transitions)
        fine = len(table) == size and all(
            len(row) == size and all(number in (0, 1) for number in given)
            for row, given in zip(table, transitions, strict=True)
        )
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ValueError(
            f"`transitions` must be {size} rows of {size} numbers, 0 or 1, for {size} numbers of "
            f"`filters`, but it is {transitions!r}."
        )
    return table
