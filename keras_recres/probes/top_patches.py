"""top_patches: the parts of images that units of a layer answer most strongly."""

import dataclasses

import keras
import numpy as np

from keras_recres.backend.types import Data, Path
from keras_recres.layers.checks import check_count
from keras_recres.probes.receptive_field import receptive_field


@dataclasses.dataclass(frozen=True, repr=False)
class TopPatches:
    """The patches that units of a layer answer most strongly.

    Attributes:
        layer: Name of the layer.
        units: Its channels that were looked at, (units,).
        values: Their largest answers, the largest first, (units, count).
        examples: Which image each comes from, (units, count).
        positions: Where the unit stands in the layer's map, (units, count, 2).
        patches: What it sees there, (units, count, height, width, channels), NaN where padding is.
    """

    layer: str
    units: np.ndarray
    values: np.ndarray
    examples: np.ndarray
    positions: np.ndarray
    patches: np.ndarray

    def __repr__(self) -> str:
        height, width = self.patches.shape[2:4]
        return (
            f"<TopPatches: {len(self.units)} units of {self.layer!r}, "
            f"{self.values.shape[1]} patches of {height} x {width} pixels each>"
        )

    def plot(self, path: Path | None = None) -> np.ndarray:
        """Draws a row of patches for each unit, the strongest first; padding is grey.

        Needs matplotlib. Pixels are drawn from the least to the largest value of all patches.

        Args:
            path: Where to save the picture; its ending names the format. None saves none.

        Returns:
            The matplotlib axes, (units, count).
        """
        from matplotlib.figure import Figure

        rows, columns = self.values.shape
        figure = Figure(figsize=(0.9 * columns + 0.8, 0.9 * rows + 0.4), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        low, high = np.nanmin(self.patches), np.nanmax(self.patches)
        pictures = np.nan_to_num((self.patches - low) / max(high - low, 1e-12), nan=0.5)
        for unit, patches, row in zip(self.units, pictures, axes, strict=True):
            for patch, axis in zip(patches, row, strict=True):
                grey = patch.shape[-1] != 3
                shown = patch[..., 0] if grey else patch
                axis.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=1)
                axis.set(xticks=[], yticks=[])
            row[0].set_ylabel(f"unit {unit}", fontsize=8)
        figure.suptitle(self.layer, fontsize=9)
        if path is not None:
            figure.savefig(path, dpi=150)
        return axes


def top_patches(
    model: keras.Model,
    layer: str | keras.layers.Layer,
    units: Data,
    images: Data,
    *,
    count: int = 9,
    shown: Data = None,
    batch_size: int = 64,
) -> TopPatches:
    """The patches of images that units of a layer answer most strongly.

    Of each image the place counts where the unit's answer is largest, and what it sees there is
    cut out (arXiv 1311.2901 and 1311.2524 look at networks in this way).

    Example:
    >>> top = top_patches(model, "conv2", range(4), images)
    >>> top.plot("conv2.png")

    Args:
        model: A functional or Sequential model of one input of images, channels last.
        layer: Name of a layer of the model, or the layer, whose outputs are maps.
        units: Channels of the layer, integers from 0 on, one or several.
        images: Array (examples, height, width, channels), as the model takes them.
        count: Integer ≥ 1, patches of each unit; no more than images.
        shown: Array (examples, height, width, …) to cut the patches from, such as the images before
            their preprocessing; None for `images`.
        batch_size: Integer ≥ 1, images that are computed at a time.

    Returns:
        A `TopPatches`.

    Raises:
        ValueError: If there is no such layer or unit, or images and what is shown do not fit.
    """
    check_count("count", count)
    check_count("batch_size", batch_size)
    images = np.asarray(keras.ops.convert_to_numpy(images))
    shown = images if shown is None else np.asarray(shown)
    if images.ndim != 4 or not len(images) or shown.shape[:3] != images.shape[:3]:
        raise ValueError(
            "`images` must be (examples, height, width, channels) and `shown` of the same sides, "
            f"but their shapes are {images.shape} and {shown.shape}."
        )
    field = receptive_field(model, layer, input_shape=images.shape[1:])
    own = next((own for own in model.layers if own is layer or own.name == layer), None)
    if own is None or len(own.output.shape) != 4:
        raise ValueError(f"{field.layer!r} must be a layer of {model.name!r} that puts out maps.")
    channels = own.output.shape[-1]
    units = np.atleast_1d(np.asarray(list(units) if hasattr(units, "__iter__") else units))
    if not np.issubdtype(units.dtype, np.integer) or units.min() < 0 or units.max() >= channels:
        raise ValueError(f"`units` must be integers from 0 to {channels - 1}, but it is {units}.")
    part = keras.Model(model.inputs[0], own.output)
    values, places = [], []
    for start in range(0, len(images), batch_size):
        maps = np.asarray(part.predict_on_batch(images[start : start + batch_size]))[..., units]
        flat = maps.reshape(len(maps), -1, len(units))
        values.append(flat.max(1))
        places.append(flat.argmax(1))
    values, places = np.concatenate(values).T, np.concatenate(places).T
    best = np.argsort(-values, axis=1, kind="stable")[:, :count]
    values, places = (np.take_along_axis(a, best, 1) for a in (values, places))
    positions = np.stack(np.unravel_index(places, maps.shape[1:3]), -1)
    patches = [
        [_patch(shown[i], field, at) for i, at in zip(*row, strict=True)]
        for row in zip(best, positions, strict=True)
    ]
    return TopPatches(field.layer, units, values, best, positions, np.array(patches))


def _patch(image, field, position):
    """What the unit at a position sees of an image, NaN outside of it."""
    image = image.astype("float32").reshape(*image.shape[:2], -1)
    patch = np.full((*field.size, image.shape[-1]), np.nan, "float32")
    first = [s * i + o for s, i, o in zip(field.stride, position, field.offset, strict=True)]
    inside = [
        slice(max(0, -a), max(0, min(r, side - a)))
        for a, r, side in zip(first, field.size, image.shape, strict=False)
    ]
    rows, columns = (
        slice(a + part.start, a + part.stop) for a, part in zip(first, inside, strict=True)
    )
    patch[inside[0], inside[1]] = image[rows, columns]
    return patch
