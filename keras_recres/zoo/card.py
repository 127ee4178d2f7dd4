"""The model card of a network that is saved: what it is, how right, under which licence."""

import json

import keras
import numpy as np

from keras_recres.zoo import sources
from keras_recres.zoo.record import LICENCE


def text_of(model, address='Path(".")'):
    """A README.md with the metadata that the hub reads.

    Numbers of the zoo stand in it only if the weights are the zoo's.

    Args:
        model: The model.
        address: What `zoo.load` is given for it, as Python.
    """
    record, tag = getattr(model, "zoo_record", None), getattr(model, "zoo_tag", None)
    zoos = record is not None and _is_the_zoos(model, record, tag)
    head = {"library_name": "keras", "tags": ["keras", "keras_recres"]}
    if zoos:
        own = LICENCE.lower() if record.licence(tag) == LICENCE else "other"
        head |= {"license": own, "datasets": [record.tags[tag].dataset]}
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in head.items()), "---", ""]
    lines += [f"# {model.name}", "", f"{model.count_params():,} parameters."]
    if record is not None:
        paper, of_tag = record.paper, f"{record.name}.{tag}" if tag else record.name
        arxiv = f" (arXiv:{paper.arxiv})" if paper.arxiv else ""
        began = "The weights are" if zoos else "It began as"
        source = f"{paper.title}{arxiv}, {paper.where}"
        lines += ["", f"{began} `{of_tag}` of the zoo of keras_recres: {source}."]
    names = getattr(model, "class_names", None)
    if names:
        lines += ["", f"Classes: {', '.join(names)}."]
    lines += ["", "```python", *(["from pathlib import Path", ""] if "Path" in address else [])]
    lines += ["from keras_recres import zoo", "", f"model = zoo.load({address})", "```", ""]
    lines += ["## Measured", ""]
    rows = [row for row in record.results if row.tag == tag] if zoos else []
    lines += [f"- {row}" for row in rows] or ["Nothing yet."]
    lines += ["", "## Licence", ""]
    if zoos:
        lines += [f"{record.licence(tag)}."]
    else:
        lines += ["Not stated: whoever gives the weights away writes it here."]
        if record is not None and tag in record.trained_tags:
            lines += [f"Those of `{of_tag}` are under {record.licence(tag)}."]
    return "\n".join(lines) + "\n"


def _is_the_zoos(model, record, tag):
    """Whether a model gives the logits of the zoo's weights."""
    path = sources.data_folder() / "golden" / f"{record.name}.{tag}.npz"
    if tag not in record.trained_tags or not path.is_file():
        return False
    with np.load(path, allow_pickle=False) as golden:
        inputs, wanted = golden["inputs"], golden["logits"]
    if inputs.shape[1:] != model.input_shape[1:] or len(model.outputs) != 1:
        return False
    found = keras.ops.convert_to_numpy(keras.ops.cast(model(inputs, training=False), "float32"))
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=0.01, atol=0.01)
