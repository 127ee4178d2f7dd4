"""Trains one model of the zoo on one image data set with Keras' own ``fit``.

    python -m training.fit vit3_rec --recipe cifar10_vit --data-dir DIR
    python -m training.fit vit3_rec --recipe tiny_imagenet80_vit --data-dir DIR

A recipe, a file of training/recipes/, sets the options that the command line does not.

It is Keras' own `fit` with: resume (backup.py), options and what is recorded of them
(options.py), optimizer (optimizers.py), augmentation (training/data), what recurrent
networks can ask for (steps.py, trainee.py, teacher.py), statistics (precise_bn.py) and what is left
behind (outcome.py).

AdamW (arXiv 1711.05101) with linear warm-up and a cosine to a hundredth of the learning rate, or
a constant rate; without weight decay it is Adam (arXiv 1412.6980); or SGD. Cross-entropy
with label smoothing (the losses in the log contain the smoothing). Runs on the backend that
KERAS_BACKEND names. A run that was interrupted goes on when the same command is given again.
Training drops an epoch's last, smaller batch unless told to keep it; evaluation keeps all images.
"""

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

import keras

from keras_recres.models.families import family_of
from keras_recres.models.norms import norms_of
from keras_recres.probes import CurvatureCallback, curves
from training import data, recipes
from training.data import cv_augment
from training.data.layer_augment import LayerAugment
from training.errors import UserError
from training.fit import backup, callbacks, in_depth, optimizers, steps, strategy, teacher, trainee
from training.fit.models import accuracy, build, compile_model, overrides_of, record_of
from training.fit.options import arguments, averaged, by_layers, check, reading, settings_of
from training.fit.outcome import finish, summarize
from training.fit.precise_bn import PreciseBN
from training.fit.precision import subnormals_are_zero
from training.provenance import provenance


def main(argv=None):
    """The command line."""
    run(arguments(argv))


def run(a):
    """Trains as the command line asks, or goes on with it; a finished training is only told.

    Args:
        a: what `arguments` makes of a command line.
    """
    check(a)
    watchers = recipes.callbacks(a.recipe)
    if a.end_with_parent:
        _end_with_parent()
    augment = data.parse_augment(a.augment, a.dataset)
    keras.utils.set_random_seed(a.seed)
    if not in_depth.of_file(a.name):
        record_of(a.name)  # A mistyped name is told before any data is looked for.
    with strategy.scope(a.strategy, a.batch_size, a.resume) as devices:
        run_on(devices, a, augment, watchers)


def run_on(devices, a, augment, watchers):
    """`run` on these `keras_recres.distribute.Devices`, watched by these classes."""
    for option, value in (("precise-bn", a.precise_bn), ("curvature", a.curvature)):
        if value and devices.replicas > 1:
            raise UserError(f"--{option} is for one device.")
    if a.accumulate > 1 and devices.replicas > 1 and keras.backend.backend() == "tensorflow":
        # Keras updates within a condition, where TensorFlow's replicas cannot sum gradients.
        raise UserError("--accumulate is for one device on TensorFlow; on JAX it is for several.")
    peek = data.load(a.dataset, "train", a.data_dir, limit=1)
    asked = overrides_of(None if steps.parse(a.steps) else a.steps, a.model_arguments)
    own = data.is_folder(a.dataset, a.data_dir)
    if own and not in_depth.asked(a):
        # Photographs have all sorts of sizes: the network keeps the one of its paper.
        asked.setdefault("input_shape", record_of(a.name).arguments_of()["input_shape"])
    made_of, pairs = None, ()
    if in_depth.asked(a):
        made_of, overrides = in_depth.original(a, peek, asked), {}
        model, pairs = in_depth.remade(a, made_of, peek)
    else:
        model, overrides = build(a.name, peek, asked, a.precision)
    name = model.zoo_record.name if hasattr(model, "zoo_record") else Path(a.name).stem
    settings = settings_of(a, name, peek.tag)
    called = peek.tag if own else a.dataset
    out = a.out or Path("runs") / f"{settings['name']}.{called}.{a.seed}"
    for needed in filter(None, (a.weights, a.teacher)):
        if not a.resume and Path(needed).resolve().is_relative_to(out.resolve()):
            raise UserError(f"--no-resume could remove {needed}: move it, or give another --out.")
    with strategy.folder(out, settings, a.resume, devices) as folder:
        if not folder.finished:
            origin = provenance()
            if a.weights and not made_of:
                advice = f"--weights takes those of {a.name} as it is asked for"
                backup.load(model, a.weights, advice)
            trained = prepare(model, overrides, a, peek, made_of, pairs)
            trained = strategy.prepare(devices, trained)
            watchers = [watcher(a, folder) for watcher in watchers]
            train_data, images = train(model, trained, a, augment, folder, devices, watchers)
            # Of several outputs only what trained them knows the one to measure.
            judged = model if len(model.outputs) == 1 else trained
            more = {"recipe": a.recipe or ""}
            for watcher in watchers:
                more |= watcher.measure(judged, train_data)
            extra = {"overrides": overrides, **images, **more}
            finish(model, settings, extra, origin, folder, devices.chief)
        if devices.chief:
            folder.remove_backup()  # Of one that was killed after its end.
            summarize(folder)


