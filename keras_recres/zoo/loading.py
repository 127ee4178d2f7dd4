"""A name → a model: built from its config, with verified weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from keras_recres.backend import keras_private
from keras_recres.backend.types import ShapeLike
from keras_recres.layers.checks import plain
from keras_recres.models.families import family_of
from keras_recres.models.features import feature_maps
from keras_recres.zoo import building, keras_weights, saved, sources, transfer
from keras_recres.zoo.registry import Untrained, resolve, trained_tag
from keras_recres.zoo.zoo_model import ZooModel

logger = logging.getLogger("keras_recres")


def load(
    name: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = "default",
    num_classes: int | None = None,
    input_shape: ShapeLike | None = None,
    steps: int | None = None,
    features_only: bool = False,
    dtype: str | None = None,
    offline: bool | None = None,
    progress: bool | str = "auto",
    classes: Sequence[str] | None = None,
    out_indices: int | Sequence[int] | None = None,
    in_channels: int | None = None,
) -> ZooModel:
    """Builds the network of a name and loads its weights.

    A model with weights has the arguments that the weights were trained with; `num_classes`,
    `input_shape`, `steps` and `features_only` change them, and the weights that still fit are
    loaded:

    - `num_classes` or `classes` give a fresh head, also where there are as many as before, and one
      line on the logger `keras_recres` (shown on stderr unless logging is configured otherwise)
      says so; a file of your own with so many classes is loaded whole;
    - another `input_shape` keeps the fixed position table of the new size; where weights are for
      each pixel of a map, as in the small CIFAR networks, the map is averaged to its old size, as
      in torchvision's VGG, and a line on the logger says so;
    - other `steps` run the same weights more or fewer times.

    Args:
        name: A name of `zoo.list()`, or `"name.tag"` as in `"vit3.cifar10"`. Or a model as it was
            saved, for which all arguments but `offline` and `progress` are left out: the folder
            that `zoo.save` wrote, as a Path or a string with a slash; or
            `"hf://USER/REPO"`, what `zoo.push` wrote on the Hugging Face hub, `"hf://USER/REPO@REV"`
            for one revision. Its sha256 and logits are checked, and no code of it is run.
        weights: `"default"` for those of the default tag; a tag; None for the architecture only,
            with the arguments of the paper (or of the tag in `name`); or the path of a
            `.weights.h5` file. A path is read as it is, since only files of the zoo have a known
            sha256. The network has the arguments of the tag in `name`, else of the tag in the
            file's name, `vit3_rec.cifar10_jpeg.weights.h5` or `vit3.cifar10_jpeg.weights.h5`, else
            those of the paper. The file is first tried as written with the changes that are asked
            for.
        num_classes: Number of logits, of classes without names; 0 is `features_only`.
        input_shape: `(height, width, channels)` of one image.
        steps: Number of times that each block runs, an int or one for each block.
        features_only: True for the features before the head, where the builder offers that; with
            `out_indices` for a list of feature maps.
        dtype: A Keras dtype policy for the model, `"mixed_bfloat16"`. None for the global one.
        offline: True to never use the network; None to ask KERAS_RECRES_OFFLINE.
        progress: Whether a download shows a progress bar; `"auto"` does on a terminal.
        classes: Names of your own classes, in the order of the logits, instead of `num_classes`.
        out_indices: With `features_only=True`, which feature maps, as in timm: from 0 on with
            growing depth, -1 is the last. The model gives a list of them, channels-last, and
            `model.feature_info` says of each its layer's name, channels and reduction.
            Convolutional networks have one map for each size, T2T-ViTs one for each block.
        in_channels: Channels of the images, for weights of another number, too: as in timm kernels
            are summed for one channel, and else repeated and scaled, which a line on the logger
            says. `model.preprocess` has the average mean and standard deviation then.

    Weights of keras.applications (`zoo.list(source="keras")`) are downloaded by Keras, which keeps
    them in `models/` of KERAS_HOME and checks their hash.

    Returns:
        A `keras.Model` with `model.preprocess`, a `Preprocessing` that turns uint8 images into
        what this model takes; `model.zoo_record`, the record of the name; `model.zoo_tag`, the tag
        whose arguments it has, or None for those of the paper; and `model.class_names`, a tuple,
        or None where nothing says what the classes are called. A `.keras` file keeps these four.

    Raises:
        ValueError: The name or tag is unknown or has no weights, an argument does not suit the
            builder, the weights do not fit, or their file is corrupt.
        FileNotFoundError: The weights are not on this machine and may not be downloaded.
        OSError: The download failed.

    Example:
    >>> model = zoo.load("vit3_rec", weights=None, num_classes=10, input_shape=(64, 64, 3))
    >>> logits = model(model.preprocess(images))
    >>> model = zoo.load("cifar_medium", features_only=True, out_indices=(0, -1))
    >>> [(info["channels"], info["reduction"]) for info in model.feature_info]
    [(32, 1), (128, 11)]
    """
    if saved.is_one(name):
        asked = {"num_classes": num_classes, "input_shape": input_shape, "steps": steps}
        asked |= {"dtype": dtype, "classes": classes, "out_indices": out_indices}
        asked = [key for key, value in asked.items() if value is not None]
        asked += ["in_channels"] * (in_channels is not None)
        asked += ["features_only"] * bool(features_only) + ["weights"] * (weights != "default")
        if asked:
            raise ValueError(f"{str(name)!r} is loaded as it was saved: leave out {asked[0]}.")
        return saved.load(name, offline, progress)
    if out_indices is not None:
        if not features_only:
            raise ValueError("out_indices choose feature maps: give features_only=True, too.")
        if classes is not None or num_classes:
            raise ValueError("feature maps have no classes: leave out num_classes and classes.")
    if num_classes == 0 and classes is None:
        num_classes, features_only = None, True
    record, tag = resolve(name)
    if classes is not None:
        num_classes = _count(classes, num_classes, features_only)
    asked = plain({"num_classes": num_classes, "input_shape": input_shape, "steps": steps})
    overrides = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in asked.items()
        if value is not None
    }
    if features_only and out_indices is None:
        overrides["features_only"] = True
    own = weights is not None and _is_path(weights)
    if weights is None:
        building.set_channels(record, tag, overrides, in_channels)
        model = building.network(record, tag, overrides, dtype)
    else:
        if own:
            path = _checked_path(weights)
            tag = tag or tag_of_file(record, path)
        else:
            tag = _trained_tag(record, tag, weights)
            path = None  # Keras' own.
            if tag in record.trained_tags:
                path = sources.locate(sources.weights_file(record.name, tag), offline, progress)
        building.set_channels(record, tag, overrides, in_channels)
        with keras_private.values_given_later(), keras_weights.downloads(offline, progress):
            model = _load(record, tag, overrides, dtype, path, own, in_channels)
            count = record.arguments_of(tag).get("num_classes")
            if path is None and not features_only and num_classes in (None, count):
                model.class_names = keras_weights.class_names()
    if out_indices is not None:
        maps = feature_maps(model, record.builder, plain(out_indices))
        building.describe(maps, record, tag, model.preprocess, None)
        return maps
    if classes is not None:
        model.class_names = tuple(classes)
    return model


def _count(classes, num_classes, features_only):
    """How many logits the names of classes are for."""
    good = isinstance(classes, list | tuple) and all(
        isinstance(name, str) and name.splitlines() == [name] for name in classes
    )
    if not good or not classes:
        raise ValueError(
            f"classes must be a list of names of one line each, one a class, found {classes!r}."
        )
    if num_classes not in (None, len(classes)):
        raise ValueError(
            f"num_classes={num_classes!r} and classes={classes!r}, which are {len(classes)}, "
            "disagree: give one of them."
        )
    if features_only:
        raise ValueError("classes name logits, and with features_only=True there are none.")
    return len(classes)


def _trained_tag(record, tag, weights):
    try:
        return trained_tag(record, tag, weights)
    except Untrained as error:
        # Converters load networks by this file.
        from keras_recres.zoo import convert

        if record.name in convert.networks.LAYOUTS:
            command = f"checkpoint({record.name!r}, PATH)"
        elif record.builder in convert.__all__:
            command = f"{record.builder}(PATH)"
        else:
            raise
        instead = error.instead.removesuffix(".")
        raise Untrained(
            error.what, f"{instead}; zoo.convert.{command} reads others' checkpoints."
        ) from None


def _load(record, tag, overrides, dtype, path, own, in_channels):
    try:
        return _fill(record, tag, overrides, dtype, path, own, in_channels)
    except ValueError as error:
        if tag is not None or not record.tags:
            raise
        said = str(error)
    raise ValueError(
        f"{said} {record.name!r} was built as its paper has it; for the network of a data set name "
        f"that, as in '{record.name}.{next(iter(record.tags))}'."
    )


def _fill(record, tag, overrides, dtype, path, own, in_channels):
    # As many classes as the zoo's are others all the same: whoever means those names no number.
    changes = {
        k: v
        for k, v in overrides.items()
        if record.arguments_of(tag).get(k) != v or (k == "num_classes" and not own)
    }
    if not changes and path is None:
        given = {**overrides, **keras_weights.ARGUMENTS}
        return building.network(record, tag, given, dtype)
    if not changes:
        model = building.network(record, tag, overrides, dtype)
        transfer.read(model, path)
        return model
    if own:
        # Whatever it is called, it was most likely written with the arguments of now.
        model = building.network(record, tag, overrides, dtype)
        if transfer.fits(model, path):
            return model
    # In float32, as the files are, whatever the model's own policy.
    donor = None
    if own and "num_classes" in changes:
        # The classes may be the file's, and only the other arguments new.
        donor = building.network(record, tag, {"num_classes": changes["num_classes"]}, "float32")
        if transfer.fits(donor, path):
            del changes["num_classes"]
        else:
            donor = None
    if donor is None:
        donor = building.network(record, tag, {} if path else keras_weights.ARGUMENTS, "float32")
        if path:
            transfer.read(donor, path)
    overrides = {**overrides, **_of_other_size(record, tag, changes)}
    model = building.network(record, tag, overrides, dtype)
    fresh = transfer.copy(donor, model, changes, in_channels)
    trained = donor.input_shape[-1]
    if in_channels not in (None, trained):
        logger.warning(
            "%s: what reads the image has the weights of %d channels, %s for in_channels=%d.",
            record.name,
            trained,
            "summed" if in_channels == 1 else "repeated and scaled",
            in_channels,
        )
    if fresh:
        logger.warning(
            "%s: the head (%s) is new and untrained, since num_classes=%s are classes of your own.",
            record.name,
            ", ".join(fresh),
            changes["num_classes"],
        )
    return model


def _of_other_size(record, tag, changes):
    """Builder arguments that keep what is for each pixel of a map, where images change size."""
    trained = record.arguments_of(tag)
    asked = changes.get("input_shape")
    if asked is None or tuple(asked[:-1]) == tuple(trained["input_shape"][:-1]):
        return {}
    kept = family_of(record.builder).other_size(trained)
    if kept:
        logger.warning(
            "%s: built with %s for input_shape=%s, since it has weights for each pixel of a map.",
            record.name,
            ", ".join(f"{key}={value}" for key, value in kept.items()),
            asked,
        )
    return kept


def _is_path(weights):
    if isinstance(weights, os.PathLike):
        return True
    if not isinstance(weights, str):
        raise ValueError(
            "weights must be 'default', None, a tag, or the path of a .weights.h5 file, "
            f"found {weights!r}."
        )
    return "/" in weights or os.sep in weights or "." in weights


def _checked_path(weights):
    path = Path(weights).expanduser()
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"weights must be the path of a .weights.h5 file, found {str(path)!r}.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file {str(path)!r}.")
    return path


def tag_of_file(record, path):
    """The tag that a weights file's name says, if the record has it; else None.

    Another network's file counts, since vit3's weights fit vit3_rec.
    """
    # What a training keeps of one that went wrong is called NAME.TAG.last_good.
    stem = Path(path).name.removesuffix(".weights.h5").removesuffix(".last_good")
    tag = stem.partition(".")[2]
    return tag if tag in record.tags else None
