"""`export`: a model or a name of the zoo → a folder that TensorFlow Serving serves."""

import logging
import os
import pathlib
import re
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_recres.backend.keras_private import function_of, sublayers
from keras_recres.backend.types import Data, Path
from keras_recres.layers.checks import check_count, check_positive
from keras_recres.models.graph import keep_facts
from keras_recres.serve import formats as other_formats
from keras_recres.serve import int8, repositories, saved_model, server_config
from keras_recres.serve import reference as references
from keras_recres.serve import warmup as warmups
from keras_recres.serve.network import Network
from keras_recres.zoo.evaluation import class_names_of
from keras_recres.zoo.preprocessing import Preprocessing
from keras_recres.zoo.text import TextPreprocessing

logger = logging.getLogger("keras_recres")


def export(
    model_or_name: keras.Model | str,
    directory: Path,
    version: int | None = None,
    *,
    name: str | None = None,
    preprocessing: Preprocessing | TextPreprocessing | None = None,
    labels: Sequence[str] | None = None,
    warmup: Any = "auto",
    max_pixels: float = 2**24,
    max_steps: int = 64,
    tolerance: float = 1e-5,
    formats: str | Sequence[str] = (),
    format_batch: int | None = None,
    quantize: str | None = None,
    representative: Data = None,
    server: str = "tensorflow",
) -> pathlib.Path:
    """Exports a classifier for TensorFlow Serving, and compares what it answers with the model.

    `directory/NAME/VERSION/` appears complete and checked or not at all: it is written aside,
    loaded in a fresh process and compared with the model before it gets its name. It has the
    signatures

    - `serving_default`: `images` (or `inputs`, where they are not images), float32, or integers of
      what takes tokens, as the network takes them, of any batch size;
    - `serving_bytes`: `image_bytes`, a batch of JPEG or PNG files of any size, which are decoded,
      resized and normalised in the graph; where the network takes images and `preprocessing` is
      known;
    - `serving_texts`: `texts`, a batch of strings, where `preprocessing` is a `TextPreprocessing`;
    - `serving_steps`: besides, `steps`, int32 of shape (batch, recurrent layers), how often each
      `RecurrentResidual` runs for each example; where there are such layers;
    - `features`: `features`, what the head is given.

    The others answer with `logits`, `probabilities` and `classes`, the name of the best class.
    `directory/config/` has the server's configuration for all models of the directory.

    Example:
    >>> serve.export("cifar_small", "exported")  # doctest: +SKIP
    PosixPath('exported/cifar_small/1')

    Args:
        model_or_name: A functional or Sequential Keras model that returns logits, on any backend,
            or a name of the zoo with weights. Of several outputs the first is served.
        directory: Folder of the models, made if it does not exist.
        version: Integer ≥ 1; None for the next after those that exist.
        name: Name under which the model is served; default that of the zoo or of the model.
        preprocessing: The `zoo.Preprocessing` of encoded images, or the `TextPreprocessing` of
            texts; default `model.preprocess`.
        labels: Names of the classes; default `model.class_names`, or numbers where the model has
            none; others than those are refused.
        warmup: True to write warm-up requests, for which tensorflow-serving-api must be installed,
            False for none, "auto" for True where it is.
        max_pixels: `serving_bytes` refuses larger images. It decodes two of each request at a time
            and needs about 5 bytes of memory a pixel for each of them.
        max_steps: `serving_steps` refuses more.
        tolerance: Largest difference from the model, as a share of an output's largest number
            where that is above 1.
        formats: Other formats, of "onnx", "litert" and "openvino", to put into the version's folder
            `assets.extra` as `NAME.onnx`, `.tflite` and `.xml`: inputs to logits, exported by Keras
            from the backend in use, loaded again and compared, too.
        format_batch: A fixed batch size of these; None for any.
        quantize: "int8" for weights of 8 bits: of the dense layers in the SavedModel, which is that
            of `serve.quantized(model)`, and of all products in the other formats. They may move
            logits by 0.3 of the largest; what that costs, `serve.accuracy_lost` tells of each.
        representative: Typical images as `model.preprocess` takes them, of any sizes, or inputs
            where there is none, a hundred or more: LiteRT's converter learns from them the ranges
            of activations, which then have 8 bits, too. None keeps these in float32.
        server: "tensorflow" for all this; "triton" for the model repository of NVIDIA Triton, in
            which `NAME/VERSION/model.onnx` has `config.pbtxt` beside it, or "openvino" for that of
            OpenVINO Model Server, `NAME/VERSION/model.xml` and `config/config.json`. These take
            `inputs` and answer with `logits` alone. A folder is for one kind of server.

    Returns:
        The path `directory/NAME/VERSION`.

    Raises:
        ValueError: For arguments out of their range, a model that cannot be served, or an export
            whose answers differ.
        FileExistsError: If the version exists.
        ImportError: If a package is missing; the sentence says which.
    """
    if warmup not in (True, False, "auto"):
        raise ValueError(f"`warmup` must be True, False or 'auto', but it is {warmup!r}.")
    for argument, value in (("max_pixels", max_pixels), ("max_steps", max_steps)):
        check_count(argument, value)
    check_positive("tolerance", tolerance)
    if version is not None:
        check_count("version", version)
    if format_batch is not None:
        check_count("format_batch", format_batch)
    if quantize not in (None, "int8"):
        raise ValueError(f"`quantize` must be None or 'int8', but it is {quantize!r}.")
    if representative is not None and not (quantize and "litert" in formats):
        raise ValueError(
            "`representative` is for LiteRT with 8-bit integers: give quantize='int8' and 'litert' "
            "in `formats`, too."
        )
    if server not in ("tensorflow", *repositories.FILES):
        raise ValueError(
            f"`server` must be 'tensorflow', 'triton' or 'openvino', but it is {server!r}."
        )
    if server in repositories.FILES:
        if formats:
            raise ValueError(f"`formats` are put beside a SavedModel, but `server` is {server!r}.")
        kind, file = repositories.FILES[server]
        other_formats.check(kind, bool(quantize))
    else:
        saved_model.check_packages(warmup is True)
    formats = other_formats.check(formats, bool(quantize), representative is not None)
    directory = pathlib.Path(directory).expanduser()
    original = model = _first_output(_model(model_or_name))
    Network(model)
    if representative is not None:
        representative = _representative(representative, model)
    if quantize and server == "tensorflow":
        model = int8.quantized(model)
    network = Network(model)
    name = _checked_name(_default_name(model) if name is None else name)
    if max(network.steps, default=0) > max_steps:
        raise ValueError(
            f"`max_steps` must be at least the {max(network.steps)} steps of {model.name!r}, but "
            f"it is {max_steps}."
        )
    labels = _labels(labels, model, network.num_classes)
    if server in repositories.FILES:
        with _Aside(directory, name, version) as aside:
            other_formats.write(
                original, aside.folder / file, kind, format_batch, tolerance, bool(quantize)
            )
            path = aside.publish()
        repositories.write(directory, name, server, network, labels)
        return path
    preprocessing = _preprocessing(preprocessing, model, network.input_shape)
    if warmup == "auto" and not warmups.available():
        logger.warning("%s: %s", name, warmups.MISSING)
    options = {
        "name": name,
        "labels": labels,
        "max_pixels": max_pixels,
        "max_steps": max_steps,
        "warmup": warmups.available() if warmup == "auto" else warmup,
    }
    reference = references.make(network, preprocessing, labels, max_steps)

    with _Aside(directory, name, version) as aside:
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            try:
                saved_model.write(model, aside.folder, preprocessing, reference, scratch, **options)
                saved_model.check(aside.folder, reference, tolerance, scratch)
            except ValueError as error:
                raise ValueError(f"{model.name!r} is not exported: {error}") from error
        for kind in formats:
            file = aside.folder / "assets.extra" / f"{name}{other_formats.SUFFIXES[kind]}"
            other_formats.write(
                original, file, kind, format_batch, tolerance, bool(quantize), representative
            )
        path = aside.publish()
    server_config.write(directory)
    return path


