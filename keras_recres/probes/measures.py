"""Measures beside curvature: does it go with accuracy, and is a layer flat but stretched?"""

import dataclasses
import statistics
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_recres.backend import probe
from keras_recres.backend.types import Data
from keras_recres.probes.curvature_record import CurvatureRecord
from keras_recres.probes.curves import Curve


@dataclasses.dataclass(frozen=True)
class Correlation:
    """A rank correlation with its confidence interval.

    Attributes:
        value: The coefficient, in [-1, 1].
        low: Lower end of the interval.
        high: Upper end.
        count: Number of models.
        kind: "spearman" or "kendall".
        confidence: That of the interval, 0.95 for 95 %.
    """

    value: float
    low: float
    high: float
    count: int
    kind: str
    confidence: float

    @property
    def verdict(self) -> str:
        """Whether the interval lies above 0 ("positive"), below ("negative"), or neither."""
        if self.low > 0:
            return "positive"
        return "negative" if self.high < 0 else "undecided"

    def __str__(self) -> str:
        name = {"spearman": "Spearman's ρ", "kendall": "Kendall's τ"}[self.kind]
        interval = f"{100 * self.confidence:g} % interval {self.low:.2f} to {self.high:.2f}"
        return f"{name} {self.value:.2f} ({interval}, {self.count} models)"