def prepare(model, overrides, a, peek, made_of=None, pairs=()):
    """What `fit` trains: the model itself, or what trains its recurrence or outputs otherwise."""
    drawn = steps.parse(a.steps)
    auxiliary = ()
    if len(model.outputs) > 1:
        record = model.zoo_record
        arguments = {**record.arguments_of(model.zoo_tag), **overrides}
        auxiliary = family_of(record.builder).auxiliary(arguments)
        if a.deep_supervision:
            raise UserError(
                f"--deep-supervision is for networks with one output, but {a.name} has "
                f"{len(model.outputs)}."
            )
    asked = drawn or a.deep_supervision or a.backprop_steps
    if asked and not trainee.recurrent_blocks(model):
        raise UserError(
            f"{a.name} has no recurrent blocks, which --backprop-steps, --deep-supervision and "
            f"--steps such as {steps.EXAMPLES} are for."
        )
    partly = a.backprop_steps or (drawn and drawn.kind == "incremental")
    partly = partly or any(b.own_per_step for b in trainee.recurrent_blocks(model))
    if a.accumulate > 1 and drawn and partly and keras.backend.backend() != "jax":
        # Keras resets all of what it collected, also of weights that the last batch left out.
        raise UserError(
            "--accumulate with drawn --steps, of which some leave weights without a gradient "
            "(--backprop-steps, or a network with weights of every step's own), is for JAX."
        )
    if a.precise_bn and not norms_of(model):
        raise UserError(f"{a.name} has no batch normalization, which --precise-bn is for.")
    if a.backprop_steps:
        trainee.truncate(model, a.backprop_steps, drawn.fewest if drawn else None)
    taught = made_of if a.distillation else None
    features = (a.features, made_of, pairs) if pairs and a.features else None
    if not (drawn or a.deep_supervision or a.teacher or auxiliary or taught or features):
        return model
    if a.curvature:
        raise UserError(
            "--curvature is for a network that is trained as it is: not with a teacher, several "
            "outputs, --deep-supervision or drawn --steps."
        )
    if a.teacher:
        taught = teacher.load(a.teacher, peek, model, a.precision)
    followed = (taught, a.distillation, a.temperature) if taught else None
    how = (a.deep_supervision, followed, auxiliary, features)
    return trainee.Trainee(model, drawn, a.seed, a.epochs, *how)


