"""What a network of the zoo knows of itself, kept with it in a `.keras` file."""

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np

from keras_recres.backend import keras_private
from keras_recres.backend.types import Rows
from keras_recres.zoo import registry, text
from keras_recres.zoo.preprocessing import Preprocessing
from keras_recres.zoo.record import Record

logger = logging.getLogger("keras_recres")


if TYPE_CHECKING:
    Functional = keras.Model
else:
    Functional = keras_private.functional_class()


@keras.saving.register_keras_serializable(package="keras_recres")
class ZooModel(Functional):
    """A functional model whose four attributes are saved with it.

    Attributes:
        preprocess: The `Preprocessing` of its images, or `TextPreprocessing` of its texts.
        zoo_record: The record of its name.
        zoo_tag: The tag whose arguments it has, or None.
        class_names: Names of the classes in the order of the logits, or None.
    """

    preprocess: Preprocessing | text.TextPreprocessing
    zoo_record: Record
    zoo_tag: str | None
    class_names: tuple[str, ...] | None

    @property
    def feature_info(self) -> Rows:
        """Of each output a dict: `name` of the layer, `channels`, `reduction` of the image's side.

        As timm's; `reduction` is None where the features are not a map.
        """
        from keras_recres.models.features import reduction

        return [
            {
                "name": keras_private.producer(x)[0].name,
                "channels": x.shape[-1],
                "reduction": reduction(x, self),
            }
            for x in self.outputs
        ]

    def predict_texts(self, texts: Sequence[str | bytes], batch_size: int = 64) -> np.ndarray:
        """Probabilities of the classes of texts.

        Example:
        >>> model = zoo.load("bilstm_imdb")  # doctest: +SKIP
        >>> model.predict_texts(["A wonderful film!"]).shape  # doctest: +SKIP
        (1, 2)

        Args:
            texts: List of strings or UTF-8 bytes.
            batch_size: How many at once.

        Returns:
            A float64 NumPy array (texts, classes); the classes are `class_names`.

        Raises:
            ValueError: It takes other inputs than texts, they are not a list of strings, or one is
                without a word.
        """
        from keras_recres.zoo import evaluation

        text.check(self)
        if isinstance(texts, str | bytes):
            self.preprocess.numbers(texts)  # Which refuses them.
        logits = evaluation.logits_of(self, texts, batch_size)
        evaluation.check_logits(self, logits)
        return evaluation.softmax(logits)

    def get_config(self) -> dict[str, Any]:
        record, preprocess = getattr(self, "zoo_record", None), getattr(self, "preprocess", None)
        names = getattr(self, "class_names", None)
        if isinstance(preprocess, text.TextPreprocessing):
            preprocess = preprocess.whole()
        elif not isinstance(preprocess, Preprocessing | None):
            logger.warning(
                "%s: model.preprocess is not a zoo.Preprocessing and is not saved with the model.",
                self.name,
            )
            preprocess = None
        zoo = {
            "record": record and record.to_dict(),
            "tag": getattr(self, "zoo_tag", None),
            "preprocess": preprocess and dataclasses.asdict(preprocess),
            "class_names": None if names is None else list(names),
        }
        return {**super().get_config(), "zoo": zoo}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        config = dict(config)
        zoo = config.pop("zoo")
        model = super().from_config(config, custom_objects)
        record, preprocess, names = zoo["record"], zoo["preprocess"], zoo["class_names"]
        if record is not None:
            model.zoo_record, model.zoo_tag = _current(Record.from_dict(record)), zoo["tag"]
        if preprocess is not None:
            model.preprocess = text.from_dict(preprocess)
        if names is not None:
            model.class_names = tuple(names)
        return model


def read(path):
    """A network of the zoo from the `.keras` file that its `save` wrote.

    Raises:
        ValueError: Keras cannot read the file.
    """
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Damaged files make it raise all sorts.
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{str(path)!r} cannot be loaded ({reason}).") from None


def _current(record):
    """A record with what the zoo has measured and trained, if it still is the zoo's."""
    with contextlib.suppress(ValueError):
        known, _ = registry.resolve(record.name)
        return known if known == record else record
    return record