class _Aside:
    """A folder beside the versions of a model, whose name no server takes for one.

    Published by a rename; else nothing is left, not even folders that were made for it.
    """

    def __init__(self, directory, name, version):
        self.parent, self.version = directory / name, version
        if version is not None and (self.parent / str(version)).exists():
            raise self._exists(version)
        self.folder = self.parent / f".partial.{uuid.uuid4().hex}"

    def __enter__(self):
        parents = (self.parent, *self.parent.parents)
        self.made = [path for path in parents if not path.exists()]
        self.parent.mkdir(parents=True, exist_ok=True)
        return self

    def publish(self):
        """Gives the folder its version, and returns its path."""
        for _ in range(100):
            version = self.version or max(server_config.versions(self.parent), default=0) + 1
            path = self.parent / str(version)
            try:
                os.rename(self.folder, path)
            except OSError:
                if not path.exists():
                    raise
                if self.version is not None:
                    raise self._exists(version) from None
                # Another process was faster: the next number.
                continue
            return path
        raise FileExistsError(f"{self.parent} gets new versions faster than this one is named.")

    def __exit__(self, *error):
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in self.made:
            try:
                path.rmdir()
            except OSError:
                # It has a content by now: that of this export, or of another one.
                break

    def _exists(self, version):
        return FileExistsError(
            f"{self.parent / str(version)} exists, and a version that a server may have loaded is "
            "not replaced: give another `version`, or None for the next one."
        )


