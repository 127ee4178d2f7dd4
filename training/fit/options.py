"""What a training is asked for: options, their ranges, and what of them is recorded."""

import argparse
import importlib.util
import sys
from pathlib import Path

import keras

from keras_recres.zoo import sources
from training import data, files, recipes
from training.data import cv_augment
from training.errors import UserError
from training.fit import in_depth, precision, steps, strategy
from training.fit.models import overrides_of
from training.fit.optimizers import OPTIMIZERS, SCHEDULES
from training.settings import Settings

# What changes no result (but dropout with another --strategy): a run goes on whatever it says.
NOT_SETTINGS = ("data_dir", "out", "resume", "steps_per_execution", "recipe", "end_with_parent")
NOT_SETTINGS += ("tensorboard", "curvature", "strategy", "chosen")
PRECISIONS = ("float32", "mixed_bfloat16", "auto")
DEEP = "also learn from what the network would say after earlier steps"
PRECISE = "before an evaluation, average batch normalization's statistics anew over so many batches"
CURVATURE = (
    "measure the curvature of every layer after each epoch, at so many points of an ellipse "
    "through the training images, into curvature.csv (default 0, not at all)"
)
AUGMENT = (
    "of flip (half of the images mirrored), crop (shifts by up to an eighth), resized_crop (8 to "
    "100 %% of the area, brought to the size) and erase (a rectangle set to the mean); by keras-cv "
    "grid_mask, channel_shuffle and fourier_mix; default none"
)
STREAM = "decode images when needed, not all before; resized_crop then crops the stored ones"
GROUPS = (
    "augment each batch, and mix within it, in so many parts: processes whose number divides "
    "it then read their own images only (default 1)"
)
ACCUMULATE = "batches an update of the weights; what is left over at the end makes none"
CLIP = "bring gradients whose norm over all weights is larger down to it; default 0, never"
RUBBISH = "a class more of images of nothing, with the logit -J, as LeNet-5's loss has it"
DEEPEN = (
    "begin with the trained network, its blocks repeated: rules PATTERN=STEPS such as '*=2', or "
    "'conv4*=2 conv5*=3'; it is the teacher as well"
)
FOLD = (
    "begin with the trained network, runs of equal blocks made one: rules PATTERN=RANK, such as "
    "'*=16,keep=ends', with init= and keep= as of rules.fold; it is the teacher as well"
)
CONTROL = "instead of folded blocks the first of them alone, or low rank without a shared kernel"
FEATURES = "of --deepen and --fold: weight in the loss of the features after every block"
EMA = "evaluate and keep averaged weights, which forget at this momentum, such as 0.9999"


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.fit",
        description="Train a model of the zoo on an image data set, on any Keras backend.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.fit vit3_rec --recipe cifar10_vit --data-dir DIR\n"
        "  python -m training.fit cifar_medium --recipe cifar_tables --data-dir X.npz --epochs 5\n"
        "  KERAS_BACKEND=jax python -m training.fit frn_relu --dataset mnist --limit 5000\n"
        "  python -m training.fit vit3_rec --recipe cifar10_vit --steps 4 --model-arguments "
        "drop_path=0.2\n\n"
        "Give the same command again after an interruption: it goes on at the last whole epoch.",
    )
    p.add_argument("name", help="a name of the zoo, see `keras_recres.zoo.list()`")
    p.add_argument("--recipe", help=f"sets what is not given: {', '.join(recipes.available())}")
    p.add_argument(
        "--dataset",
        required=True,
        help=f"{', '.join(data.DATA_SETS)}, what TFDS has, or, without --data-dir, a folder with a "
        "subfolder for each class (or train/ and val/ with these), or a CSV of path and label, "
        "brought to the size of the network's paper or of --model-arguments input_shape=[…], which "
        "averages images over squares of pixels where it divides their size",
    )
    p.add_argument(
        "--data-dir", help="folder with NAME/VERSION, or with folders of it, or a packed .npz file"
    )
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument(
        "--optimizer", choices=OPTIMIZERS, default="adamw", help="adamw (default), or sgd"
    )
    p.add_argument("--momentum", type=float, default=0.0, help="of sgd, 0 to below 1 (default 0)")
    p.add_argument("--learning-rate", type=float, default=1e-3, help="peak (default 1e-3)")
    p.add_argument("--weight-decay", type=float, default=0.05, help="of kernels (default 0.05)")
    p.add_argument("--warmup-epochs", type=float, default=1.0)
    p.add_argument("--schedule", choices=SCHEDULES, default="cosine", help="of the learning rate")
    p.add_argument("--epsilon", type=float, default=1e-7, help="of Adam and AdamW (default 1e-7)")
    p.add_argument("--clip-norm", type=float, default=0.0, help=CLIP)
    p.add_argument("--ema", type=float, default=0.0, metavar="MOMENTUM", help=EMA)
    p.add_argument("--accumulate", type=int, default=1, help=ACCUMULATE)
    p.add_argument("--label-smoothing", type=float, default=0.1, help="0 to below 1")
    p.add_argument("--rubbish", type=float, metavar="J", help=RUBBISH)
    p.add_argument(
        "--keep-last",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="train on the smaller batch, too",
    )
    p.add_argument("--cooldown-epochs", type=float, default=0.0, help="at the end of the cosine")
    p.add_argument("--augment", default="", help=AUGMENT)
    p.add_argument("--mixup", type=float, default=0.0, help="beta parameter, 0 for none")
    p.add_argument("--cutmix", type=float, default=0.0, help="beta parameter, 0 for none")
    p.add_argument("--randaugment", type=float, default=0.0, help="magnitude, 0 to 10")
    p.add_argument("--erasing", type=float, default=0.0, help="share of images erased by noise")
    p.add_argument("--groups", type=int, default=1, help=GROUPS)
    p.add_argument("--precise-bn", type=int, default=0, metavar="BATCHES", help=PRECISE)
    p.add_argument("--curvature", type=int, default=0, metavar="POINTS", help=CURVATURE)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="auto: mixed_bfloat16 on an accelerator or a processor that multiplies it, elsewhere "
        "float32, which is nine times as fast there (default float32)",
    )
    p.add_argument(
        "--strategy",
        default="single",
        help=f"{', '.join(strategy.kinds())}: what shares every batch (default single)",
    )
    p.add_argument("--limit", type=int, help="train on the first so many images only")
    p.add_argument("--stream", action=argparse.BooleanOptionalAction, default=False, help=STREAM)
    p.add_argument("--eval-limit", type=int, help="evaluate on the first so many images only")
    p.add_argument(
        "--steps",
        help="steps of the recurrent blocks, such as 2,4,2 or 4; or, in training only, "
        f"{steps.EXAMPLES}",
    )
    p.add_argument("--backprop-steps", type=int, help="gradients through so many last steps only")
    p.add_argument("--deep-supervision", type=float, default=0.0, metavar="WEIGHT", help=DEEP)
    p.add_argument("--teacher", help="a network to follow: a name of the zoo, or a run's folder")
    p.add_argument("--distillation", type=float, default=0.5, help="the teacher's part in the loss")
    p.add_argument("--deepen", metavar="RULES", help=DEEPEN)
    p.add_argument("--fold", metavar="RULES", help=FOLD)
    p.add_argument("--control", choices=in_depth.CONTROLS, help=CONTROL)
    p.add_argument("--features", type=float, default=1.0, metavar="WEIGHT", help=FEATURES)
    p.add_argument("--temperature", type=float, default=2.0, help="that softens both for it")
    p.add_argument("--model-arguments", nargs="*", default=[], metavar="KEY=VALUE")
    p.add_argument(
        "--steps-per-execution", type=int, default=1, help="steps at once, faster on TensorFlow"
    )
    p.add_argument("--weights", type=Path, help="a .weights.h5 file to start from")
    p.add_argument("--tensorboard", action="store_true", help="also a log for TensorBoard")
    p.add_argument("--out", type=Path, help="the run's folder; default runs/NAME.DATASET.SEED")
    p.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--end-with-parent", action="store_true", help="end when stdin is closed")
    return p


