"""Trains one model of the zoo on one image data set with Keras' own ``fit``.

    python -m training.fit vit3_rec --dataset tiny_imagenet80 --data-dir DIR --epochs 10
    python -m training.fit vit3_rec --recipe tiny_imagenet80_vit --data-dir DIR

A recipe, a file of training/recipes/, sets the options that the command line does not.

AdamW (arXiv 1711.05101) with linear warm-up and a cosine to a hundredth of the learning rate, or
a constant rate; without weight decay it is Adam (arXiv 1412.6980); or plain SGD. Cross-entropy
with label smoothing (the losses in the log contain the smoothing). Runs on the backend that
KERAS_BACKEND names. A run that was interrupted goes on when the same command is given again.
Training drops an epoch's last, smaller batch unless told to keep it; evaluation keeps all images.
"""

import argparse
import dataclasses
import datetime
import json
import math
import os
import signal
import sys
import threading
from pathlib import Path

import keras

from training import backup, callbacks, curves, data, errors, recipes
from training.errors import UserError
from training.models import (
    OPTIMIZERS,
    SCHEDULES,
    build,
    compile_model,
    overrides_of,
    record_of,
    save_weights,
)
from training.provenance import provenance
from training.run_folder import RunFolder, write_aside

# What does not change a result is not compared when a run goes on.
NOT_SETTINGS = ("data_dir", "out", "resume", "steps_per_execution", "recipe", "end_with_parent")


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.fit",
        description="Train a model of the zoo on an image data set, on any Keras backend.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.fit vit3_rec --dataset tiny_imagenet80 --data-dir DIR --epochs 10\n"
        "  KERAS_BACKEND=jax python -m training.fit vit3 --dataset mnist --limit 5000 --epochs 2\n"
        "  python -m training.fit vit3 --dataset cifar10 --data-dir FILE.npz --augment flip,crop\n"
        "  python -m training.fit vit3_rec --dataset cifar10 --steps 4 --model-arguments "
        "drop_path=0.2\n"
        "  python -m training.fit cifar_medium --recipe cifar_tables --data-dir DIR\n\n"
        "Give the same command again after an interruption: it goes on at the last whole epoch.",
    )
    p.add_argument("name", help="a name of the zoo, see `keras_recres.zoo.list()`")
    p.add_argument("--recipe", help=f"sets what is not given: {', '.join(recipes.available())}")
    p.add_argument(
        "--dataset", required=True, help=f"{', '.join(data.DATA_SETS)}, or what TFDS has"
    )
    p.add_argument("--data-dir", help="folder with NAME/VERSION, or a packed .npz file")
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument(
        "--optimizer", choices=OPTIMIZERS, default="adamw", help="adamw (default), or plain sgd"
    )
    p.add_argument("--learning-rate", type=float, default=1e-3, help="peak (default 1e-3)")
    p.add_argument("--weight-decay", type=float, default=0.05, help="of kernels (default 0.05)")
    p.add_argument("--warmup-epochs", type=float, default=1.0)
    p.add_argument("--schedule", choices=SCHEDULES, default="cosine", help="of the learning rate")
    p.add_argument("--epsilon", type=float, default=1e-7, help="of Adam and AdamW (default 1e-7)")
    p.add_argument("--label-smoothing", type=float, default=0.1, help="0 to below 1")
    p.add_argument(
        "--keep-last",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="train on the smaller batch, too",
    )
    p.add_argument("--augment", default="", help="flip,crop,erase: any of them; default none")
    p.add_argument("--mixup", type=float, default=0.0, help="beta parameter, 0 for none")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    p.add_argument("--limit", type=int, help="train on the first so many images only")
    p.add_argument("--eval-limit", type=int, help="evaluate on the first so many images only")
    p.add_argument("--steps", help="steps of the recurrent blocks, such as 2,4,2 or 4")
    p.add_argument("--model-arguments", nargs="*", default=[], metavar="KEY=VALUE")
    p.add_argument(
        "--steps-per-execution", type=int, default=1, help="steps at once, faster on TensorFlow"
    )
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
    p.set_defaults(recipe=recipe)
    if recipe is not None:
        recipes.apply(p, recipes.load(recipe))
    return p.parse_args(argv)


