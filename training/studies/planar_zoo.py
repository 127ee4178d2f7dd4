"""Files the planar networks in the zoo."""

import datetime

import numpy as np

from keras_recres import zoo
from training.ledger.filing import facts, file_weights, write_result
from training.provenance import provenance

TAG = "spiral"


def file(results, x, steps):
    """Files the seed of median loss of each network, and the mean over all seeds.

    Args:
        results: A `Result` a network, of the default setting.
        x: Points, (points, 2); some of them become the golden inputs.
        steps: Optimiser steps of the training.
    """
    source = provenance()
    for result in results:
        name = result.network.name
        model = zoo.build(name, tag=TAG)
        model.set_weights(result.model(result.median_seed).get_weights())
        file_weights(model, name, TAG, inputs=x[:: len(x) // 16])
        write_result(
            {
                "name": name,
                "tag": TAG,
                "dataset": TAG,
                "split": "train",
                "metric": "accuracy_percent",
                "value": f"{100 * result.accuracy.mean():.1f}",
                "std": f"{100 * result.accuracy.std():.1f}",
                "seeds": len(result.accuracy),
                **facts(name, TAG),
                "printed_dataset": "the paper's points, not published",
                "epochs": steps,
                "budget": f"{steps} full-batch steps",
                "backend": source["backend"],
                "hardware": source["hardware"],
                "commit": source["commit"],
                "date": datetime.date.today().isoformat(),
                "note": f"two arms, 200 points; median {100 * np.median(result.accuracy):.1f} %; "
                "weights of the seed of median loss",
            }
        )
