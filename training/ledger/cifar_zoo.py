"""Files finished CIFAR-10 networks in the zoo."""

from training.errors import UserError
from training.fit.watchers import EXACT as EXACT_PART
from training.ledger import recording
from training.ledger.filing import write_result
from training.ledger.summary import BEST, EXACT, summarize


def file(runs):
    """Files every network that has a finished training, with all of its finished seeds.

    The weights are those of the seed with the lowest loss on the training set, see
    `training.ledger.recording.record`. Beside the accuracy after the last epoch, `zoo/results.csv`
    gets that of the best epoch, which is what the paper printed, and that on the exact part of the
    test set.

    Args:
        runs: list of `training.jobs.many_runs.Run`; all of a network's must be given.

    Returns:
        The rows of results, a list of dicts.

    Raises:
        UserError: nothing is finished, or it was a trial with a limit on the images.
    """
    rows = []
    for summary in summarize(runs):
        finished = [run for run in runs if run.label == summary.label and run.metrics]
        if not finished:
            continue
        settings = finished[0].metrics["settings"]
        if settings["limit"] is not None:
            raise UserError(
                f"{finished[0].path} was a trial with {settings['limit']:,} images: only whole "
                "trainings are filed."
            )
        one_thread = all(m.get("threads") == "1" for m in summary.metrics.values())
        rows += _file(summary, [run.path for run in finished], "one thread" if one_thread else "")
    if not rows:
        raise UserError("no training is finished: nothing is filed.")
    return rows


def _file(summary, paths, note):
    last = recording.record(paths, note)
    best = {
        **last,
        **_values(summary, BEST),
        "metric": f"best_of_{last['epochs']}_top1_percent",
        "note": last["note"].replace("last epoch", "best epoch, chosen on the test set", 1),
    }
    rows = [last, best]
    if len(summary.values(EXACT)) == len(summary.metrics):
        # The paper printed nothing for this part.
        exact = {"dataset": EXACT_PART, "printed": "", "printed_dataset": ""}
        images = next(iter(summary.metrics.values()))["exact_images"]
        note = f"the {images:,} test images whose original pixels are there; trained on "
        note += f"{last['tag']}; {last['note'].partition('; ')[2]}"
        rows.append({**last, **_values(summary, EXACT), **exact, "split": "test", "note": note})
    for row in rows[1:]:
        write_result(row)
    return rows


def _values(summary, key):
    spread = summary.spread(key)
    return {
        "value": f"{summary.mean(key):.2f}",
        "std": "" if spread is None else f"{spread:.2f}",
    }
