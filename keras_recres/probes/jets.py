"""The first two derivatives of what a model's layers put out by the curve's parameter θ."""

from keras import ops

from keras_recres.backend import probe


def forward(function, theta):
    """`function` of θ with v and a, by a forward derivative of a forward derivative.

    Args:
        function: From θ (n,) to (targets, others), two lists of tensors.
        theta: Tensor (n,).

    Returns:
        (targets, v, a, others), the first three lists of tensors of the same shapes.
    """
    ones = ops.ones_like(theta)

    def first(theta):
        values, tangents = probe.jvp(function, (theta,), (ones,))
        v = _connected(values[0], tangents[0])
        return values, v

    (values, v), (_, a) = probe.jvp(first, (theta,), (ones,))
    return values[0], v, _connected(v, a), values[1]


def _connected(values, tangents):
    """The tangents, zero for TensorFlow's None (what does not depend on θ), of known shape."""
    return [
        ops.zeros_like(value) if tangent is None else ops.reshape(tangent, value.shape)
        for value, tangent in zip(values, tangents, strict=True)
    ]


def bending(v, a):
    """|v| and |a⊥|, the length of the part of a that is orthogonal to v: κ = |a⊥| / |v|².

    The same as √(|v|²|a|² − (v·a)²)/|v|³, without the difference of two large numbers.

    Args:
        v: Tensor (n, …).
        a: Tensor of the same shape.

    Returns:
        Two tensors (n,); |a⊥| = |a| where v is zero.
    """
    v, a = _flat(v), _flat(a)
    speed, direction = _length_and_direction(v)
    # Twice: the first time leaves what rounding makes of the parallel part.
    for _ in range(2):
        a = a - direction * ops.sum(direction * a, axis=-1, keepdims=True)
    return speed, _length_and_direction(a)[0]


def _length_and_direction(x):
    # Scaled first: the squares of small numbers would be zero.
    scale = ops.max(ops.abs(x), axis=-1, keepdims=True)
    scaled = x / ops.where(scale > 0, scale, ops.ones_like(scale))
    length = ops.sqrt(ops.sum(ops.square(scaled), axis=-1, keepdims=True))
    direction = scaled / ops.where(length > 0, length, ops.ones_like(length))
    return ops.squeeze(scale * length, -1), direction


def differences(function, theta, step):
    """Velocity v and acceleration a by central differences of fourth order.

    Args:
        function: As in `forward`; called with 5n values of θ.
        theta: Tensor (n,).
        step: Scalar tensor h.

    Returns:
        (v, a, others): lists of tensors; the others are of all 5n values.
    """
    n = theta.shape[0]
    points = ops.concatenate([theta + i * step for i in (-2, -1, 0, 1, 2)])
    targets, others = function(points)
    v, a = [], []
    for target in targets:
        m2, m1, x, p1, p2 = (target[i * n : (i + 1) * n] for i in range(5))
        v.append((8 * (p1 - m1) - (p2 - m2)) / (12 * step))
        a.append((16 * (p1 - x + (m1 - x)) - (p2 - x + (m2 - x))) / (12 * step * step))
    return v, a, others


def projections(values):
    """Each of several tensors (n, …) times one and the same fixed vector: tensors (n,)."""
    flat = [_flat(x) for x in values]
    index = ops.arange(flat[0].shape[1], dtype=flat[0].dtype)
    fixed = ops.cos(index * 2.4 + 0.3)
    return [ops.sum(x * fixed, axis=-1) for x in flat]


def length(x):
    """Euclidean length of each row of a tensor (n, …): (n,)."""
    return _length_and_direction(_flat(x))[0]


def _flat(x):
    return ops.reshape(x, (x.shape[0], -1))


METHODS = {"forward": forward, "tape": probe.tape_jet}