def arguments(argv=None, recipe=None):
    """Parses a command line; its recipe sets what it does not.

    Args:
        argv: list of str, None for that of this process.
        recipe: name of the recipe where the command line names none.
    """
    argv = sys.argv[1:] if argv is None else argv
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--recipe", default=recipe)
    recipe = first.parse_known_args(argv)[0].recipe
    p = parser()
    p.set_defaults(recipe=recipe, chosen="")
    if recipe is not None:
        recipes.apply(p, recipes.load(recipe))
    a = p.parse_args(argv)
    if a.precision == "auto":
        # From here on it is what was chosen, in settings, rows and where the training goes on.
        a.precision, why = precision.fastest()
        a.chosen = f"precision {a.precision}, since {why}"
    return a


def settings_of(a, name, tag):
    """What a training is asked for: the content of its settings.json.

    Args:
        a: what `arguments` gives.
        name: the network's name in the zoo.
        tag: the data set's tag.
    """
    settings = {key: value for key, value in vars(a).items() if key not in NOT_SETTINGS}
    settings |= {"name": name, "tag": tag}
    augment = data.parse_augment(a.augment, a.dataset)
    settings["augment"] = ",".join(augment)
    settings["averaged"] = averaged(a)
    # Only of what random crops are cut out depends on it.
    settings["stream"] = a.stream and "resized_crop" in augment
    drawn = steps.parse(a.steps)
    settings["model_arguments"] = overrides_of(None if drawn else a.steps, a.model_arguments)
    settings["steps"] = a.steps if drawn else None
    settings["backend"] = keras.backend.backend()
    if a.weights is not None:
        settings["weights"] = digest_of(a.weights)
    if a.teacher and Path(a.teacher).is_dir():
        settings["teacher"] = digest_of(Path(a.teacher) / "metrics.json")
    elif a.teacher:
        # A name of the zoo stays the form that it is; its weights may be renewed.
        file = sources.weights_file(a.teacher.partition(".")[0], tag)
        settings["teacher_weights"] = sources.listed_files().get(file, {}).get("sha256")
    if in_depth.of_file(a.name):
        settings["original"] = digest_of(a.name)
    elif in_depth.asked(a) and a.weights is None:
        file = sources.weights_file(name, tag)
        settings["original"] = sources.listed_files().get(file, {}).get("sha256")
    return Settings.of(settings).recorded()


