"""A trained network made recurrent in depth and trained on: --deepen, --fold and --control.

    --deepen '*=2'                every block of a run twice, `rules.repeat`
    --fold '*=16,keep=ends'       runs of blocks as one, steps differing by rank 16, `rules.fold`
    --fold 'conv4*=16 conv5*=0'   several rules

The original is a name of the zoo with its weights (or those of --weights), or a .keras file. It
remains as it was, and teaches: what it says, and the features after each of its blocks.
"""

import sys

import keras

from keras_recres import zoo
from keras_recres.cli.block_rules import read
from keras_recres.models import rules
from keras_recres.models.fold_controls import Dropped, LowRank
from keras_recres.models.recurrent import planned
from training import data
from training.errors import UserError
from training.fit import backup, models

# What Keras' own weights call a data set.
WEIGHTS_OF = {"imagenet2012": "imagenet"}
CONTROLS = {"dropped": Dropped, "low_rank": LowRank}
# Images that the factors are fitted to, see `recurrent`.
IMAGES = 256


def asked(a):
    """Whether a command line asks for a network made of a trained one."""
    return bool(a.deepen or a.fold)


def of_file(name):
    """Whether a network is a file."""
    return str(name).endswith(".keras")


def parse(a):
    """The rules that a command line asks for, {pattern: rule}.

    Raises:
        UserError: they are not spelt so, or options are given that go with others.
    """
    if a.deepen and a.fold:
        raise UserError("give --deepen or --fold, not both: train what one of them gave on.")
    if of_file(a.name) and not asked(a):
        raise UserError(f"{a.name} is a file, which --deepen or --fold is for.")
    if a.control and not a.fold:
        raise UserError("--control is what a folded network is compared with: give --fold, too.")
    if a.fold and a.steps:
        raise UserError(
            "the steps of folded blocks are the blocks that they were: --steps is for --deepen."
        )
    option, text, make = (
        ("deepen", a.deepen, rules.repeat) if a.deepen else ("fold", a.fold or "", rules.fold)
    )
    found = {}
    for word in text.split():
        try:
            pattern, how = read(make.__name__, word)
        except ValueError as error:
            raise UserError(f"--{option} {error}.") from None
        try:
            rule = make(**how)
        except ValueError as error:
            raise UserError(f"--{option} {word!r}: {error}") from None
        if a.control:
            rule = CONTROLS[a.control](**vars(rule))
            if a.control == "low_rank" and not rule.rank:
                raise UserError(f"--control low_rank needs a rank above 0, found {word!r}.")
        found[pattern] = rule
    return found


def original(a, peek, overrides):
    """The trained network that is to change.

    Args:
        a: the command line.
        peek: an `Images` record of the data set, one image is enough.
        overrides: builder arguments of the command line.

    Raises:
        UserError: it has no weights for the data set, or takes other images.
    """
    if overrides and (of_file(a.name) or not a.weights):
        raise UserError(
            f"{a.name} begins with its weights as it is, but --model-arguments or --steps ask for "
            f"{', '.join(overrides)}: give --weights of a network that was built so."
        )
    if of_file(a.name):
        return _read(a, peek)
    if a.weights:
        model, _ = models.build(a.name, peek, overrides, a.precision)
        backup.load(model, a.weights, f"--weights takes those of {a.name} as it is asked for")
        return model
    try:
        model = zoo.load(a.name, weights=WEIGHTS_OF.get(peek.tag, peek.tag), dtype=a.precision)
    except (ValueError, OSError) as error:
        raise UserError(" ".join(str(error).split())) from None
    return model


def _read(a, peek):
    if a.precision != "float32":
        raise UserError(f"{a.name} is computed as it was saved: leave --precision out.")
    try:
        model = keras.saving.load_model(a.name, compile=False)
    except Exception as error:  # Damaged files make it raise all sorts.
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{a.name} cannot be loaded ({reason}).") from None
    if peek.holds != "images" or len(model.outputs) > 1:
        raise UserError(f"{a.name} must be a classifier of images with one output.")
    takes, gives = model.input_shape, model.output_shape[-1]
    if len(takes) != 4 or None in takes[1:] or takes[-1] != peek.images.shape[-1]:
        raise UserError(
            f"{a.name} takes {takes[1:]}, but it must take images of a known size with the "
            f"{peek.images.shape[-1]} channels of {peek.dataset}."
        )
    if gives != len(peek.class_names):
        raise UserError(
            f"{a.name} gives {gives} classes, but {peek.dataset} has {len(peek.class_names)}."
        )
    if getattr(model.layers[-1], "activation", None) is keras.activations.softmax:
        raise UserError(f"training takes logits, but {a.name} ends with a softmax.")
    if not hasattr(model, "preprocess"):
        # Such as those of keras.applications that rescale pixels themselves.
        model.preprocess = zoo.Preprocessing(size=takes[1:3])
    return model


def remade(a, model, peek):
    """The recurrent network that a command line makes of a trained one.

    Args:
        a: the command line.
        model: the trained network.
        peek: an `Images` record of the data set, one image is enough.

    Returns:
        The network, and pairs of a recurrent layer of it and the original's tensors that its last
        states stand for.

    Raises:
        UserError: a rule fits no block.
    """
    images = None
    if a.fold:
        p = model.preprocess
        limit = min(IMAGES, a.limit or IMAGES)
        some = data.load(a.dataset, "train", a.data_dir, limit, data.Resizing.of(p))
        images = keras.ops.convert_to_numpy(p(some.images))
    try:
        network, table, plans = planned(model, parse(a), images)
    except ValueError as error:
        raise UserError(str(error)) from None
    print(table, file=sys.stderr)
    for name in ("zoo_record", "preprocess"):
        if hasattr(model, name):
            setattr(network, name, getattr(model, name))
    tops = {id(layer) for layer in network.layers}
    pairs = [
        (plan.made, plan.tensors[1:][-plan.made.steps :])
        for plan in plans
        if id(plan.made) in tops  # Of a network in a network the tensors are not at hand.
    ]
    return network, pairs