def settings_of(a, name, tag):
    """What a training is asked for: the content of its settings.json.

    Args:
        a: what `arguments` gives.
        name: the network's name in the zoo.
        tag: the data set's tag.
    """
    settings = {key: value for key, value in vars(a).items() if key not in NOT_SETTINGS}
    settings |= {"name": name, "tag": tag}
    settings["augment"] = ",".join(data.parse_augment(a.augment, a.dataset))
    settings["model_arguments"] = overrides_of(a.steps, a.model_arguments)
    settings["backend"] = keras.backend.backend()
    del settings["steps"]
    if a.optimizer == "adamw":
        del settings["optimizer"]  # Trainings from before there was a choice have none.
    return settings


def check(a):
    """Raises a UserError for a number out of its range."""
    rules = {
        "epochs": (a.epochs >= 1, "at least 1"),
        "batch-size": (a.batch_size >= 1, "at least 1"),
        "learning-rate": (0 < a.learning_rate < float("inf"), "above 0"),
        "epsilon": (0 < a.epsilon < float("inf"), "above 0"),
        "steps-per-execution": (a.steps_per_execution >= 1, "at least 1"),
        "weight-decay": (0 <= a.weight_decay < float("inf"), "at least 0"),
        "warmup-epochs": (0 <= a.warmup_epochs <= a.epochs, "from 0 to the number of epochs"),
        "label-smoothing": (0 <= a.label_smoothing < 1, "from 0 to below 1"),
        "mixup": (0 <= a.mixup < float("inf"), "at least 0"),
        "seed": (0 <= a.seed < 2**32, "from 0 to 2**32 - 1"),
    }
    for option, (fine, allowed) in rules.items():
        if not fine:
            value = getattr(a, option.replace("-", "_"))
            raise UserError(f"--{option} must be {allowed}, found {value}.")


def main(argv=None):
    """The command line."""
    run(arguments(argv))


def run(a, measure=None, more_callbacks=()):
    """Trains as the command line asks, or goes on with it; a finished training is only told.

    Args:
        a: what `arguments` makes of a command line.
        measure: function of the trained model and the training images, an `Images` record; the
            dict that it returns becomes a part of metrics.json.
        more_callbacks: Keras callbacks that watch the training.
    """
    check(a)
    if a.end_with_parent:
        _end_with_parent()
    augment = data.parse_augment(a.augment, a.dataset)
    keras.utils.set_random_seed(a.seed)
    record_of(a.name)  # A mistyped name is told before any data is looked for.
    peek = data.load(a.dataset, "train", a.data_dir, limit=1)
    asked = overrides_of(a.steps, a.model_arguments)
    model, overrides = build(a.name, peek, asked, a.precision)
    settings = settings_of(a, model.zoo_record.name, peek.tag)
    out = a.out or Path("runs") / f"{settings['name']}.{a.dataset}.{a.seed}"
    folder = RunFolder(out, settings, a.resume)
    if not folder.finished:
        train_data, images = train(model, a, augment, folder, more_callbacks)
        more = measure(model, train_data) if measure else {}
        more |= {"recipe": a.recipe or ""}
        finish(model, settings, {"overrides": overrides, **images, **more}, folder)
    summarize(folder)


