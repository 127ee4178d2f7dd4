"""A study: forms that are compared, the columns of its table, its claims and its picture.

A file of this folder declares these; the command line, adopting, training, going on, filing, the
report and the table are `Study`'s own. Its last line is `STUDY = ...()`; its docstring is what
`--help` tells.
"""

import argparse
import csv
import fnmatch
import io
import shlex
import shutil
import sys
from pathlib import Path

from training import recipes
from training.errors import UserError, nearest, output_folder
from training.files import markdown_table, replacing, write_aside, write_between
from training.fit.options import PRECISIONS
from training.jobs import many_runs
from training.ledger import filed_runs
from training.ledger.summary import BEST, FINAL, remarks, summarize
from training.provenance import cores
from training.studies import drawings, tables
from training.studies.effects import method, sentence
from training.studies.forms import Table

AGAIN = "Give the same command again to go on."
# The least that numbers of many studies may be.
LEAST = {"seeds": 1, "epochs": 1, "jobs": 1, "limit": 1}


class Study:
    """What a study is asked for, does and tells; a file of this folder says what is its own.

    Attributes:
        examples: command lines that `--help` shows, without what they begin with.
        recipe: name of the recipe that trains its forms; of several {data set: name}.
        columns: {heading: text of a `Row`}, see `training.studies.forms.columns`.
        note: what the numbers are, if that is to stand below the claims.
        choose: the option that takes wildcards on the forms: "names" of the zoo, or their labels
            by another word; "" if there is none.
        always: labels that these need not name.
        seeds: how many seeds of each form are trained by default.
        epochs: the default of --epochs, None for what the recipe says.
        precision: the default of --precision.
        common: which of the options that `parser` knows it has.
        least: the least that each number may be.
        facts: pairs (column, what it holds of a `Row`) of the CSV; without them there is none.
        accuracies: pairs (beginning of three columns, metric) that the CSV has besides.
        words: how many columns have words, the others numbers.
        width: characters of a line where there is no terminal.
        first_seed: the first seed.
        filed: where in zoo/ its finished trainings are kept.
        endings: those of the picture's files, if it has one.
    """

    examples = ()
    recipe = None
    columns = None
    note = ""
    choose, always = "", ()
    seeds, epochs = 3, None
    precision = "float32"
    common = ("seeds", "epochs", "data-dir", "limit", "precision", "jobs", "report")
    common += ("adopt", "record", "out")
    least = LEAST
    facts = ()
    accuracies = (("last", FINAL), ("best", BEST))
    words, width = 1, 120
    first_seed = 0
    filed = filed_runs.FILE
    endings = (".png",)

    @property
    def name(self):
        """What it is called: its module's name."""
        return type(self).__module__.rpartition(".")[2]

    # What a study declares.

    def options(self, p):
        """Adds the options that it has beside the common ones to a parser."""

    def forms(self, a):
        """All of its forms, a list of `Form`."""
        raise NotImplementedError

    def folder(self, a):
        """Where in --out the folders of its trainings are."""
        return ""

    def title(self, a):
        """The table's title."""
        return self.name

    def claims(self, table, a):
        """Yields its claims: sentences, or pairs of what is compared, in words, and an `Effect`."""
        return ()

    def notes(self, table, a):
        """What the numbers are: sentences that follow the claims, or a str that stands below."""
        said = [method(table.cells), *remarks(row.measured for row in table.values())]
        return " ".join([self.note, *said]) if self.note else said

    def groups(self, table, a):
        """Which rows stand together, {title: list of `Row`}."""
        return {self.title(a): table.values()}

    def heads(self, table):
        """The headings of the columns."""
        return list(self.columns)

    def stem(self, a):
        """What its files are called, without their endings."""
        return self.name

    def picture(self, a):
        """What its picture is called, without its ending."""
        return self.stem(a)

    def draw(self, table, path, a):
        """Draws its picture: by default each seed and the mean, a line a form."""
        drawings.seeds(table, path, self.title(a))

    # What every study does.

    def parser(self):
        """The command line."""
        command = f"python -m training.reproduce {self.name}"
        p = argparse.ArgumentParser(
            prog=command,
            description=sys.modules[type(self).__module__].__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog="\n".join(
                ["examples:", *(f"  {command} {x}" for x in self.examples), "", AGAIN]
            ),
        )
        if isinstance(self.recipe, dict):
            first = next(iter(self.recipe))
            p.add_argument("--dataset", choices=self.recipe, default=first, help=f"default {first}")
        if self.choose:
            told = f"beside {' and '.join(self.always)}: " if self.always else ""
            told = f"{told}wildcards, default all"
            p.add_argument(f"--{self.choose}", nargs="+", default=["*"], metavar="NAME", help=told)
        self.options(p)
        jobs = min(4, cores())
        adopt = f"count the trainings on the data set TAG that zoo/{self.filed} has as done"
        default, told = "default %(default)s", f"default {self.epochs or 'what the recipe says'}"
        known = {
            "seeds": {"type": int, "default": self.seeds, "help": f"of each form ({default})"},
            "epochs": {"type": int, "default": self.epochs, "help": told},
            "data-dir": {"type": Path, "help": "folder with NAME/VERSION, or a packed .npz file"},
            "limit": {"type": int, "help": "only so many images of each split, for a trial"},
            "precision": {"choices": PRECISIONS, "default": self.precision, "help": default},
            "jobs": {"type": int, "default": jobs, "help": "side by side; one a core, at most 4"},
            "report": {"action": "store_true", "help": "train nothing, only tell what is there"},
            "adopt": {"metavar": "TAG", "help": adopt},
            "record": {"action": "store_true", "help": "file finished trainings in zoo/"},
            "out": {"type": Path, "default": Path("runs") / self.name, "help": default},
        }
        for option in self.common:
            p.add_argument(f"--{option}", **known[option])
        told = (
            f"also put table and picture between its lines <!-- {self.name}:begin --> and :end -->"
        )
        p.add_argument("--page", type=Path, metavar="FILE.md", help=told)
        return p

    def parse(self, argv=None):
        """The arguments of a command line, and `command`: what trains all that a report misses.

        Raises:
            UserError: a number is out of its range.
        """
        argv = sys.argv[1:] if argv is None else argv
        p = self.parser()
        a = p.parse_args(argv)
        # Argparse takes the beginning of an option for the option.
        given = [word for word in argv if not (len(word) > 4 and "--report".startswith(word))]
        a.command = shlex.join([*p.prog.split(), *given])
        if "epochs" in self.common and a.epochs is None:
            a.epochs = recipes.load(self.recipe_of(a)).settings["epochs"]
        self.check(a)
        return a

    def recipe_of(self, a):
        """Name of the recipe that `a` asks for."""
        return self.recipe[a.dataset] if isinstance(self.recipe, dict) else self.recipe

    def chosen(self, a):
        """Those of its forms that `a` asks for."""
        if not self.choose:
            return self.forms(a)
        what = "name" if self.choose == "names" else "label"
        known = {getattr(form, what): None for form in self.forms(a)}
        wanted = like((*self.always, *getattr(a, self.choose)), known, self.choose)
        return [form for form in self.forms(a) if getattr(form, what) in wanted]

    def check(self, a):
        """Raises a UserError for an argument out of its range."""
        for option, least in self.least.items():
            value = getattr(a, option.replace("-", "_"), None)
            if value is not None and value < least:
                raise UserError(f"--{option} must be at least {least}, found {value}.")

    def runs(self, a):
        """Its trainings, seed by seed: a part of them is a whole comparison with fewer seeds."""
        return [
            self.run(form, seed, a)
            for seed in range(self.first_seed, self.first_seed + a.seeds)
            for form in self.chosen(a)
            if form.seeds is None or seed < self.first_seed + form.seeds
        ]

    def run(self, form, seed, a):
        """One of its trainings."""
        recipe = self.recipe_of(a)
        folder = form.folder or form.label.replace(", ", "_").replace(" ", "_")
        return many_runs.Run(
            label=form.label,
            name=form.name,
            seed=seed,
            path=a.out / self.folder(a) / folder / str(seed),
            arguments=form.arguments,
            dataset=recipes.load(recipe).dataset,
            recipe=recipe,
            how=form.how,
        )

    def main(self, argv=None):
        """The command line: trains what is missing and tells what is there."""
        a = self.parse(argv)
        if a.out.exists():
            output_folder(a.out)  # Refused before hours of training.
        runs = self.runs(a)
        if getattr(a, "adopt", None):
            print(f"{self.adopt(runs, a)} trainings adopted from zoo/{self.filed}", file=sys.stderr)
        failed = self.report(runs, a) if a.report else self.train(runs, a)
        filed = self.file(runs, a) if getattr(a, "record", False) else []
        self.tell(runs, a)
        for line in filed:
            print(line)
        if failed:
            raise UserError(failed)
        return 0

    def adopt(self, runs, a):
        """Counts what is filed as done; how many trainings that are."""
        return len(filed_runs.adopt(runs, a.adopt, a))

    def report(self, runs, a):
        """Tells what a report misses."""
        tell_missing(sum(run.metrics is None for run in runs), len(runs), a)

    def train(self, runs, a):
        """Trains those that are not finished; a sentence on those that failed, or None."""
        failed = many_runs.train(runs, a)
        if not failed:
            return None
        told = "; ".join(f"{run}: {line.removeprefix('error: ')}" for run, line in failed)
        return f"{len(failed)} of {len(runs)} trainings failed: {told}"

    def file(self, runs, a):
        """Files what is finished; sentences on it."""
        filed_runs.file(runs)
        return []

    def table(self, runs, a):
        """The `Table` of its runs."""
        tag = recipes.load(self.recipe_of(a)).dataset
        return Table(self.chosen(a), summarize(runs), tag, a.epochs, runs)

    def tell(self, runs, a):
        """Prints table and claims; writes them, the table as CSV and the picture into --out."""
        table, picture = self.table(runs, a), self.picture(a)
        groups = {
            title: [tuple(cell(row) for cell in self.columns.values()) for row in rows]
            for title, rows in self.groups(table, a).items()
        }
        said = [c if isinstance(c, str) else sentence(*c) for c in self.claims(table, a)]
        written = [self.publish(a, self.heads(table), groups, said, self.notes(table, a))]
        if self.facts:
            written.append(f"{self.stem(a)}.csv")
            write_aside(a.out / written[-1], self.as_csv(table))
        if self.endings:
            self.draw(table, a.out / f"{picture}{self.endings[0]}", a)
        self.written(a, *written, *(f"{picture}{ending}" for ending in self.endings))

    def publish(self, a, heads, groups, said, notes=()):
        """Prints tables and what is said of them, and writes both as Markdown; the file's name.

        Args:
            a: the arguments.
            heads: the headings of the columns.
            groups: {title: lines}, a line a tuple of str.
            said: sentences.
            notes: more of them, or a str that stands below.
        """
        text = []
        for title, lines in groups.items():
            tables.show(title, heads, lines, self.words, self.width)
            text += [f"**{title}**", "", *markdown_table(heads, lines, self.words), ""]
        below = [notes] if isinstance(notes, str) else []
        said = said if below else [*said, *notes]
        tables.say([*said, *below])
        text += [f"- {line}" for line in said]
        text += ["", *below] if said and below else below
        output_folder(a.out)
        write_aside(a.out / f"{self.stem(a)}.md", "\n".join([*text, ""]))
        return f"{self.stem(a)}.md"

    def as_csv(self, table):
        """One line a form, accuracies in percent; those of the seeds apart by spaces."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        kinds = [
            f"{key}_{kind}".lstrip("_")
            for key, _ in self.accuracies
            for kind in ("percent", "std", "by_seed")
        ]
        writer.writerow([*dict(self.facts), "seeds", *kinds])
        for row in table.values():
            line = [fact(row) for _, fact in self.facts]
            line = [f"{x:.4f}" if type(x) is float else "" if x is None else x for x in line]
            line.append(len(row.measured.metrics))
            for _, key in self.accuracies:
                numbers = row.measured.mean(key), row.measured.spread(key)
                line += ["" if x is None else f"{x:.4f}" for x in numbers]
                line.append(" ".join(f"{x:.2f}" for x in row.measured.values(key).values()))
            writer.writerow(line)
        return text.getvalue()

    def written(self, a, *names):
        """Tells which files were written, and puts what a page shows of them into --page."""
        print(f"Written to {a.out}: {', '.join(names)}.", file=sys.stderr)
        self.fill(a, names)

    def fill(self, a, names):
        """Puts the tables and pictures among the files of --out into --page, if there is one."""
        if a.page is None:
            return
        text = [(a.out / name).read_text(encoding="utf-8") for name in names if name[-3:] == ".md"]
        (a.page.parent / "figures").mkdir(exist_ok=True)
        for name in (name for name in names if name.endswith(".png")):
            text.insert(0, f"![{self.title(a)}](figures/{name})\n")
            with replacing(a.page.parent / "figures" / name) as aside:
                shutil.copyfile(a.out / name, aside)
        write_between(a.page, self.name, "\n".join(text))


def tell_missing(missing, total, a):
    """Says how many trainings a report misses, and the command that trains them.

    Raises:
        UserError: it misses all.
    """
    if missing == total:
        raise UserError(
            f"no training is finished that could be filed or shown: `{a.command}` trains them."
        )
    if missing:
        told = f"{missing} of {total} trainings are missing: `{a.command}` trains them."
        print(told, file=sys.stderr)


def like(patterns, known, option="names"):
    """Those of the known that any of the wildcards matches, in their order.

    Raises:
        UserError: a wildcard of this option matches none.
    """
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise UserError(
                f"--{option} has {pattern!r}, which is not among {', '.join(known)}."
                f"{nearest(pattern, known)}"
            )
    return [name for name in known if any(fnmatch.fnmatch(name, p) for p in patterns)]
