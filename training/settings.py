"""What a training was asked for, as far as it changes a result: the same, the same training."""

import dataclasses
import json

# Settings that make another training of the same network, such as its steps.
HOW = ("steps", "backprop_steps", "deep_supervision", "teacher", "distillation", "temperature")
HOW += ("deepen", "fold", "control", "features")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one training; a new option is a new field, whose default is what was before it.

    Those with a default are recorded only where they are not at it: files from before they were
    options do not name them, and are read as if they did.
    """

    name: str
    tag: str
    dataset: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_epochs: float
    schedule: str
    epsilon: float
    label_smoothing: float
    keep_last: bool
    augment: str
    mixup: float
    seed: int
    precision: str
    limit: int | None
    eval_limit: int | None
    model_arguments: dict = dataclasses.field(hash=False)
    backend: str
    optimizer: str = "adamw"
    momentum: float = 0.0
    ema: float = 0.0
    clip_norm: float = 0.0
    accumulate: int = 1
    weights: str | None = None
    cooldown_epochs: float = 0.0
    cutmix: float = 0.0
    randaugment: float = 0.0
    erasing: float = 0.0
    precise_bn: int = 0
    stream: bool = False
    groups: int = 1
    averaged: int = 1
    steps: str | None = None
    backprop_steps: int | None = None
    deep_supervision: float = 0.0
    teacher: str | None = None
    distillation: float = 0.5
    temperature: float = 2.0
    rubbish: float | None = None
    deepen: str | None = None
    fold: str | None = None
    control: str | None = None
    features: float = 1.0
    original: str | None = None
    teacher_weights: str | None = None
    # What was recorded beside the fields, by code that knows more options than this one.
    others: dict = dataclasses.field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, options):
        """Reads what `recorded` gave, of today or of before, or the options of a command line.

        Args:
            options: a dict; what it lacks is at its default, or None.
        """
        given = json.loads(json.dumps(dict(options)))
        names = (field.name for field in dataclasses.fields(cls) if field.name != "others")
        known = {name: given.pop(name, DEFAULTS.get(name)) for name in names}
        return cls(**known, others=given)

    def recorded(self):
        """A dict as settings.json and metrics.json have it."""
        values = {**vars(self), **self.others}
        del values["others"]
        return {k: v for k, v in values.items() if k not in DEFAULTS or v != DEFAULTS[k]}

    def differences(self, other, ignoring=()):
        """In which settings another training differs: {setting: (this one's, the other's)}.

        Args:
            other: `Settings`, or a dict as `of` takes it.
            ignoring: settings that may differ.
        """
        other = other if isinstance(other, Settings) else Settings.of(other)
        one, other = ({**vars(s), **s.others} for s in (self, other))
        keys = [key for key in {**one, **other} if key not in ("others", *ignoring)]
        pairs = {key: (one.get(key), other.get(key)) for key in keys}
        return {key: (a, b) for key, (a, b) in pairs.items() if a != b}

    def key(self):
        """What two trainings have in common that are the same one, wherever they were done."""
        recorded = self.recorded()
        how = {key: recorded[key] for key in HOW if key in recorded}
        form = json.dumps([self.model_arguments or {}, how], sort_keys=True)
        return self.name, self.tag, form, self.seed


DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(Settings)
    if field.default is not dataclasses.MISSING
}


def tell(differences):
    """What `Settings.differences` gives, in words: "epochs 3, not 4, seed 0, not 1"."""
    return ", ".join(f"{key} {one!r}, not {other!r}" for key, (one, other) in differences.items())