def train(model, trained, a, augment, folder, devices, watching=()):
    """Runs ``fit`` on what `prepare` gives for a model, made in the scope of these devices.

    It is watched by these, list of `training.fit.watchers.Watcher`.

    Returns:
        The training images, and how many of which split it saw.
    """
    p = model.preprocess
    train_data, test_data = _read(p, a)
    strategy.check_images(len(train_data) if a.keep_last else None, len(test_data), devices)
    batches = _augmented(train_data, p, a, augment)
    test_batches = data.Batches(test_data, a.batch_size, p, one_hot=True)
    _compile(trained, a, len(batches), devices, watching)
    folder.begin()
    progress = callbacks.Progress(a.epochs, len(batches), a.batch_size)
    strategy.check_start(folder.epochs_done, devices)
    done = backup.restore(trained, folder.backup)
    small = averaged(a)
    means = f", each pixel the mean of {small} x {small}" if small > 1 else ""
    shared = f", {devices.kind} on {devices.replicas} devices" if devices.replicas > 1 else ""
    print(
        f"{folder.weights.name.removesuffix('.weights.h5')}: {model.count_params():,} parameters, "
        f"{len(train_data):,} {train_data.split} and {len(test_data):,} {test_data.split} "
        f"examples{means}, {a.epochs} epochs{f', {done} done before' if done else ''}{shared}"
        f"{a.chosen and f', {a.chosen}'}",
        file=sys.stderr,
    )
    with _interrupted_by_kill(), subnormals_are_zero(), contextlib.ExitStack() as stack:
        for part in (test_batches, batches, progress):
            stack.callback(part.close)
        watchers = [keras.callbacks.SwapEMAWeights()] if a.ema else []
        watchers += [
            callbacks.Epochs(batches, strategy.draws(devices)),
            callbacks.StopAtNaN(len(batches)),
            callbacks.Timing(batches.num_images),
            *([PreciseBN(batches, a.precise_bn)] if a.precise_bn else []),
            *([curvature_of(train_data, p, a.curvature, folder.curvature)] if a.curvature else []),
            *([trainee.EpochOfSteps()] if trained is not model else []),
            *([progress] if devices.chief else []),
            *watching,
            keras.callbacks.CSVLogger(str(folder.log), append=True),
            *([callbacks.tensorboard(folder.path)] if a.tensorboard else []),
            backup.Backup(folder.backup),
        ]
        try:
            trained.fit(
                devices.shard(batches),
                validation_data=devices.shard(test_batches),
                initial_epoch=done,
                epochs=a.epochs,
                verbose=0,
                shuffle=False,  # The batches are; Keras would draw their order from a global state.
                callbacks=watchers,
            )
        except callbacks.NotFiniteError as error:
            kept = backup.keep_last_good(trained, model, folder)
            if not devices.chief:  # Its folder will be gone.
                kept = "what is kept, the first process says"
            raise UserError(f"{error}; {kept}.") from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{folder.epochs_done} of {a.epochs} epochs are kept in {folder.path}, the same "
                "command goes on from there"
            ) from None
        except Exception:
            # The image that cannot be decoded is at fault, whatever TensorFlow makes of it.
            if failed := batches.failed or test_batches.failed:
                raise failed from None
            raise
    if trained is not model and len(model.outputs) == 1:
        model.compile(loss=trained.loss, metrics=[accuracy(model)])
    cut = f"[:{len(test_data)}]" if len(test_data) == a.eval_limit else ""
    return train_data, {
        "train_images": len(train_data),
        "eval_images": len(test_data),
        "split": test_data.split + cut,
    }


def _read(preprocess, a):
    """The images to train on and those to measure on, as a network's preprocessing wants them."""
    how = {"resizing": reading(preprocess, a), "progress": True, "stream": a.stream}
    return (
        data.load(a.dataset, split, a.data_dir, limit, **how)
        for split, limit in (("train", a.limit), ("evaluation", a.eval_limit))
    )


def _augmented(images, preprocess, a, augment):
    """The batches to train on."""
    layers = None
    if by_layers(a):
        more = [name for name in augment if name in cv_augment.LAYERS]
        layers = LayerAugment(a.randaugment, a.erasing, a.mixup, a.cutmix, more)
    return data.Batches(
        images,
        a.batch_size,
        preprocess,
        training=True,
        augment=augment,
        mixup=0.0 if layers else a.mixup,
        seed=a.seed,
        one_hot=True,
        keep_last=a.keep_last,
        layers=layers,
        groups=a.groups,
    )


def _compile(trained, a, batches, devices, watching):
    """Compiles what is trained for so many batches an epoch."""
    steps_each = a.steps_per_execution
    if steps.parse(a.steps) or any(watcher.every_step for watcher in watching):
        steps_each = 1  # Steps are drawn for each execution, whose size is not to change a result.
    total = a.epochs * batches
    rate = optimizers.schedule(
        total - round(a.cooldown_epochs * batches),
        round(a.warmup_epochs * batches),
        a.learning_rate,
        optimizers.SCHEDULES[a.schedule],
    )
    optimizer = optimizers.make(
        trained,
        a.optimizer,
        rate,
        a.weight_decay,
        a.epsilon,
        a.ema,
        a.accumulate,
        a.clip_norm,
        a.momentum,
    )
    compile_model(
        trained, optimizer, a.label_smoothing, a.rubbish, steps_each, devices.replicas > 1
    )
    if a.accumulate > total:
        raise UserError(
            f"--accumulate {a.accumulate} is more than the {total} batches of the "
            "training, which would update no weight."
        )


@contextlib.contextmanager
def _interrupted_by_kill():
    """Inside, `kill` ends a training as Ctrl-C does."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def curvature_of(images, preprocess, points, path):
    """A callback that writes the curvature of every layer, epoch by epoch, also of a continuation.

    Args:
        images: the training images, of which the first thousand tell the ellipse.
        preprocess: the network's preprocessing.
        points: number of θ.
        path: the CSV.
    """
    some = data.Batches(images, min(1000, len(images)), preprocess)[0][0]
    curve = curves.from_dataset(keras.ops.convert_to_numpy(some))
    return CurvatureCallback(curve, path, points=points, logs=False, append=True)


def _end_with_parent():
    """Ends this process in order when its standard input closes: its parent has ended."""

    def wait():
        while os.read(0, 1):  # Reading sys.stdin would hold its lock when this process ends.
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
