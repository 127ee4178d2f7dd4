"""The plain PyTorch modules of the convolutional benchmark are ours, and it measures them."""

import json

import keras
import numpy as np
import pytest

from keras_recres import models
from training import benchmark, errors
from training.benchmarks import convnets

pytestmark = [pytest.mark.neutral, pytest.mark.slow]
BACKEND = keras.backend.backend()


def logits_differ(model):
    """How far the module's logits are from the model's, in their standard deviations."""
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for weight in model.weights:
        # Scales, shifts and statistics, too, or a wrong one would go unseen.
        if len(weight.shape) == 1:
            weight.assign(weight + 0.1 * rng.random(weight.shape))
    x = rng.normal(size=(2, *model.input_shape[1:])).astype("float32")
    return convnets.forms_of(model, "forward", x, None, False)[2]


@pytest.mark.parametrize("placement", ["original", "relu_only", "full"])
def test_residual_networks_are_the_same(placement):
    model = models.preact_resnet(14, placement=placement, input_shape=(9, 8, 3))
    assert logits_differ(model) < convnets.TOLERANCE


@pytest.mark.parametrize("network", ["resnet50", "googlenet", "inception_v3"])
def test_networks_are_the_same(network):
    if network == "googlenet" and not hasattr(models, "googlenet"):
        pytest.skip("the network is not there")
    assert logits_differ(convnets.build(network, convnets.QUICK_SIDES[network])) < 1e-3


def test_what_is_not_written_is_named():
    pytest.importorskip("torch")
    from training.benchmarks.plain_torch import plain_module

    inputs = keras.Input((4, 4, 2))
    with pytest.raises(ValueError, match="'odd' is a PReLU"):
        plain_module(keras.Model(inputs, keras.layers.PReLU(name="odd")(inputs)))


def test_it_is_measured(tmp_path, capsys):
    found = tmp_path / "convnets.json"
    argv = ["convnets", "--quick", "--backends", BACKEND, "--only", "preact_resnet164", "train"]
    assert errors.run(benchmark.main, [*argv, "--json", str(found)]) == 0
    rows = json.loads(found.read_text())
    assert [row["what"] for row in rows] == ["train"]
    assert rows[0]["seconds"]["ours"] > 0
    assert "preact_resnet164" in capsys.readouterr().out


def test_the_table_has_ratios_to_plain_pytorch_and_to_its_compiled_form_on_every_backend():
    common = {"network": "resnet50", "what": "forward", "side": 64, "batch": 4, "gpu": False}
    seconds = {"ours": 0.2, convnets.EAGER: 0.1, convnets.LAST: 0.4}
    rows = [
        {"backend": "torch", "seconds": {**seconds, convnets.COMPILED: 0.3}, **common},
        {"backend": "jax", "seconds": {"ours": 0.1}, **common},
    ]
    first, *_, torch, jax = convnets.markdown(rows).splitlines()
    assert first.startswith("Images a second of a processor")
    assert torch.endswith("| torch | 20.0 | 40.0 | 10.0 | 13.3 | 0.50 | 1.50 |")
    assert jax.endswith("| jax | 40.0 |  |  | 13.3 |  | 3.00 |")