def averaged(a):
    """What `training.data.averaged` says of the images of a training."""
    if data.is_folder(a.dataset, a.data_dir):
        return 1  # Photographs have all sorts of sizes.
    asked = overrides_of(None, a.model_arguments)
    return data.averaged(a.dataset, asked.get("input_shape"))


def reading(preprocess, a):
    """How images are brought to the size of a network, a `training.data.Resizing`."""
    if averaged(a) > 1:
        return data.Resizing(preprocess.size, interpolation="mean")
    return data.Resizing.of(preprocess)


def digest_of(path):
    """What a file is recorded as: not its place but its SHA-256."""
    try:
        return f"sha256:{files.digest(path)}"
    except OSError as error:
        raise UserError(f"the file {path} cannot be read ({error.strerror}).") from None


def check(a):
    """Raises a UserError for a number out of its range."""
    rules = {
        "epochs": (a.epochs >= 1, "at least 1"),
        "batch-size": (a.batch_size >= 1, "at least 1"),
        "groups": (1 <= a.groups <= max(1, a.batch_size), "from 1 to the batch size"),
        "learning-rate": (0 < a.learning_rate < float("inf"), "above 0"),
        "momentum": (0 <= a.momentum < 1, "from 0 to below 1"),
        "epsilon": (0 < a.epsilon < float("inf"), "above 0"),
        "steps-per-execution": (a.steps_per_execution >= 1, "at least 1"),
        "precise-bn": (a.precise_bn >= 0, "at least 0"),
        "curvature": (a.curvature == 0 or a.curvature >= 2, "0 or at least 2"),
        "accumulate": (a.accumulate >= 1, "at least 1"),
        "cutmix": (0 <= a.cutmix <= 1, "from 0 to 1"),
        "randaugment": (0 <= a.randaugment <= 10, "from 0 to 10"),
        "erasing": (0 <= a.erasing <= 1, "from 0 to 1"),
        "clip-norm": (0 <= a.clip_norm < float("inf"), "at least 0"),
        "ema": (0 <= a.ema < 1, "from 0 to below 1"),
        "backprop-steps": (a.backprop_steps is None or a.backprop_steps >= 1, "at least 1"),
        "deep-supervision": (0 <= a.deep_supervision < float("inf"), "at least 0"),
        "distillation": (0 <= a.distillation <= 1, "from 0 to 1"),
        "features": (0 <= a.features < float("inf"), "at least 0"),
        "temperature": (0 < a.temperature < float("inf"), "above 0"),
        "weight-decay": (0 <= a.weight_decay < float("inf"), "at least 0"),
        "warmup-epochs": (0 <= a.warmup_epochs <= a.epochs, "from 0 to the number of epochs"),
        "cooldown-epochs": (
            0 <= a.cooldown_epochs <= a.epochs - a.warmup_epochs,
            "from 0 to the epochs after the warm-up",
        ),
        "label-smoothing": (0 <= a.label_smoothing < 1, "from 0 to below 1"),
        "mixup": (0 <= a.mixup < float("inf"), "at least 0"),
        "rubbish": (a.rubbish is None or 0 <= a.rubbish < float("inf"), "at least 0"),
        "seed": (0 <= a.seed < 2**32, "from 0 to 2**32 - 1"),
    }
    for option, (fine, allowed) in rules.items():
        if not fine:
            value = getattr(a, option.replace("-", "_"))
            raise UserError(f"--{option} must be {allowed}, found {value}.")
    if a.rubbish is not None and a.label_smoothing:
        raise UserError(
            f"--rubbish takes no smoothed labels: give --label-smoothing 0, found "
            f"{a.label_smoothing}."
        )
    if a.momentum and a.optimizer != "sgd":
        raise UserError(f"--momentum is for --optimizer sgd, found {a.optimizer}.")
    lacking = [name for name in ("tensorflow", "tensorboard") if not importlib.util.find_spec(name)]
    if a.tensorboard and lacking:
        raise UserError(
            f"--tensorboard needs {' and '.join(lacking)}, which is not installed: install it, or "
            "leave the option out, since log.csv has the same numbers."
        )
    in_depth.parse(a)
    cv_augment.check((a.augment or "").split(","))
    if by_layers(a) and a.mixup > 1:
        raise UserError(f"--mixup of Keras' layers must be from 0 to 1, found {a.mixup}.")


def by_layers(a):
    """Whether Keras' layers augment, see `training.data.layer_augment`."""
    by_cv = any(name in (a.augment or "") for name in cv_augment.LAYERS)
    return bool(a.cutmix or a.randaugment or a.erasing or by_cv)
