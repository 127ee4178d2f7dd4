"""checkpoint: torchvision's and timm's files as the networks of the zoo's names.

A family adds one module with a dict `LAYOUTS`, {name of the zoo: [Layout(library, keys), …]}, and
its line in `LAYOUTS` below. `keys` says for each layer with weights what its keys in the file begin
with; kernels, biases, norms, and dense layers behind a flattening follow from the layer's class.
That of the function which the file has is the name: two networks with the same keys and shapes but
other strides are two names, of which only one has a layout. The test of the family's builder
compares with a plain `torch.nn` network, tests/models/convnets/plain_torch.py.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from keras_recres.backend import keras_private
from keras_recres.backend.types import Path
from keras_recres.zoo import building, registry
from keras_recres.zoo.convert import alexnet, googlenet, inception, resnet, vgg
from keras_recres.zoo.convert.layout import beginnings_of
from keras_recres.zoo.convert.state_dict import a_few, check, read_state_dict

LAYOUTS = alexnet.LAYOUTS | googlenet.LAYOUTS | inception.LAYOUTS | resnet.LAYOUTS | vgg.LAYOUTS


def checkpoint(
    name: str, path_or_state_dict: Path | Mapping[str, Any], **arguments: Any
) -> keras.Model:
    """A network of the zoo with the weights of a checkpoint of torchvision or timm.

    Every name and shape is checked in both directions before a weight is set. The network's
    function is that of the file: a checkpoint of another network is refused, and its name told,
    also where all its shapes would fit.

    Example:
    >>> model = keras_recres.zoo.convert.checkpoint(
    ...     "vgg16", "vgg16-397923af.pth")  # doctest: +SKIP
    >>> logits = model(model.preprocess(images))  # doctest: +SKIP

    Args:
        name: A name of the zoo: of torchvision's files alexnet, googlenet, inception_v3_aux,
            resnet18, resnet34, resnet50_v1_5, resnet101_v1_5, resnet152_v1_5, vgg11, vgg13, vgg16,
            vgg19; of timm's inception_v4, inception_resnet_v2, xception.
        path_or_state_dict: Path of a `.pth` file, which needs PyTorch to be read, or of a
            `.safetensors` file, which needs safetensors; or a dict of arrays or tensors by their
            names in it.
        **arguments: Arguments of the builder in the place of the name's, such as `num_classes`, or
            `features_only=True`, which leaves the head of the checkpoint out. torchvision's
            GoogLeNet and Inception have `transform_input=True`: they take images that are
            normalised with ImageNet's statistics; with False they take x / 127.5 − 1, and
            `preprocess` is that.

    Returns:
        A keras.Model of any backend, as `zoo.load` gives. Its `preprocess` is the library's own; of
        another number of classes than 1000 or of channels than 3 nothing says what it was trained
        on: then it is None, until you set it.

    Raises:
        ValueError: If the name has no converter or the checkpoint does not fit; the sentence names
            what differs.
        ImportError: If a file is to be read and PyTorch, or safetensors, is not installed.
    """
    record, _ = registry.resolve(name)
    state, origin = read_state_dict(path_or_state_dict)
    # Counters of PyTorch's norms, which no prediction needs.
    state = {k: v for k, v in state.items() if not k.endswith(".num_batches_tracked")}
    layout = _layout(record.name, state, origin)
    arguments = layout.arguments | arguments
    with keras_private.values_given_later():
        model = building.build(record.name, **arguments)
        parts = layout.of(model)
        absent = _absent(layout, model)
        state = {k: v for k, v in state.items() if not absent & beginnings_of(k)}
        check(
            state,
            {part.key: part.shapes for part in parts},
            origin,
            f"pass the arguments of models.{record.builder} with which it was trained.",
        )
        for part in parts:
            part.variable.assign(part.convert(state[part.key]))
    model.preprocess = None
    if record.arguments["num_classes"] == arguments.get("num_classes", 1000) and (
        model.input_shape[-1] == 3
    ):
        preprocess = layout.preprocessing
        if arguments.get("transform_input") is False:
            preprocess = dataclasses.replace(preprocess, mean=(0.5,) * 3, std=(0.5,) * 3)
        model.preprocess = preprocess.for_input_shape(model.input_shape[1:])
    return model


def _layout(name, state, origin):
    """The layout of a name that the checkpoint has, unless it is another name's."""
    begun = set().union(*map(beginnings_of, state)) if state else set()

    def fits(layout):
        """Whether all keys are there and no other."""
        known = layout.beginnings
        return known <= begun and all(known & beginnings_of(key) for key in state)

    layouts = LAYOUTS.get(name, ())
    others = [other for other, those in LAYOUTS.items() if any(map(fits, those))]
    if others and name not in others:
        raise ValueError(
            f"{origin} is a checkpoint of {a_few(list(map(repr, others)))} and not of {name!r}, "
            "which is another network: pass that name."
        )
    if not layouts:
        raise ValueError(
            f"{name!r} has no converter of checkpoints: there is one of {', '.join(LAYOUTS)}."
        )
    return max(layouts, key=lambda layout: len(layout.beginnings & begun))


def _absent(layout, model):
    """What keys of layers begin with that the model was built without."""
    if not isinstance(layout.keys, dict):
        return set()
    there = {layer.name for layer in model.layers}
    return {key for layer, key in layout.keys.items() if layer not in there}
