"""What a training leaves behind: weights, metrics, picture, and a line about them."""

import dataclasses
import datetime
import json
import math

from keras_recres.zoo import drawing
from training.errors import UserError
from training.files import write_aside
from training.fit.models import save_model, save_weights
from training.fit.run_folder import BEGIN_ANEW


def finish(model, settings, extra, origin, folder, chief=True):
    """Saves weights, metrics and picture, then removes the backup.

    Args:
        model: the trained network.
        settings: what was asked for.
        extra: more for metrics.json.
        origin: `provenance()` of this process' start: the code may have changed since.
        folder: the training's `RunFolder`.
        chief: whether this is the first process; of the others, whose folders are thrown away, the
            weights are all that is asked.

    Raises:
        UserError: the log has not all epochs.
    """
    save_weights(model, folder.weights)
    if not chief:
        return
    if settings.get("deepen") or settings.get("fold"):
        # No name of the zoo's builds it.
        save_model(model, folder.model)
    rows = folder.rows()
    if len(rows) != settings["epochs"]:
        raise UserError(
            f"{folder.log} has {len(rows)} of {settings['epochs']} epochs, so that nothing can be "
            f"said of the training: {BEGIN_ANEW}."
        )
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
        **origin,
        "date": datetime.date.today().isoformat(),
        "settings": settings,
    }
    drawing.draw(rows, folder.curve, f"{settings['name']} on {settings['tag']}")
    write_aside(folder.metrics, json.dumps(metrics, indent=2) + "\n")
    folder.remove_backup()


def summarize(folder):
    """Prints the result in one line."""
    m = json.loads(folder.metrics.read_text(encoding="utf-8"))
    epochs = "1 epoch" if m["epochs"] == 1 else f"{m['epochs']} epochs"
    print(
        f"{m['settings']['name']}.{m['settings']['tag']}: {m['val_accuracy']:.2%} after "
        f"{epochs} (best {m['best_val_accuracy']:.2%} after {m['best_epoch']}), "
        f"{m['seconds']:,.0f} s, {m['images_per_second']:,.0f} examples/s on {m['backend']}; "
        f"in {folder.path}"
    )
