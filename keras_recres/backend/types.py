"""What signatures are written in."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import keras


class Tensor(Protocol):
    """A tensor of the backend in use, a `keras.KerasTensor`, or a NumPy array."""

    @property
    def shape(self) -> tuple[int | None, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, index: Any, /) -> Any: ...

    def __add__(self, other: Any, /) -> Any: ...

    def __radd__(self, other: Any, /) -> Any: ...

    def __sub__(self, other: Any, /) -> Any: ...

    def __rsub__(self, other: Any, /) -> Any: ...

    def __mul__(self, other: Any, /) -> Any: ...

    def __rmul__(self, other: Any, /) -> Any: ...

    def __truediv__(self, other: Any, /) -> Any: ...

    def __matmul__(self, other: Any, /) -> Any: ...


# Arrays or tensors, numbers in nested lists, or lists or dicts of them, as a model takes them.
Data: TypeAlias = Any
# None is a size that is not known; of several inputs a list or dict of shapes.
Shape: TypeAlias = tuple[int | None, ...]
ShapeLike: TypeAlias = Sequence[int | None]
Shapes: TypeAlias = Any
Sizes: TypeAlias = int | Sequence[int]
Path: TypeAlias = str | os.PathLike[str]
Activation: TypeAlias = str | Callable[..., Any] | None
Initializer: TypeAlias = str | keras.initializers.Initializer | dict[str, Any] | None
# What `models.substitute` puts in a layer's place.
Rule: TypeAlias = Callable[[keras.layers.Layer, Any], Any]
# Numbers of a table, a line each.
Rows: TypeAlias = list[dict[str, Any]]
