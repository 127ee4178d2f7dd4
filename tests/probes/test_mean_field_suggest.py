"""Suggested variances: what bounds them, that FRN and RRN take them, and what is refused."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_recres import layers
from keras_recres.probes.mean_field import largest_p, phase, predict, suggest


@pytest.mark.neutral
@pytest.mark.parametrize("kind", ["frn", "rrn"])
@pytest.mark.parametrize("depth", [20, 50, 200])
def test_tanh_spends_the_budget(kind, depth):
    found = suggest(kind, "tanh", depth, sigma_b_sq=0.1, gradient_budget=2.5)
    assert found.limit == "gradient"
    assert found.log_chi_ratio == pytest.approx(2.5, rel=1e-6)
    theory = predict(kind, "tanh", depth, sigma_b_sq=0.1, sigma_w_sq=found.sigma_w_sq)
    assert theory.log_chi_ratio[-1] == pytest.approx(found.log_chi_ratio)
    assert theory.log_p[-1] == pytest.approx(found.log_p)


@pytest.mark.neutral
def test_sigma_w_falls_with_the_root_of_the_depth():
    # Twice the budget of a depth that is deep enough for the law of large L.
    found = [
        suggest("rrn", "tanh", depth, gradient_budget=16.0, ceiling=100.0) for depth in (200, 800)
    ]
    products = [math.sqrt(s.sigma_w_sq * s.depth) for s in found]
    assert products[0] == pytest.approx(products[1], rel=0.15)
    assert found[1].sigma_w_sq < found[0].sigma_w_sq / 3


@pytest.mark.neutral
def test_relu_grows_to_the_largest_safe_p():
    found = suggest("frn", "relu", 80, gradient_budget=math.inf, p0=2.0)
    assert found.limit == "dtype"
    # Without biases p = p₀ (1 + σ_w²/2)^L.
    assert found.sigma_w_sq == pytest.approx(2 * ((2.0**46 / 2) ** (1 / 80) - 1), rel=1e-6)
    assert found.log_p == pytest.approx(math.log(2.0**46), rel=1e-8)
    half = suggest("frn", "relu", 80, gradient_budget=math.inf, p0=2.0, dtype="bfloat16")
    assert half.sigma_w_sq == pytest.approx(2 * ((2.0**14 / 2) ** (1 / 80) - 1), rel=1e-6)
    powers = suggest("frn", "alpha_relu", 300, alpha=0.8, gradient_budget=math.inf,
                     dtype="bfloat16")  # fmt: skip
    assert powers.limit == "dtype"
    assert powers.log_p == pytest.approx(14 * math.log(2), rel=1e-6)


def test_safe_numbers_are_finite_in_the_dtype():
    keras.utils.set_random_seed(0)
    found = suggest("frn", "relu", 40, gradient_budget=math.inf, width=64, ceiling=10.0)
    network = [layers.FRN(64, "relu", **found.arguments()) for _ in range(40)]
    x = keras.random.normal((8, 64))
    for layer in network:
        x = layer(x)
    x = keras.ops.convert_to_numpy(x)
    assert np.isfinite(x).all()
    assert np.isfinite(np.float32(np.square(x).sum()) * np.float32(64))
    # A network of one size of its weights in every layer: nearly what theory says.
    assert 0.1 < np.mean(x**2) / math.exp(found.log_p) < 10


@pytest.mark.neutral
def test_largest_p():
    assert largest_p("float32", 1024) == 2.0**46
    assert largest_p("bfloat16", 1024) == 2.0**14
    assert largest_p("float16", 1024) <= 2.0**20
    assert largest_p("float64", 1024) == 2.0**104
    # So wide that the sums are what overflows first.
    assert largest_p("float32", 10**11) == pytest.approx(3.402e38 / 2**10 / 1e22)


@pytest.mark.neutral
def test_shallow_networks_get_the_ceiling():
    found = suggest("rrn", "tanh", 2)
    assert (found.limit, found.sigma_w_sq) == ("ceiling", 2.0)
    assert suggest("rrn", "tanh", 2, ceiling=0.7).sigma_w_sq == 0.7


@pytest.mark.parametrize("kind", ["frn", "rrn"])
def test_layers_take_the_suggestion(kind):
    made = {"frn": layers.FRN, "rrn": layers.RRN}[kind]
    biases = {"sigma_b_sq": 0.3, **({"sigma_a_sq": 0.2} if kind == "frn" else {})}
    found = suggest(kind, "tanh", 30, **biases)
    assert found.arguments()["sigma_b_sq"] == 0.3
    for kwargs in (found.arguments(), found.initializers()):
        keras.utils.set_random_seed(1)
        layer = made(400, "tanh", **kwargs)
        layer(keras.ops.zeros((1, 400)))
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        assert kernel.var() * 400 == pytest.approx(found.sigma_w_sq, rel=0.02)
        assert keras.ops.convert_to_numpy(layer.bias).var() == pytest.approx(0.3, rel=0.3)
        if kind == "frn":
            projection = keras.ops.convert_to_numpy(layer.projection)
            assert projection.var() * 400 == pytest.approx(1.0, rel=0.02)
            assert keras.ops.convert_to_numpy(layer.output_bias).var() == pytest.approx(
                0.2, rel=0.3
            )
    # Biases of variance zero are zeros.
    zero = suggest(kind, "tanh", 30).initializers()["bias_initializer"]
    assert isinstance(zero, keras.initializers.Zeros)


@pytest.mark.neutral
def test_a_default_that_relu_can_be_trained_with():
    found = suggest("frn", "relu", 50)
    assert found.limit == "gradient"
    assert math.exp(found.log_p) == pytest.approx(math.exp(2), rel=1e-6)
    # Where χ is infinite p is bounded alike.
    found = suggest("frn", "alpha_relu", 50, alpha=0.4)
    assert found.limit == "gradient"
    assert found.log_p == pytest.approx(2, rel=1e-6)


@pytest.mark.neutral
@given(
    activation=st.sampled_from(["tanh", "relu", "alpha_relu"]),
    depth=st.integers(1, 120),
    budget=st.floats(0.05, 20),
    b=st.floats(0, 2),
)
def test_a_suggestion_keeps_its_bounds(activation, depth, budget, b):
    alpha = 0.75 if activation == "alpha_relu" else None
    found = suggest(
        "frn", activation, depth, alpha=alpha, gradient_budget=budget, sigma_b_sq=b, dtype="float16"
    )
    assert 0 < found.sigma_w_sq <= 2
    assert found.log_chi_ratio <= budget
    assert found.log_p <= found.log_largest_p
    if found.limit != "ceiling":
        more = predict(
            "frn", activation, depth, alpha=alpha, sigma_w_sq=found.sigma_w_sq * (1 + 1e-6),
            sigma_b_sq=b,
        )  # fmt: skip
        assert more.log_chi_ratio[-1] > budget or more.log_p[-1] > found.log_largest_p


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"depth": 0}, "`depth` must be an integer"),
        ({"dtype": "int8"}, "`dtype` must be one of float64, float32, bfloat16, float16.*'int8'"),
        ({"width": 0}, "`width` must be an integer of at least 1"),
        ({"gradient_budget": 0}, "`gradient_budget` must be a number above 0"),
        ({"ceiling": -1}, "`ceiling` must be a number above 0"),
        ({"sigma_v_sq": 0.0}, "`sigma_v_sq` must be a number above 0"),
        ({"sigma_a_sq": -1.0}, "`sigma_a_sq` must be a finite number"),
        ({"activation": "alpha_relu", "alpha": [0.6, 0.7]}, "`alpha` must be a single number"),
        ({"kind": "rrn", "activation": "relu"}, "`activation` of an RRN must be odd"),
        (
            {"dtype": "bfloat16", "sigma_a_sq": 1e4},
            r"p\^\(L\) above 1.64e\+04, the largest safe in bfloat16",
        ),
        ({"gradient_budget": 1e-9}, r"ln\(χ₀/χ_L\) above the `gradient_budget` 1e-09, for every"),
    ],
)
def test_bad_input_is_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        suggest(**{"kind": "frn", "activation": "tanh", "depth": 20, **kwargs})


@pytest.mark.neutral
def test_the_phase_plane_agrees_with_the_suggestion():
    for kind, activation in (("rrn", "tanh"), ("frn", "tanh"), ("frn", "relu")):
        plane = phase(kind, activation, 60, sigma_v_sq=1.0, sigma_w=np.geomspace(0.05, 3, 200))
        for depth in (15, 60):
            widest = plane.sigma_w[plane.sound[depth]].max()
            found = math.sqrt(suggest(kind, activation, depth, ceiling=9.0).sigma_w_sq)
            assert widest <= found * (1 + 1e-9)
            assert widest > found / 1.03


@pytest.mark.neutral
def test_he_and_xavier_in_the_phase_plane():
    plane = phase("frn", "relu", 100, gradient_budget=math.inf)
    assert plane.marks == {"Xavier": 1.0, "He": math.sqrt(2)}
    # Tied σ_v = σ_w: growth by 3/2 and by 3 a layer, up to 2⁴⁶.
    assert plane.deepest_of("Xavier") == math.floor(46 * math.log(2) / math.log(1.5))
    assert plane.deepest_of("He") == math.floor(46 * math.log(2) / math.log(3))
    np.testing.assert_array_equal(plane.depths, np.arange(101))
    assert (np.diff(plane.deepest) <= 0).all()
    with pytest.raises(ValueError, match="`mark` must be one of 'Xavier', 'He', but it is 'he'"):
        plane.deepest_of("he")
    for bad in ([1.0], [2.0, 1.0], [0.0, 1.0]):
        with pytest.raises(ValueError, match="`sigma_w` must be an increasing array"):
            phase("frn", "relu", 5, sigma_w=bad)
    with pytest.raises(ValueError, match="`sigma_v_sq` must be 1 for 'rrn'"):
        phase("rrn", "tanh", 5, sigma_v_sq=2.0)


@pytest.mark.neutral
def test_the_plane_of_a_plain_network_has_an_ordered_and_a_chaotic_phase():
    assert phase("plain", "tanh", 5).critical == pytest.approx(1, abs=1e-6)
    for biases in (0.0, 0.3):
        relu = phase("plain", "relu", 5, sigma_b_sq=biases)
        assert relu.critical == pytest.approx(math.sqrt(2), rel=1e-9)
    assert phase("plain", "alpha_relu", 5, alpha=0.75).critical < 1e-3
    assert phase("frn", "tanh", 5).critical is None
    # The critical line of tanh by another quadrature: σ_w² = 1 / V φ′(q), σ_b² = q − σ_w² V φ(q).
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    tanh = np.tanh(math.sqrt(0.5) * nodes)
    v, v_prime = (weights @ f / weights.sum() for f in (tanh**2, (1 - tanh**2) ** 2))
    plane = phase("plain", "tanh", 200, sigma_b_sq=0.5 - v / v_prime)
    assert plane.critical == pytest.approx(v_prime**-0.5, rel=1e-8)
    # Gradients vanish to the left of it and explode to the right, and both are unsound.
    growth = plane.log_chi_ratio[-1] - plane.log_chi_ratio[-2]
    np.testing.assert_array_equal(growth > 0, plane.sigma_w > plane.critical)
    sound = plane.sound[-1]
    assert sound.any()
    assert not sound[[0, -1]].any()


@pytest.mark.neutral
@pytest.mark.parametrize(("kind", "budget"), [("frn", 3.0), ("frn", math.inf), ("plain", 3.0)])
def test_the_phase_plane_is_drawn(kind, budget, tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    plane = phase(kind, "relu", 60, gradient_budget=budget)
    figure = plane.plot()
    axes = figure.axes[0]
    assert axes.get_xlabel() == r"$\sigma_w$"
    assert axes.get_ylabel() == "depth L"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[-2:] == ["Xavier", "He"]
    assert (kind == "plain") == any("chaotic" in label for label in labels)
    figure.savefig(tmp_path / "phase.png")
    pyplot.close(figure)


@pytest.mark.neutral
@pytest.mark.parametrize(("activation", "alpha"), [("relu", None), ("alpha_relu", 0.75)])
def test_the_rate_of_sgd_bounds_the_gradient_of_a_logit(activation, alpha):
    def suggested(rate, width):
        return suggest(
            "frn", activation, 50, alpha=alpha, gradient_budget=math.inf, learning_rate=rate,
            width=width,
        )  # fmt: skip

    found = suggested(1e-3, 64)
    assert found.limit == "learning_rate"
    depth = predict(
        "frn", activation, 50, alpha=alpha, sigma_w_sq=found.sigma_w_sq * np.array([1, 1.01])
    )
    step = 1e-3 * 64 * (depth.chi_w[1:] + depth.chi_v[1:]).sum(axis=0)
    # The largest variance within the bound.
    assert step[0] <= 256 < step[1]
    # Rate and width count alike, and less of either allows more.
    assert suggested(5e-4, 128).sigma_w_sq == pytest.approx(found.sigma_w_sq, rel=1e-6)
    assert suggested(1e-4, 64).sigma_w_sq > found.sigma_w_sq > suggested(1e-2, 64).sigma_w_sq
    with pytest.raises(ValueError, match=r"gradients too large for the `learning_rate` 1000\.0"):
        suggested(1e3, 64)
