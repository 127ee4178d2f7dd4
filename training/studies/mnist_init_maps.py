"""Which networks the maps of initialisation against depth train, and what theory says of them."""

import dataclasses

import numpy as np

from keras_recres.probes import mean_field
from keras_recres.probes.measures import rank_correlation
from training.studies.mnist_init_nets import Run

DEPTHS = (5, 10, 20, 40, 80)
# The slides vary ρ² with σ_v/√(1+ρ²) held at a constant: at this one.
LEADING = 1.0
# SGD's rates: tanh networks learn within 300 steps at the first, ReLU ones diverge at it.
TANH_RATE, RELU_RATE = 0.01, 0.001


@dataclasses.dataclass(frozen=True)
class Map:
    """One map: a hyperparameter against the depth.

    Attributes:
        name: what it is called in files and on the command line.
        title: heading of its picture.
        axis: label of the hyperparameter.
        values: of the hyperparameter, rising.
        log: whether they are drawn on a logarithmic axis.
        learning_rate: of SGD.
        predictor: the quantity of the last layer that theory says decides, a log of `Prediction`:
            "chi_ratio", "p" or "s".
        symbol: how that is written.
    """

    name: str
    title: str
    axis: str
    values: tuple
    log: bool
    learning_rate: float
    predictor: str
    symbol: str

    def run(self, value, depth, seed):
        """The network of one cell of the map."""
        return dataclasses.replace(_RUNS[self.name](value), depth=depth, seed=seed)

    def predicted(self, depth):
        """Natural logarithm of the predictor after `depth` layers, one number a value."""
        runs = [self.run(value, depth, 0) for value in self.values]
        names = runs[0].theory
        found = mean_field.predict(
            runs[0].kind,
            runs[0].activation,
            depth,
            **{name: np.array([run.theory[name] for run in runs]) for name in names},
        )
        return getattr(found, f"log_{self.predictor}")[-1]


def _rho(value):
    sigma_v_sq = LEADING**2 * (1 + value)
    return Run("frn", "tanh", 1, 1.0, 0.5, sigma_v_sq, value * sigma_v_sq)


_RUNS = {
    "rrn_tanh": lambda value: Run("rrn", "tanh", 1, value),
    "frn_tanh": lambda value: Run("frn", "tanh", 1, value, 0.5, 1.0, 0.5),
    "frn_relu": lambda value: Run("frn", "relu", 1, value, 0.5, 1.0, 0.5),
    "frn_alpha_relu": lambda value: Run("frn", "alpha_relu", 1, 1.0, 0.5, 1.0, 0.5, alpha=value),
    "frn_tanh_rho": _rho,
}
_TANH = (0.01, 0.025, 0.063, 0.16, 0.4, 1.0, 2.5, 6.3)
_EXPLOSION = ("chi_ratio", "ln χ⁰/χᴸ")
MAPS = (
    Map("rrn_tanh", "(i) tanh RRN", "σ_w²", _TANH, True, TANH_RATE, *_EXPLOSION),
    Map("frn_tanh", "(ii) tanh FRN", "σ_w²", _TANH, True, TANH_RATE, *_EXPLOSION),
    Map(
        "frn_relu", "(iii) ReLU FRN", "σ_w²",
        (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5), False, RELU_RATE, "p", "ln pᴸ",
    ),
    Map(
        "frn_alpha_relu", "(iv) α-ReLU FRN", "α",
        (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0), False, RELU_RATE, "s", "ln sᴸ",
    ),
    Map(
        "frn_tanh_rho", "(ii) tanh FRN, σ_v²/(1+ρ²) = 1", "ρ² = σ_a²/σ_v²",
        (0.0, 0.25, 0.5, 1.0, 2.0, 4.0), False, TANH_RATE, *_EXPLOSION,
    ),
)  # fmt: skip


def best_values(accuracy):
    """Index of the best hyperparameter for every depth.

    Args:
        accuracy: (depths, values), NaN after numerical trouble.

    Returns:
        Integers (depths,), -1 where no network came through.
    """
    filled = np.where(np.isnan(accuracy), -1.0, accuracy)
    return np.where(filled.max(axis=1) < 0, -1, filled.argmax(axis=1))


def correlation(of, accuracy, depths):
    """Spearman's rank correlation of theory's predictor with the accuracy, cells in trouble aside.

    For tanh it is that of −ln χ⁰/χᴸ, since an explosion harms.

    Args:
        of: the `Map`.
        accuracy: (depths, values), means over seeds.
        depths: of its rows.

    Returns:
        A `Correlation` over all cells that came through, and the mean of the coefficients within
        each depth.
    """
    predicted = np.stack([of.predicted(depth) for depth in depths])
    if of.predictor == "chi_ratio":
        predicted = -predicted
    fine = ~np.isnan(accuracy)
    within = [
        rank_correlation(predicted[i, fine[i]], accuracy[i, fine[i]], samples=10).value
        for i in range(len(depths))
        if fine[i].sum() >= 4 and np.ptp(predicted[i, fine[i]]) > 0
    ]
    total = rank_correlation(predicted[fine], accuracy[fine])
    return total, float(np.mean(within)) if within else float("nan")


def beyond_best(of, accuracy, depths):
    """Spearman's rank correlation of −ln χ⁰/χᴸ with accuracy where gradients explode too much.

    Accuracy first rises with the predictor, while a network is too near to a linear one, and then
    falls: only the second is what theory speaks of.

    Args:
        of: a `Map` whose values rise with the explosion.
        accuracy: (depths, values), means over seeds.
        depths: of its rows.

    Returns:
        A `Correlation` over the cells from each depth's best one on.
    """
    predicted = np.stack([of.predicted(depth) for depth in depths])
    columns = np.arange(accuracy.shape[1])
    beyond = columns >= best_values(accuracy)[:, None]
    beyond &= ~np.isnan(accuracy)
    return rank_correlation(-predicted[beyond], accuracy[beyond])


def exponent(values, depths, best):
    """The power of L by which the best σ_w falls: theory, σ_w √L constant, says −½.

    Args:
        values: σ_w² of the columns.
        depths: of the rows.
        best: index of the best column by row.

    Returns:
        The slope of ln σ_w over ln L by least squares, and its standard error.
    """
    x, y = np.log(depths), 0.5 * np.log([values[i] for i in best])
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    residual = y - y.mean() - slope * x
    error = np.sqrt(residual @ residual / max(len(x) - 2, 1) / (x @ x))
    return slope, float(error)


def below_trouble(accuracy):
    """How near the best cell of each depth is to numerical trouble.

    Args:
        accuracy: (depths, values), NaN where any seed had trouble.

    Returns:
        For every depth that has trouble at its largest values, how many columns lie from the
        best one to the last one that came through: 0 is next to it.
    """
    steps = []
    for row in accuracy:
        fine = np.flatnonzero(~np.isnan(row))
        if len(fine) == 0 or fine[-1] == len(row) - 1:
            continue
        steps.append(int(fine[-1] - fine[np.argmax(row[fine])]))
    return steps
