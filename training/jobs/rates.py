"""How long a training will take: from multiply-adds, images, epochs and a rate.

The rate, multiply-adds of forward passes a second while training, is the first of these that is
known: that of this very row, as its epochs now running tell; of rows of its family now running;
the one that was given; what `zoo/logs` tells of the same hardware and backend; a guess.
"""

import hashlib
import json
import re
import statistics

import keras

from keras_recres import zoo
from keras_recres.models import multiply_adds
from keras_recres.zoo import registry, sources
from training.files import write_aside
from training.fit import steps
from training.fit.run_folder import read_log
from training.ledger import filed_runs, filing, recording
from training.provenance import hardware

# Nobody measured these: multiply-adds a second of one training, and seconds that an image costs
# whatever the network is. Too high rather than too low: what is worth most is begun first then, and
# its first epoch tells.
GUESS = {"accelerator": (5e12, 1e-4), "processor": (4e9, 0.0)}
# Evaluating costs a third of training an image, and the test sets have about a fifth as many.
EVALUATION = 1.07
# Imports, reading and decoding the data, compiling.
STARTUP = 40.0
FILE = "multiply_adds.json"
# Which training a row of results is of.
KEY = ("name", "tag", *recording.ORIGIN)


class Rates:
    """Estimates, which get better while trainings run.

    Args:
        out: the folder that keeps counted multiply-adds, `FILE`, from one call to the next.
        given: multiply-adds a second, None if nobody knows.
        here: this machine's hardware, None to look.
    """

    def __init__(self, out, given=None, here=None):
        self.file, self.given = out / FILE, given
        self.here = hardware() if here is None else here
        self.known = self._read()
        self.live, self.families = {}, {}
        self._filed = None

    @property
    def on_accelerator(self):
        """Whether this is an accelerator; a processor's name ends in its number of cores."""
        return re.search(r", \d+ cores?$", self.here) is None

    def multiply_adds(self, row, count=None):
        """Multiply-adds of one image; builds the network where they are not known.

        Args:
            row: a `training.jobs.pending_rows.Row`.
            count: steps of its recurrent blocks, None for what the zoo builds.
        """
        key = f"{row.label} {_digest(row)}" + (f" steps={count}" if count else "")
        if key not in self.known:
            # A row on a data set that the config has no tag for is built from the data.
            tag = row.tag if row.tag in zoo.info(row.name).tags else None
            changed = {"steps": count} if count else {}
            self.known[key] = multiply_adds(zoo.build(row.name, tag=tag, **changed)).total
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_aside(self.file, json.dumps(self.known, indent=2) + "\n")
        return self.known[key]

    def learn(self, training, epoch, images_per_second):
        """Takes what an epoch of a training, counted from 0, has measured."""
        row = training.row
        a = training.arguments_of_fit()
        self.live[row.label] = self._work(row, a, epoch) * images_per_second
        self.families.setdefault(_family(row), {})[row.label] = self.live[row.label]

    def seconds(self, training):
        """Estimated seconds until a training's end; its whole epochs are done already.

        Args:
            training: a `training.jobs.pending_trainings.Training`.
        """
        done, epochs = training.epochs
        if done >= epochs:
            return 0.0
        row, a = training.row, training.arguments_of_fit()
        images = (row.place.images if row.place else None) or 50_000
        images = min(images, a.limit) if a.limit else images
        rate, image = self._rate(row), 0.0
        if rate is None:
            rate, image = GUESS["accelerator" if self.on_accelerator else "processor"]
        an_image = sum(self._work(row, a, e) / rate + image for e in range(done, epochs))
        return STARTUP + EVALUATION * images * an_image

    def is_guess(self, row):
        """Whether an estimate for a row has no measured or given rate in it."""
        return self._rate(row) is None

    def _work(self, row, a, epoch):
        """Multiply-adds of one image in an epoch, which may draw its steps."""
        drawn = steps.parse(a.steps)
        if drawn is None:
            return self.multiply_adds(row)
        once, twice = (self.multiply_adds(row, count) for count in (1, 2))
        return once + (drawn.average(epoch, a.epochs) - 1) * (twice - once)

    def _rate(self, row):
        if row.label in self.live:
            return self.live[row.label]
        family = _family(row)
        if family in self.families:
            return statistics.median(self.families[family].values())
        if self.given:
            return self.given
        if self._filed is None:
            self._filed = self._read_filed()
        rates = self._filed.get(family) or [r for found in self._filed.values() for r in found]
        return statistics.median(rates) if rates else None

    def _read(self):
        try:
            return json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _read_filed(self):
        """{family: rates} of the trainings that were filed from here."""
        here, backend, found = self.here, keras.backend.backend(), {}
        # Their epochs had other multiply-adds than the network has.
        drawn = [
            {**run["settings"], **{key: run[key] for key in recording.ORIGIN}}
            for run in filed_runs.read()
            if steps.parse(run["settings"].get("steps"))
        ]
        for row in filing.read_results():
            if any(all(row[k] == run[k] for k in KEY) for run in drawn):
                continue
            log = sources.data_folder() / "logs" / f"{row['name']}.{row['tag']}.csv"
            if (row["hardware"], row["backend"]) != (here, backend) or not log.exists():
                continue
            speeds = [r["images_per_second"] for r in read_log(log) if "images_per_second" in r]
            if speeds and row["multiply_adds"]:
                rate = int(row["multiply_adds"]) * statistics.median(speeds)
                found.setdefault(zoo.info(row["name"]).family, []).append(rate)
        return found


def _family(row):
    return zoo.info(row.name).family


def _digest(row):
    config = json.dumps(registry.config_of(row.name), sort_keys=True)
    return hashlib.sha256(config.encode()).hexdigest()[:12]