def rank_correlation(
    x: Data,
    y: Data,
    kind: str = "spearman",
    interval: str | None = "bootstrap",
    confidence: float = 0.95,
    groups: Data = None,
    samples: int = 2000,
    seed: int = 0,
) -> Correlation:
    """Rank correlation of two measurements over a set of models, such as κ with accuracy.

    Spearman's ρ is Pearson's correlation of the ranks, ties sharing their mean rank; Kendall's
    τ_b = Σ sgn(x_i − x_j) sgn(y_i − y_j) / √(pairs untied in x · pairs untied in y).

    Example:
    >>> print(rank_correlation([0.5, 0.6, 1.2, 0.9], [0.75, 0.91, 0.99, 0.97]))
    Spearman's ρ 1.00 (95 % interval 1.00 to 1.00, 4 models)

    Args:
        x: One number a model, (models,), at least 4.
        y: Another one.
        kind: "spearman" or "kendall".
        interval: "bootstrap": quantiles over resampled sets of models. "fisher": atanh ρ ± z s,
            s² = (1 + ρ²/2) / (n − 3) for ρ (Bonett and Wright 2000), 0.437 / (n − 4) for τ
            (Fieller and others 1957), which take the models for independent and not the same.
        confidence: In (0, 1).
        groups: Group of each model, (models,), such as its architecture; the bootstrap then
            resamples inside of each, since how many there are of each was not chance.
        samples: Number of bootstrap samples.
        seed: Theirs.

    Returns:
        A `Correlation`; NaN with the interval from -1 to 1 where x or y is constant.

    Raises:
        ValueError: x and y are not finite numbers of at least 4 models, or an option is out of
            its range.
    """
    x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
    if x.ndim != 1 or x.shape != y.shape or len(x) < 4:
        raise ValueError(
            "`x` and `y` must be one number for each of at least 4 models, but their shapes are "
            f"{x.shape} and {y.shape}."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("`x` and `y` must be finite, but one has NaN or infinity.")
    if kind not in ("spearman", "kendall"):
        raise ValueError(f"`kind` must be 'spearman' or 'kendall', but it is {kind!r}.")
    if interval not in ("bootstrap", "fisher"):
        raise ValueError(f"`interval` must be 'bootstrap' or 'fisher', but it is {interval!r}.")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie in (0, 1), but it is {confidence!r}.")
    coefficient = _spearman if kind == "spearman" else _kendall
    value = coefficient(x, y)
    if np.isnan(value):
        low, high = -1.0, 1.0
    elif interval == "fisher":
        low, high = _fisher(value, len(x), kind, confidence)
    else:
        picks = _resamples(len(x), groups, samples, seed)
        # Some at a time: a coefficient compares all pairs of models.
        parts = np.array_split(picks, max(1, picks.size * len(x) // 10**6))
        values = np.concatenate([coefficient(x[part], y[part]) for part in parts])
        tail = (1 - confidence) / 2
        low, high = np.nanquantile(values, [tail, 1 - tail])
    return Correlation(float(value), float(low), float(high), len(x), kind, confidence)


def of_curve(curve: Curve, theta: Data, dtype: str = "float32") -> CurvatureRecord:
    """Curvature and speed of the curve itself, before any layer.

    Args:
        curve: A `Curve`, or a function of θ that `keras.ops` can differentiate.
        theta: Where, numbers (n,).
        dtype: What it is computed in, "float32" or "float64".

    Returns:
        A `CurvatureRecord` of one row, "input".
    """
    theta = np.asarray(theta)
    at = ops.convert_to_tensor(theta, dtype=dtype)
    one = ops.ones_like(at)
    v, a = probe.jvp(lambda t: probe.jvp(curve, (t,), (one,))[1], (at,), (one,))
    v, a = (ops.convert_to_numpy(part).astype("float64").reshape(len(theta), -1) for part in (v, a))
    speed = np.linalg.norm(v, axis=1)
    tangent = v / np.maximum(speed, np.finfo("float64").tiny)[:, None]
    normal = np.linalg.norm(a - np.sum(a * tangent, axis=1, keepdims=True) * tangent, axis=1)
    kappa = np.divide(normal, speed**2, out=np.zeros_like(speed), where=speed > 0)
    return CurvatureRecord(
        theta,
        [("input", None)],
        kappa[None],
        speed[None],
        method="forward",
        backend=keras.backend.backend(),
        dtype=dtype,
        interval=getattr(curve, "interval", None),
        closed=getattr(curve, "closed", False),
    )


def stretch(
    record: CurvatureRecord, curve: Curve, q: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)
) -> dict[str, np.ndarray]:
    """Flat but stretched, or curved: how layers change a curve's length, evenness and turning.

    √g(θ) = |∂l/∂θ| / |∂x/∂θ| is the pulled-back metric along the curve (Poole et al., arXiv
    1606.05340, section 3). A layer that only stretches gives √g far from 1 and leaves the turning
    ∫ κ |v| dθ as it was; one that curves adds turning, whatever the stretch.

    Args:
        record: A `CurvatureRecord` of the curve.
        curve: The `Curve` itself.
        q: Quantiles of √g over θ.

    Returns:
        A dict of arrays: "stretch" (rows,), the length in the layer over the input's; "spectrum"
        (len(q), rows), quantiles of √g; "added_turning" (rows,), radians beyond the input's own;
        "turning_rate" (rows, n), κ √g, radians per unit length of the input curve, which unlike κ
        a dilation of the layer's output does not change.

    Raises:
        ValueError: The curve stands still at some θ.
    """
    own = of_curve(curve, record.theta)
    if not (own.speed > 0).all():
        raise ValueError("`curve` stands still at some θ, so that no stretch is defined there.")
    root_g = record.speed / own.speed
    return {
        "stretch": record.arc_length / own.arc_length[0],
        "spectrum": np.quantile(root_g, q, axis=1),
        "turning_rate": record.kappa * root_g,
        "added_turning": record.total_curvature - own.total_curvature[0],
    }


def _signs(x):
    """sgn(x_i − x_j) of arrays (…, models), an array (…, models, models)."""
    return np.sign(x[..., :, None] - x[..., None, :])


def _spearman(x, y):
    # Rows of signs add up to twice the ranks, ties sharing their mean, less a constant.
    return _cosine(_signs(x).sum(axis=-1), _signs(y).sum(axis=-1))


def _kendall(x, y):
    x, y = (_signs(z).reshape(*z.shape[:-1], -1) for z in (x, y))
    return _cosine(x, y)


def _cosine(x, y):
    """Of two arrays (…, n) the cosines (…), NaN where one is zero."""
    product, scale = (
        np.sum(x * y, axis=-1),
        np.sqrt(np.sum(x * x, axis=-1) * np.sum(y * y, axis=-1)),
    )
    with np.errstate(invalid="ignore"):
        return np.clip(product / scale, -1, 1)


def _fisher(value, count, kind, confidence):
    variance = (1 + value**2 / 2) / (count - 3) if kind == "spearman" else 0.437 / (count - 4)
    half = statistics.NormalDist().inv_cdf((1 + confidence) / 2) * np.sqrt(variance)
    # Inside (-1, 1), where atanh is finite.
    centre = np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))
    return np.tanh(centre - half), np.tanh(centre + half)


def _resamples(count, groups, samples, seed):
    """Indices (samples, count), drawn with replacement inside of each group."""
    groups = np.zeros(count) if groups is None else np.asarray(groups)
    if groups.shape != (count,):
        raise ValueError(f"`groups` must be one for each model, but its shape is {groups.shape}.")
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    return np.concatenate([rng.choice(those, (samples, len(those))) for those in members], axis=1)
