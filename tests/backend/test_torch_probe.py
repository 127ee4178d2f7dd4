"""What a trace leaves of a second derivative on PyTorch."""

import keras
import pytest

if keras.backend.backend() != "torch":
    pytest.skip("is of PyTorch", allow_module_level=True)

import torch

from keras_recres.backend import torch_probe


def second_derivatives(function):
    """The function with its first and second derivative by θ."""

    def jet(weights, theta):
        ones = torch.ones_like(theta)

        def first(theta):
            return torch_probe.jvp(lambda t: function(weights, t), (theta,), (ones,))

        (y, v), (_, a) = torch_probe.jvp(first, (theta,), (ones,))
        return y, v, a

    return jet


FORMS = {
    "mm": lambda weights, theta: torch.sin(theta[:, None] * torch.arange(3.0)) @ weights[0],
    "convolution": lambda weights, theta: torch.nn.functional.conv1d(
        torch.sin(theta[:, None, None] * torch.arange(3.0)), weights[0][:, None], weights[1]
    ),
}


@pytest.mark.parametrize("product", FORMS)
def test_products_are_done_once_and_none_by_the_zero_tangents_of_weights(product):
    jet, weights = second_derivatives(FORMS[product]), [torch.randn(3, 2), torch.randn(3)]
    theta = torch.linspace(-1, 1, 4)
    traced = torch_probe._traced(jet, (weights, theta))
    targets = [
        str(node.target).split(".")[1] for node in traced.graph.nodes if node.op[:4] == "call"
    ]
    # Of the value, and of its first and second derivative.
    assert targets.count(product) == 3
    theta, weights = theta + 0.3, [2 * w for w in weights]
    torch.testing.assert_close(traced(weights, theta), jet(weights, theta), rtol=1e-6, atol=1e-6)


def test_sums_with_zeros_of_another_shape_stay():
    traced = torch_probe._traced(lambda x: x[:1] + torch.zeros(3) * x, (torch.ones(3),))
    assert traced(torch.tensor([2.0, 3.0, 4.0])).tolist() == [2.0, 2.0, 2.0]


def test_what_a_convolution_of_zeros_adds_stays():
    kernel, bias = torch.ones(1, 1, 1), torch.ones(1)

    def convolved(x):
        return x + torch.nn.functional.conv1d(torch.zeros(1, 1, 3), kernel, bias)

    x = torch.arange(3.0)[None, None]
    assert torch_probe._traced(convolved, (x,))(x).tolist() == [[[1.0, 2.0, 3.0]]]


def test_random_numbers_are_drawn_anew():
    def noise(x):
        return torch.rand_like(x), torch.rand_like(x)

    first, second = torch_probe._traced(noise, (torch.ones(8),))(torch.ones(8))
    assert (first != second).any()
