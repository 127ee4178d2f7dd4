"""What a text goes through before a network of the zoo reads it."""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from keras_recres.zoo import sources
from keras_recres.zoo.preprocessing import Preprocessing

if TYPE_CHECKING:
    from keras_recres.backend.types import Data, Tensor

# What stands before a short text, and for a word that the vocabulary lacks; words follow.
PADDING, UNKNOWN, FIRST = 0, 1, 2
WORD = re.compile(r"[A-Za-z0-9']+|[!?]")


@dataclass(frozen=True)
class TextPreprocessing:
    """Words of a text ↦ their numbers, of the last `length` words, on any backend.

    Words are the lower-case matches of `[a-z0-9']+|[!?]`, line breaks `<br />` dropped. 0 fills up
    a shorter text in front, 1 is a word that the vocabulary does not have, 2 the most frequent one.

    Args:
        vocabulary: Words, the most frequent first, or the name of a file of them in
            `vocabularies/` of the zoo.
        words: How many numbers there are: the vocabulary's first `words − 2` words count.
        length: How many words of a text the network reads.

    Example:
    >>> p = TextPreprocessing(("the", "film", "good"), words=5, length=4)
    >>> p.numbers(["A good film!"]).tolist()
    [[1, 4, 3, 1]]
    """

    vocabulary: str | tuple[str, ...] = dataclasses.field(repr=False)
    words: int = 20_000
    length: int = 80

    def __post_init__(self):
        if not isinstance(self.vocabulary, str):
            object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        for key, least in (("words", FIRST + 1), ("length", 1)):
            value = getattr(self, key)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{key} must be an integer of at least {least}, found {value!r}.")

    def __call__(self, texts: Data) -> Tensor:
        """Returns what the network takes.

        Args:
            texts: List, tuple or array of strings or UTF-8 bytes, or a string tensor of tf.data.

        Returns:
            An int32 tensor of the backend, or of tf.data, (texts, length).

        Raises:
            ValueError: They are not a list of texts, or one is without a word.
        """
        if type(texts).__module__.startswith("tensorflow."):
            from keras_recres.backend import tensorflow_text

            if tensorflow_text.in_graph(texts):
                return tensorflow_text.numbers(texts, self.known, self.length)
            texts = texts.numpy()
        # Records are read without Keras.
        from keras import ops

        return ops.convert_to_tensor(self.numbers(texts), dtype="int32")

    def numbers(self, texts: Sequence[str | bytes]) -> np.ndarray:
        """`self(texts)` as a NumPy array."""
        if isinstance(texts, str | bytes):
            raise ValueError(f"texts must be a list of strings, found {texts!r}: give [{texts!r}].")
        known, rows = _numbers_of(self.vocabulary, self.words), []
        for i, text in enumerate(texts):
            if not isinstance(text, str | bytes):
                raise ValueError(f"texts must be strings, found {text!r} as number {i}.")
            row = [known.get(word, UNKNOWN) for word in words_of(text)]
            if not row:
                raise ValueError(f"text {i} has no word to read: {text[:50]!r}.")
            rows.append([PADDING] * (self.length - len(row)) + row[-self.length :])
        return np.array(rows, np.int32).reshape(-1, self.length)

    @property
    def known(self) -> tuple[str, ...]:
        """The words of the vocabulary that count, a tuple: the i-th has the number i + 2."""
        return tuple(_numbers_of(self.vocabulary, self.words))

    def whole(self) -> Self:
        """The same with the words themselves, to be kept with a model."""
        return dataclasses.replace(self, vocabulary=self.known)


def words_of(text):
    """The words of a text, in order."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return [word.lower() for word in WORD.findall(text.replace("<br />", " "))]


def vocabulary_of(texts, count):
    """The most frequent words of many texts, most frequent first, at most `count`."""
    counts = collections.Counter(word for text in texts for word in words_of(text))
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:count])


def from_dict(config):
    """A `Preprocessing` or, where there is a vocabulary, a `TextPreprocessing` of its fields."""
    return (TextPreprocessing if "vocabulary" in config else Preprocessing)(**config)


def check(model):
    """Raises a ValueError for a model that takes no texts."""
    preprocess = getattr(model, "preprocess", None)
    if not isinstance(preprocess, TextPreprocessing):
        raise ValueError(
            f"{model.name!r} takes no texts: its `preprocess` must be a TextPreprocessing, found "
            f"{preprocess!r}."
        )


@functools.lru_cache(maxsize=8)
def _numbers_of(vocabulary, count):
    if isinstance(vocabulary, str):
        path = sources.locate(f"vocabularies/{vocabulary}.txt")
        vocabulary = path.read_text(encoding="utf-8").split()
    return {word: i for i, word in enumerate(vocabulary[: count - FIRST], FIRST)}
