"""A program of a user's, which mypy and pyright read and nothing runs."""

from typing import Any, assert_type

import keras
import numpy as np

import keras_recres
from keras_recres import distribute, layers, models, probes, serve, zoo
from keras_recres.models import rules

x = np.zeros((8, 32, 32, 3), "float32")
assert_type(keras_recres.__version__, str)

# Layers.
block = layers.TransformerBlock(num_heads=2, mlp_ratio=2.0)
loop = layers.RecurrentResidual(block, steps=4, unshare=("norm",), corrections={"*/kernel": 8})
assert_type(loop.untie(), list[layers.RecurrentResidual])
assert_type(layers.RecurrentResidual.tie(loop.untie()), layers.RecurrentResidual)
tokens: Any = loop(keras.ops.zeros((1, 4, 8)), steps=6)
in_time = layers.Recurrent(layers.PeepholeLSTMCell(8), truncate=3)
assert_type(in_time.get_config(), dict[str, Any])
assert_type(layers.Conv3dSubstitute.depth_for(32, 16, 4), int)
assert_type(layers.MetaDense(10, groups=4).compute_output_shape((None, 64)), tuple[int | None, ...])

# Models.
network = models.cifar_resnet(20, input_shape=(32, 32, 3))
assert_type(network, keras.Model)
smaller, table = models.substitute(network, rules.factorize(width=8), verbose=False)
deeper, _ = models.recurrent(network, {"*": rules.repeat(2)}, data=x)
assert_type(smaller, keras.Model)
assert_type(models.multiply_adds(deeper).total, int)
assert_type(models.blocks(network)[0].name, str)
print(models.untie(deeper).count_params(), table)

# Zoo.
record = zoo.info("vit7_rec")
assert_type(record, zoo.Record)
assert_type(record.parameters.total, int)
assert_type([each.name for each in zoo.list("vit*", trained=True)], list[str])
model = zoo.load("vit7_rec", offline=True)
assert_type(model.zoo_record, zoo.Record)
assert_type(model.class_names, tuple[str, ...] | None)
logits = model(model.preprocess(x))
assert_type(zoo.decode_predictions(model, logits), list[list[tuple[int, str, float]]])
assert_type(zoo.push(zoo.load(zoo.save(model, "folder")), "hf://me/vit7_rec"), str)
assert_type(zoo.register(record.to_dict()), zoo.Record)
tuned, told = zoo.fine_tune("vit7_rec", "photographs", epochs=1)
assert_type(told, dict[str, Any])
converted: keras.Model = zoo.convert.t2t_vit("checkpoint.pth", depth=7)

# Probes.
circle = probes.curves.circle(1.0)
record_of_curvature = probes.extrinsic_curvature(model, circle, circle.theta(64))
assert_type(record_of_curvature, probes.CurvatureRecord)
assert_type(record_of_curvature.names, list[str])
assert_type(probes.receptive_field(model, "patches"), probes.ReceptiveField)
assert_type(probes.receptive_field(model)[0].size, tuple[int, ...])
assert_type(probes.mean_field.predict("frn", "tanh", 50), probes.mean_field.Prediction)
assert_type(probes.measures.rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]).verdict, str)
probes.lesion(model, x, np.zeros(8)).to_csv("lesion.csv")

# Serving, and several devices.
print(serve.export(model, "exported", formats=("onnx",)).name, serve.quantized(model).name)
with distribute.scope("auto") as devices:
    assert_type(devices, distribute.Devices)
    devices.prepare(model).predict_texts(["A wonderful film!"])