def _model(model_or_name):
    if isinstance(model_or_name, str):
        from keras_recres import zoo

        return zoo.load(model_or_name)
    if not isinstance(model_or_name, keras.Model):
        raise ValueError(
            f"`model_or_name` must be a Keras model or a name of the zoo, but it is "
            f"{model_or_name!r}."
        )
    return model_or_name


def _first_output(model):
    """The model itself, or with its first output only: the others are for training."""
    if function_of(model) is None or len(model.outputs) == 1:
        return model
    return keep_facts(model, keras.Model(model.inputs, model.outputs[0], name=model.name))


def _representative(images, model):
    """Inputs of a model, float32, from images as its preprocessing takes them."""
    prepare = getattr(model, "preprocess", None)
    if prepare is not None:
        images = [keras.ops.convert_to_numpy(prepare(image))[0] for image in images]
    x, shape = np.asarray(images), tuple(model.inputs[0].shape[1:])
    if x.shape[1:] != shape or not len(x):
        raise ValueError(
            f"`representative` must be examples of shape {shape}, at least one, but its shape is "
            f"{x.shape}."
        )
    return x.astype(model.inputs[0].dtype)


def _default_name(model):
    record, tag = getattr(model, "zoo_record", None), getattr(model, "zoo_tag", None)
    if record is None:
        return model.name
    return record.name if tag in (None, record.default_tag) else f"{record.name}.{tag}"


def _checked_name(name):
    # It is a folder, a part of a URL and of a configuration file.
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"`name` must consist of letters, digits, '.', '_' and '-' and begin with a letter or "
            f"digit, but it is {name!r}."
        )
    if name == "config":
        raise ValueError("`name` must not be 'config', the folder of the server's configuration.")
    return name


def _labels(labels, model, num_classes):
    if labels is None:
        return list(class_names_of(model))
    labels = [labels] if isinstance(labels, str) else list(labels)
    good = all(isinstance(label, str) and label.splitlines() == [label] for label in labels)
    if len(labels) != num_classes or not good:
        raise ValueError(
            f"`labels` must be {num_classes} names of one line each, one a class, but it is "
            f"{labels!r}."
        )
    if getattr(model, "class_names", None) is not None and labels != list(model.class_names):
        raise ValueError(
            f"`labels` must be the names that {model.name!r} has, "
            f"{', '.join(map(str, model.class_names[:3]))}, … in this order, but it is {labels!r}: "
            "if the head was trained with these, set model.class_names."
        )
    return labels


def _of_texts(preprocessing, model, input_shape):
    if input_shape != (preprocessing.length,):
        raise ValueError(
            f"`preprocessing` gives {preprocessing.length} numbers of words, but {model.name!r} "
            f"takes inputs of shape {input_shape}."
        )
    return preprocessing.whole()


def _preprocessing(preprocessing, model, input_shape):
    """What `serving_bytes` or `serving_texts` begins with, or None where there is neither."""
    given = preprocessing is not None
    if isinstance(preprocessing or getattr(model, "preprocess", None), TextPreprocessing):
        return _of_texts(preprocessing or model.preprocess, model, input_shape)
    if not given:
        preprocessing = getattr(model, "preprocess", None)
        if preprocessing is None and len(input_shape) == 3 and input_shape[2] in (1, 3):
            nested = [part.name for part in sublayers(model) if hasattr(part, "preprocess")]
            logger.warning(
                "%s: no serving_bytes, since the model has no `preprocess` and no `preprocessing` "
                "is given%s.",
                model.name,
                f": give that of {nested[0]!r} in it, if images reach it as they are"
                if nested
                else "",
            )
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        if given:
            raise ValueError(
                f"`preprocessing` must be a zoo.Preprocessing, but it is {preprocessing!r}."
            )
        logger.warning(
            "%s: no `serving_bytes`, as its `preprocess` is not a zoo.Preprocessing.", model.name
        )
        return None
    if preprocessing is None or (not given and preprocessing.size is None):
        return None
    if len(input_shape) != 3 or input_shape[2] not in (1, 3):
        if not given:
            return None
        raise ValueError(
            f"`preprocessing` is for images of 1 or 3 channels, but {model.name!r} takes inputs of "
            f"shape {input_shape}."
        )
    if preprocessing.size != input_shape[:2]:
        raise ValueError(
            f"`preprocessing` must have the size {input_shape[:2]} that {model.name!r} takes, but "
            f"it has {preprocessing.size}."
        )
    if len(preprocessing.mean) not in (0, input_shape[2]):
        raise ValueError(
            f"`preprocessing` must have means for {input_shape[2]} channels or none, but it has "
            f"{len(preprocessing.mean)}."
        )
    return preprocessing
