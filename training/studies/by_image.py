"""The zoo's weights of several networks on the same images: differences paired by image.

What is hard for both networks of a pair takes no part in their difference, so that its error is
smaller than that of either accuracy. It is an error over images: what other seeds would give is
not in it.
"""

import shlex

import numpy as np

from keras_recres import zoo
from keras_recres.zoo import evaluation
from keras_recres.zoo.tfds_folder import RE_ENCODED, original
from training import data
from training.console import progress_bar
from training.errors import UserError
from training.studies.effects import by_example


def rights(names, tag, data_dir=None, limit=None):
    """Which evaluation images each network gets right, computed in float32.

    Args:
        names: names of the zoo.
        tag: the data set's tag.
        data_dir: where the data set is, see `training.data.load`.
        limit: only the first so many images.

    Returns:
        {name: {number of the image: 100.0 or 0.0}} of those that have weights.

    Raises:
        UserError: there is another data set, or none; there are no weights, or damaged ones.
    """
    trained = [name for name in names if tag in zoo.info(name).trained_tags]
    if not trained:
        told = pending([f"{name}.{tag}" for name in names])
        raise UserError(f"the zoo has no weights of {', '.join(names)} on {tag} to compare: {told}")
    images = data.load(original(tag), "evaluation", data_dir, limit=limit, stream=True)
    if images.tag != tag:
        made = f"; `python -m training.data reencode {images.tag}` makes them"
        raise UserError(
            f"the weights are of {tag}, but the images are those of {images.tag}"
            f"{made if RE_ENCODED.get(images.tag) == tag else ''}."
        )
    labels, found = np.asarray(images.images.labels()), {}
    for name in trained:
        try:
            model = zoo.load(name, weights=tag, dtype="float32")
        except (ValueError, OSError) as error:
            raise UserError(str(error)) from None
        with progress_bar(f"{name} on {tag}", len(labels)) as advance:
            logits = evaluation.logits_of(model, images.images, advance=advance)
        found[name] = dict(enumerate(100.0 * (logits.argmax(axis=-1) == labels)))
    return found


def pending(rows):
    """What trains rows of the zoo, NAME.TAG, and files them."""
    return f"`python -m training.pending --names {shlex.join(rows)} --data-dir DIR` trains them."


def sentences(pairs, found):
    """What `rights` says of pairs (plain, other) that are both in it, a list of str."""
    said = []
    for plain, other in pairs:
        if plain in found and other in found:
            one = by_example(found[other], found[plain])
            low, high = one.interval
            said.append(
                f"{other} against {plain}, one training each, paired by image: {one} points "
                f"({one.seeds:,} images, 95 % interval {low:+.2f} to {high:+.2f})."
            )
    return said
