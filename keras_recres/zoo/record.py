"""Typed records: what one name of the zoo is, read from `zoo/configs/NAME.json`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

from keras_recres.zoo import sources, text
from keras_recres.zoo.preprocessing import Preprocessing

NUMBER = (int, float)
OPTIONAL_TEXT = (str, type(None))
OPTIONAL_DICT = (dict, type(None))
SOURCES = ("zoo", "keras")
# Of the weights that this project trained, as of its code.
LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Parameters:
    """Exact parameter counts of a name, built with the arguments of the paper."""

    trainable: int
    total: int


@dataclass(frozen=True)
class Paper:
    """Where a network stands in the literature, and the number printed there.

    Attributes:
        title: Title of the paper that reports the number.
        arxiv: Its arXiv number, or None.
        where: Table or figure, and the network's letter in it.
        dataset: Data set of the printed number.
        metric: What was printed, with its unit: `"top1_percent"`, `"accuracy_percent"`.
        printed: The number, as printed; None where none is.
        architecture: The paper that the architecture comes from, when it is another one.
        year: When it appeared, where no arXiv number tells.
    """

    title: str
    arxiv: str | None
    where: str
    dataset: str
    metric: str
    printed: float | None
    architecture: str | None = None
    year: int | None = None

    @property
    def says(self):
        """What was printed on which data set, for a sentence."""
        if self.printed is None:
            return f"no {self.metric} printed for {self.dataset}"
        return f"{self.printed:g} {self.metric} on {self.dataset}"


@dataclass(frozen=True)
class Tag:
    """Weights trained on one data set: what they change in the name's config.

    Attributes:
        dataset: The data set.
        arguments: Builder arguments that replace those of the name.
        preprocessing: Preprocessing fields that replace those of the name.
        licence: What the data's owners allow, and so the weights' use, where it is not everything.
    """

    dataset: str
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)
    preprocessing: dict[str, Any] = field(default_factory=dict, hash=False)
    licence: str = ""


@dataclass(frozen=True)
class Result:
    """One measured row of `zoo/results.csv`; every field as it is written there."""

    name: str
    tag: str
    dataset: str
    split: str
    metric: str
    value: str
    std: str
    seeds: str
    printed: str
    printed_dataset: str
    parameters: str
    trainable_parameters: str
    multiply_adds: str
    steps: str
    epochs: str
    budget: str
    backend: str
    hardware: str
    commit: str
    date: str
    note: str

    def __str__(self):
        spread = f" ± {self.std}" if self.std else ""
        seeds = "1 seed" if self.seeds == "1" else f"{self.seeds or '?'} seeds"
        facts = [seeds, self.budget or (f"{self.epochs} epochs" if self.epochs else "")]
        facts += [self.note]
        measured = f"{self.value}{spread} {self.metric} on {self.dataset} {self.split}"
        return f"{self.tag}: {measured} ({', '.join(fact for fact in facts if fact)})"


@dataclass(frozen=True, repr=False)
class Record:
    """What one name of the zoo is.

    Attributes:
        name: The name, as in `zoo.load(name)`.
        family: Networks that differ only in arguments share a family.
        builder: Name of the function in `keras_recres.models`.
        arguments: Its keyword arguments for the network of the paper.
        parameters: Counts with these arguments.
        paper: Source and printed result.
        preprocessing: What images or texts go through before the network, or None.
        default_tag: Tag that a bare name loads, or None.
        tags: Data sets that the name is, or will be, trained on.
        multiply_adds: Multiply-adds per example with these arguments, `models.multiply_adds`.
        source: Where the default tag's weights come from, one of `SOURCES`: "zoo", trained with
            this project, or "keras", those of keras.applications, which Keras downloads.
        trained_tags: Those of `tags` whose weights exist. Not part of the config.
        results: Measured rows of `results.csv`. Not part of the config.
    """

    name: str
    family: str
    builder: str
    arguments: dict[str, Any] = field(hash=False)
    parameters: Parameters
    paper: Paper
    preprocessing: Preprocessing | text.TextPreprocessing | None
    default_tag: str | None
    tags: dict[str, Tag] = field(hash=False)
    multiply_adds: int | None = None
    source: str = "zoo"
    trained_tags: tuple[str, ...] = field(default=(), compare=False)
    results: tuple[Result, ...] = field(default=(), compare=False)

    @property
    def trained(self) -> bool:
        """Whether weights of this project exist for any tag."""
        return bool(self.trained_tags)

    @property
    def loadable_tags(self) -> tuple[str, ...]:
        """The tags that `zoo.load` has weights for, Keras' among them."""
        return (*self.trained_tags, *([self.default_tag] if self.source == "keras" else []))

    def measured(self, dataset: str | None = None) -> Result | None:
        """The `Result` that tells the accuracy on a data set; None for the default tag's; or None.

        Of several metrics it is the one that chooses no epoch on the test set.
        """
        rows = [
            r
            for r in self.results
            if r.dataset == r.tag and not r.metric.startswith("subset_")
            if (r.tag == self.default_tag if dataset is None else r.dataset == dataset)
        ]
        rows.sort(key=lambda r: r.metric not in ("top1_percent", "accuracy_percent"))
        return rows[0] if rows else None

    def row(self, dataset: str | None = None) -> dict[str, Any]:
        """What a table of names tells of this one, a dict; counts are of what was measured."""
        best, paper = self.measured(dataset), self.paper
        counts = self.parameters
        return {
            "name": self.name,
            "family": self.family,
            # Of what was measured; the paper's network may have other classes.
            "parameters": int(best.parameters) if best else counts.total,
            "trainable_parameters": int(best.trainable_parameters) if best else counts.trainable,
            "multiply_adds": int(best.multiply_adds) if best else self.multiply_adds,
            "weights": [*self.loadable_tags],
            "measured": float(best.value) if best else None,
            "measured_metric": best.metric if best else None,
            "measured_on": best.dataset if best else None,
            "printed": paper.printed,
            "printed_metric": paper.metric,
            "printed_on": paper.dataset if paper.printed is not None else None,
        }

    @property
    def layout(self) -> dict[str, tuple[str | None, ...]] | None:
        """How `keras_recres.distribute` cuts the weights for "model_parallel", or None."""
        # Not at the top: models import Keras, and a record can do without.
        from keras_recres.models.families import family_of

        return family_of(self.builder).layout(self.arguments)

    def arguments_of(self, tag: str | None = None) -> dict[str, Any]:
        """Builder arguments of a tag; of the paper's network when `tag` is None."""
        arguments = {**self.arguments, **(self.tags[tag].arguments if tag else {})}
        # JSON has no tuples; Keras spells shapes and sizes with them.
        return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}

    def preprocessing_of(self, tag: str | None = None) -> Preprocessing | text.TextPreprocessing:
        """Preprocessing of a tag, of images or texts; the identity where the config has none."""
        base = self.preprocessing or Preprocessing()
        return dataclasses.replace(base, **(self.tags[tag].preprocessing if tag else {}))

    @classmethod
    def from_dict(cls, config: dict[str, Any], where: str = "config") -> Self:
        """Checks the content of a config file and makes a record of it.

        Args:
            config: The file's JSON object.
            where: What to call it in an error.

        Raises:
            ValueError: A key is missing, unknown, or of a wrong type.
        """
        config = _checked(
            config,
            where,
            {"multiply_adds": None, "source": "zoo"},
            name=str,
            family=str,
            builder=str,
            arguments=dict,
            parameters=dict,
            paper=dict,
            preprocessing=OPTIONAL_DICT,
            default_tag=OPTIONAL_TEXT,
            tags=dict,
            multiply_adds=(int, type(None)),
            source=str,
        )
        if config["source"] not in SOURCES:
            raise ValueError(
                f"{where}: source must be one of {SOURCES}, found {config['source']!r}."
            )
        parameters = _checked(
            config["parameters"], f"{where}: parameters", trainable=int, total=int
        )
        paper = _checked(
            config["paper"],
            f"{where}: paper",
            {"architecture": None, "year": None},
            title=str,
            arxiv=OPTIONAL_TEXT,
            where=str,
            dataset=str,
            metric=str,
            printed=(*NUMBER, type(None)),
            architecture=OPTIONAL_TEXT,
            year=(int, type(None)),
        )
        tags = {}
        for tag, content in config["tags"].items():
            content = _checked(
                content,
                f"{where}: tags.{tag}",
                {"arguments": {}, "preprocessing": {}, "licence": ""},
                dataset=str,
                arguments=dict,
                preprocessing=dict,
                licence=str,
            )
            tags[tag] = Tag(**content)
        if config["default_tag"] is not None and config["default_tag"] not in tags:
            raise ValueError(
                f"{where}: default_tag must be null or one of {sorted(tags)}, "
                f"found {config['default_tag']!r}."
            )
        preprocessing = config["preprocessing"]
        record = cls(
            **{
                **config,
                "parameters": Parameters(**parameters),
                "paper": Paper(**paper),
                "preprocessing": None if preprocessing is None else text.from_dict(preprocessing),
                "tags": tags,
            }
        )
        for tag in tags:
            record.preprocessing_of(tag)
        return record

    def to_dict(self) -> dict[str, Any]:
        """The content of the config file: `Record.from_dict(record.to_dict()) == record`."""
        config = dataclasses.asdict(self)
        del config["trained_tags"], config["results"]
        for key, default in (("multiply_adds", None), ("source", "zoo")):
            if config[key] == default:
                del config[key]
        for key in ("architecture", "year"):
            if config["paper"][key] is None:
                del config["paper"][key]
        for tag in config["tags"].values():
            for key in ("arguments", "preprocessing", "licence"):
                if not tag[key]:
                    del tag[key]
        if self.preprocessing is not None:
            config["preprocessing"] = {
                key: [*value] if isinstance(value, tuple) else value
                for key, value in config["preprocessing"].items()
                if key != "bgr" or value
            }
        return config

    def state(self, tag: str) -> str:
        """What is known of a tag's weights, in words: how large they are, and where."""
        if tag in self.trained_tags:
            return sources.state(sources.weights_file(self.name, tag))
        if tag in self.loadable_tags:
            return "weights of keras.applications, which Keras downloads"
        return "not trained yet"

    def licence(self, tag: str) -> str:
        """Under what a tag's weights may be used, and what the data's owners ask beside."""
        own = [LICENCE] if tag in self.trained_tags else []
        return "; ".join([*own, *filter(None, [self.tags[tag].licence])])

    def __repr__(self) -> str:
        trained = ", ".join(self.loadable_tags) or "no weights yet"
        return f"<{self.name}: {self.parameters.total:,} parameters, {trained}>"

    def __str__(self) -> str:
        paper, counts = self.paper, self.parameters
        source = f"{paper.title}{f' (arXiv:{paper.arxiv})' if paper.arxiv else ''}, {paper.where}"
        arguments = ", ".join(f"{key}={value}" for key, value in self.arguments.items())
        lines = [
            f"{self.name} ({self.family})",
            f"  parameters: {counts.trainable:,} trainable, {counts.total:,} in all",
            *(
                [f"  compute:    {self.multiply_adds:,} multiply-adds"]
                if self.multiply_adds
                else []
            ),
            f"  builder:    models.{self.builder}({arguments})",
            f"  paper:      {paper.says}; {source}",
        ]
        if paper.architecture:
            lines.append(f"  built as:   {paper.architecture}")
        for tag, content in self.tags.items():
            state = self.state(tag)
            default = ", default" if tag == self.default_tag else ""
            licence = f"; {self.licence(tag)}" if self.licence(tag) else ""
            lines.append(f"  tag:        {tag} (on {content.dataset}, {state}{default}{licence})")
        lines += [f"  measured:   {result}" for result in self.results]
        if not self.loadable_tags:
            lines.append("  It has no trained weights yet: load it with weights=None.")
        return "\n".join(lines)


def _checked(content, where, defaults=None, /, **kinds):
    """Returns `content` with defaults; it must have exactly the keys of `kinds`, of their types."""
    if not isinstance(content, dict):
        raise ValueError(f"{where} must be a JSON object, found {content!r}.")
    content = {**(defaults or {}), **content}
    missing, unknown = kinds.keys() - content.keys(), content.keys() - kinds.keys()
    if missing or unknown:
        raise ValueError(
            f"{where} must have exactly the keys {sorted(kinds)}; "
            f"missing {sorted(missing)}, unknown {sorted(unknown)}."
        )
    for key, kind in kinds.items():
        if not isinstance(content[key], kind) or isinstance(content[key], bool):
            raise ValueError(f"{where}: {key} has a value of a wrong type, {content[key]!r}.")
    return content