def train(model, a, augment, folder, more_callbacks=()):
    """Runs ``fit``; returns the training images, and how many of which split it saw."""
    p = model.preprocess
    how = {"crop": p.crop, "interpolation": p.interpolation, "progress": True}
    size = model.input_shape[1:3]
    train_data = data.load(a.dataset, "train", a.data_dir, size, a.limit, **how)
    test_data = data.load(a.dataset, "evaluation", a.data_dir, size, a.eval_limit, **how)
    batches = data.Batches(
        train_data,
        a.batch_size,
        p,
        True,
        augment,
        a.mixup,
        a.seed,
        one_hot=True,
        keep_last=a.keep_last,
    )
    test_batches = data.Batches(test_data, a.batch_size, p, one_hot=True)
    compile_model(
        model,
        a.epochs * len(batches),
        round(a.warmup_epochs * len(batches)),
        a.learning_rate,
        a.weight_decay,
        a.label_smoothing,
        optimizer=a.optimizer,
        schedule=a.schedule,
        epsilon=a.epsilon,
        steps_per_execution=a.steps_per_execution,
    )
    progress = callbacks.Progress(a.epochs, len(batches), a.batch_size)
    done = backup.restore(model, folder.backup)
    print(
        f"{folder.weights.name.removesuffix('.weights.h5')}: {model.count_params():,} parameters, "
        f"{len(train_data):,} {train_data.split} and {len(test_data):,} {test_data.split} images, "
        f"{a.epochs} epochs{f', {done} done before' if done else ''}",
        file=sys.stderr,
    )

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)  # `kill` ends it as Ctrl-C does.
    try:
        model.fit(
            batches,
            validation_data=test_batches,
            initial_epoch=done,
            epochs=a.epochs,
            verbose=0,
            shuffle=False,  # The batches are; Keras would draw their order from a global state.
            callbacks=[
                callbacks.Epochs(batches),
                callbacks.StopAtNaN(),
                callbacks.Timing(batches.num_images),
                progress,
                *more_callbacks,
                keras.callbacks.CSVLogger(str(folder.log), append=True),
                backup.Backup(folder.backup),
            ],
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{folder.epochs_done} of {a.epochs} epochs are kept in {folder.path}, the same "
            "command goes on from there"
        ) from None
    finally:
        progress.close()
        signal.signal(signal.SIGTERM, before)
    cut = f"[:{len(test_data)}]" if len(test_data) == a.eval_limit else ""
    return train_data, {
        "train_images": len(train_data),
        "eval_images": len(test_data),
        "split": test_data.split + cut,
    }


def finish(model, settings, extra, folder):
    """Saves weights, metrics and picture, then removes the backup."""
    rows = folder.rows()
    save_weights(model, folder.weights)
    best = max(rows, key=lambda row: row["val_accuracy"])
    metrics = {
        "val_accuracy": rows[-1]["val_accuracy"],
        "val_loss": rows[-1]["val_loss"],
        "best_val_accuracy": best["val_accuracy"],
        "best_epoch": int(best["epoch"]) + 1,
        "train_accuracy": rows[-1]["accuracy"],
        "train_loss": rows[-1]["loss"],
        "epochs": len(rows),
        "seconds": sum(row["seconds"] for row in rows),
        "images_per_second": len(rows) / sum(1 / row["images_per_second"] for row in rows),
        "parameters": model.count_params(),
        "trainable_parameters": sum(math.prod(v.shape) for v in model.trainable_variables),
        "preprocessing": dataclasses.asdict(model.preprocess),
        **extra,
        **provenance(),
        "date": datetime.date.today().isoformat(),
        "settings": settings,
    }
    curves.draw(rows, folder.curve, f"{settings['name']} on {settings['tag']}")
    write_aside(folder.metrics, json.dumps(metrics, indent=2) + "\n")
    folder.remove_backup()


def _end_with_parent():
    """Ends this process in order when its standard input closes: its parent is no more."""

    def wait():
        while os.read(0, 1):  # Reading sys.stdin would hold its lock when this process ends.
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def summarize(folder):
    """Prints the result in one line."""
    m = json.loads(folder.metrics.read_text(encoding="utf-8"))
    print(
        f"{m['settings']['name']}.{m['settings']['tag']}: {m['val_accuracy']:.2%} after "
        f"{m['epochs']} epochs (best {m['best_val_accuracy']:.2%} after {m['best_epoch']}), "
        f"{m['seconds']:,.0f} s, {m['images_per_second']:,.0f} images/s on {m['backend']}; "
        f"in {folder.path}"
    )


if __name__ == "__main__":
    sys.exit(errors.run(main))
