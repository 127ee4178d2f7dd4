"""RecurrentResidual: one residual branch, run several times in depth."""

import types
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.backend.types import ShapeLike, Tensor
from keras_recres.layers import depth_loop, dropping, tying, unsharing
from keras_recres.layers.checks import (
    check_choice,
    check_count,
    check_finite,
    check_from_zero,
    check_patterns,
    check_positive,
    check_rate,
    check_switch,
    takes_numpy,
)
from keras_recres.layers.corrections import Correction

SHORTCUTS = ("add", "none")
INJECTIONS = (None, "add", "concat")
LOOPS = ("auto", "unroll", "scan")
LEARNED = ("learned", "grown")


@keras.saving.register_keras_serializable(package="keras_recres")
class RecurrentResidual(keras.layers.Layer):
    """Runs the same residual branch `steps` times: depth without parameters.

    x_{t+1} = x_t + s_t · f(x_t),  t = 0 … steps − 1    (shortcut="add")
    x_{t+1} = x_t + s_t · (f(x_t) − x_t)                 (shortcut="none")

    where f is `branch` and s_t is 1 unless `residual_scale` says otherwise, so that
    `shortcut="none"` is plainly x ← f(x): the form for a branch that is residual already, such
    as a transformer block. With everything shared, a residual network of `steps` layers is a
    recurrent network unrolled in depth (Liao and Poggio, arXiv 1604.03640, section 2), and
    recurrence adds no parameter.

    A `BatchNormalization` inside a shared branch shares its scale, shift *and moving statistics*
    over the steps, although the states of different steps are distributed differently:
    `unshare=("norm",)` gives every step its own. Random layers of one's own must hold a
    `keras.random.SeedGenerator`, as Keras' do: the global one would repeat its numbers.

    Example:
    >>> branch = keras.layers.Dense(64, activation="tanh")
    >>> layer = keras_recres.layers.RecurrentResidual(branch, steps=4)
    >>> x = keras.random.normal((8, 64))
    >>> layer(x).shape                 # four steps
    (8, 64)
    >>> layer(x, steps=6).shape        # deeper than it was trained
    (8, 64)
    >>> layer(x, return_states=True).shape
    (4, 8, 64)
    >>> layer.count_params()           # those of one Dense(64)
    4160

    Args:
        branch: Keras layer or model f whose output has the shape of its input.
        steps: Integer ≥ 1, how many times the branch is run. `layer(x, steps=n)` overrides it
            for one call. What is learned per step (`residual_scale="learned"`, `unshare`,
            `step_embedding`) has `steps` values; steps beyond them use the last one.
        shortcut: "add" or "none", see the equations.
        residual_scale: None (s_t = 1), a float for every s_t, "learned": one trainable
            scalar a step, 1 at first; or "grown": none for the first step, for each later one a
            trainable scalar, 0 at first, so that the layer begins as a single step.
        unshare: Which sub-layers of the branch get weights of their own for every step: names
            of sub-layers, or the kind "norm" for all layers that normalise features; or which
            single weights: the kinds "bias", "scale" for other vectors, such as those of a layer
            that scales channels, and "depthwise" for the kernels of depthwise convolutions. Each
            step's copy begins with the branch's own initial values. Freeze such a sub-layer before
            it is built, or the whole layer at any time.
        step_embedding: Whether to add a learned vector e_t, zero at first, to the last axis of
            the branch's input, as in Universal Transformers (arXiv 1807.03819).
        inject_input: None, or how the layer's own input x_0 is given to the branch again at each
            step: "add" runs f(x_t + x_0), "concat" runs f([x_t, x_0]) on the last axis, for
            which the branch must map twice the channels to the channels.
        backprop_steps: None, or k ≥ 1: gradients flow through the last k steps only. Layers
            before this one then receive a gradient only through `inject_input`.
            `layer(x, backprop_steps=k)` overrides it for one call.
        remat: Whether to recompute each step in the backward pass rather than to store what is
            inside the branch: memory for time.
        return_states: Whether to return the state after every step, shape (steps, batch, …),
            instead of the last one. `layer(x, return_states=True)` asks for one call. As batches
            lie on the second axis, call such a model; `predict` joins them on the first.
        return_steps_used: Whether to return, besides, the number of steps each example took,
            int32 of shape (batch,).
        exit_threshold: None, or ε > 0. At inference an example stops changing after the first
            step with ‖x_{t+1} − x_t‖ ≤ ε ‖x_t‖, and the loop does no more work when all
            examples of the batch have stopped. Examples do not influence one another. Ignored in
            training. What the branch adds to the loss (`add_loss`, activity regularisers) is
            counted for the steps that the batch takes, in which examples that have stopped remain.
        loop: "unroll" (the steps one after another in the graph), "scan" (a loop in the graph,
            whose compile time does not grow with the steps; a Python loop on PyTorch), or
            "auto", the faster of the two for the backend and the number of steps. All give the
            same numbers. On TensorFlow the backward pass of a scanned branch that has dropout or
            batch norm runs each step again, as with `remat`: "auto" unrolls it.
        corrections: None, or a dict {pattern: rank ≥ 0 or "exact"} of weights, such as
            {"*/kernel": 8}, by which step t uses W + A_t B_t for the shared W, as in Relaxed
            Recursive Transformers (arXiv 2410.20672), with A_t and B_t trained. A pattern is the
            name of a sub-layer and its weight, with wildcards; the first one that matches counts.
            W is a matrix of m rows, all axes that the sub-layer sums over, and n columns. B_t is
            zero at first. From (steps − 1) / steps · m n / (m + n) on, and with "exact", each step
            has a weight of its own instead, which is fewer numbers.
        drop_rates: None, or the rates of every step, `steps` numbers from 0 to below 1, for the
            sub-layers of the branch that drop, such as Dropout; or a dict {pattern: rates} for
            those whose names match. The steps are unrolled in training.

    Input shape: (batch, …), any rank ≥ 2.

    Output shape: that of the input; (steps, batch, …) with `return_states`; a pair with
    `return_steps_used`.

    Raises:
        ValueError: For arguments out of their range, a branch that changes the shape, or an
            `unshare` entry that names no sub-layer.
    """

    @takes_numpy
    def __init__(
        self,
        branch: keras.layers.Layer,
        steps: int = 1,
        shortcut: str = "add",
        residual_scale: float | str | None = None,
        unshare: str | Sequence[str] = (),
        step_embedding: bool = False,
        inject_input: str | None = None,
        backprop_steps: int | None = None,
        remat: bool = False,
        return_states: bool = False,
        return_steps_used: bool = False,
        exit_threshold: float | None = None,
        loop: str = "auto",
        corrections: Mapping[str, int | str] | None = None,
        drop_rates: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(branch, keras.layers.Layer):
            raise ValueError(f"`branch` must be a Keras layer or model, but it is {branch!r}.")
        check_count("steps", steps)
        check_choice("shortcut", shortcut, SHORTCUTS)
        check_choice("inject_input", inject_input, INJECTIONS)
        check_choice("loop", loop, LOOPS)
        for name, value in (
            ("step_embedding", step_embedding),
            ("remat", remat),
            ("return_states", return_states),
            ("return_steps_used", return_steps_used),
        ):
            check_switch(name, value)
        if backprop_steps is not None:
            check_count("backprop_steps", backprop_steps)
        if residual_scale not in (None, *LEARNED):
            check_finite("residual_scale", residual_scale)
            residual_scale = float(residual_scale)
        if exit_threshold is not None:
            check_positive("exit_threshold", exit_threshold)
        if not isinstance(unshare, str | list | tuple):
            raise ValueError(
                f"`unshare` must be a list of names of sub-layers or kinds, but it is {unshare!r}."
            )
        check_patterns("corrections", corrections)
        for rank in (corrections or {}).values():
            if rank != "exact":
                check_from_zero("a rank in corrections", rank)
        if drop_rates is not None:
            drop_rates = drop_rates if isinstance(drop_rates, dict) else {"*": drop_rates}
        check_patterns("drop_rates", drop_rates)
        for rates in (drop_rates or {}).values():
            if not isinstance(rates, list | tuple):
                raise ValueError(f"`drop_rates` must be lists of rates, but {rates!r} is not.")
            for rate in rates:
                check_rate("drop_rates", rate)
            if len(rates) != steps:
                raise ValueError(
                    f"`drop_rates` must have a rate for each of the {steps} steps, but there are "
                    f"{len(rates)}: {rates!r}."
                )
        self.branch = branch
        self.steps = steps
        self.shortcut = shortcut
        self.residual_scale = residual_scale
        self.unshare = (unshare,) if isinstance(unshare, str) else tuple(unshare)
        self.step_embedding = step_embedding
        self.inject_input = inject_input
        self.backprop_steps = backprop_steps
        self.remat = remat
        self.return_states = return_states
        self.return_steps_used = return_steps_used
        self.exit_threshold = exit_threshold
        self.loop = loop
        self.corrections = corrections
        self.drop_rates = drop_rates
        self.supports_masking = True
        # In a plain namespace, or Keras would track the branch's weights as this layer's too.
        self._own = types.SimpleNamespace(
            sublayers=[], singles=[], variables=[], per_step=[], corrections=[], rates=[]
        )
        self.scale = self.embedding = None

    def build(self, input_shape: ShapeLike) -> None:
        channels = input_shape[-1]
        wanted = tuple(input_shape)
        unknown = (
            f"the last axis of {self.name!r}'s input must be known, but its shape is {wanted}."
        )
        if channels is None and (self.step_embedding or self.inject_input == "concat"):
            raise ValueError(unknown)
        branch_shape = wanted
        if self.inject_input == "concat":
            branch_shape = (*wanted[:-1], 2 * channels)
        # A symbolic call builds any kind of branch, also one that makes its weights when called.
        try:
            got = self.branch(keras.KerasTensor(branch_shape, dtype=self.compute_dtype))
        except (TypeError, ValueError) as error:
            if channels is not None:
                raise
            # What a Dense layer needs, and a convolution with its channels first does not.
            raise ValueError(unknown) from error
        if not isinstance(got, keras.KerasTensor) or tuple(got.shape)[1:] != wanted[1:]:
            shape = tuple(got.shape) if isinstance(got, keras.KerasTensor) else type(got).__name__
            raise ValueError(
                f"`branch` of {self.name!r} must return the shape of the state, {wanted}, but it "
                f"maps {branch_shape} to {shape}."
            )
        self._own = unsharing.own_weights(self)
        self._own.rates = dropping.own_rates(self)
        scales = self.steps - self.first_scale
        if self.residual_scale in LEARNED and scales:
            initializer = "zeros" if self.first_scale else "ones"
            self.scale = self.add_weight(shape=(scales,), initializer=initializer, name="scale")
        if self.step_embedding:
            self.embedding = self.add_weight(
                shape=(self.steps, channels), initializer="zeros", name="step_embedding"
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Of NumPy's numbers Keras would make tensors.
        numbers = {k: v for k, v in kwargs.items() if isinstance(v, np.generic | np.ndarray)}
        kwargs.update({k: v.item() for k, v in numbers.items() if v.ndim == 0})
        return super().__call__(*args, **kwargs)

    def call(
        self,
        inputs: Tensor,
        steps: int | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
        return_states: bool | None = None,
        return_steps_used: bool | None = None,
        backprop_steps: int | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        asked = self.of_call(steps, return_states, return_steps_used, backprop_steps)
        outputs, used = depth_loop.run(
            self,
            # Also of integers, to which no branch could be added.
            ops.cast(inputs, self.compute_dtype),
            asked.steps,
            asked.backprop_steps,
            mask=mask,
            training=training,
            return_states=asked.return_states,
        )
        if mask is not None and not asked.return_states:
            keras_private.set_mask(outputs, mask)
        return (outputs, used) if asked.return_steps_used else outputs

    def of_call(
        self,
        steps: int | None = None,
        return_states: bool | None = None,
        return_steps_used: bool | None = None,
        backprop_steps: int | None = None,
        **_: Any,
    ) -> types.SimpleNamespace:
        """What a call with these arguments, None where not given, does: a namespace of them.

        Raises:
            ValueError: If `steps` or `backprop_steps` is not an integer of at least 1.
        """
        steps = self.steps if steps is None else steps
        check_count("steps", steps)
        backprop_steps = self.backprop_steps if backprop_steps is None else backprop_steps
        if backprop_steps is not None:
            check_count("backprop_steps", backprop_steps)
        if return_steps_used is None:
            return_steps_used = self.return_steps_used
        return types.SimpleNamespace(
            steps=steps,
            return_states=self.return_states if return_states is None else return_states,
            return_steps_used=return_steps_used,
            backprop_steps=steps if backprop_steps is None else min(backprop_steps, steps),
        )

    @property
    def first_scale(self) -> int:
        """The first step that `scale` has a number for."""
        return int(self.residual_scale == "grown")

    @property
    def own_variables(self) -> list[keras.Variable]:
        """The branch's variables that are not shared: step 0's."""
        return self._own.variables

    @property
    def own_per_step(self) -> list[list[keras.Variable]]:
        """For each of `own_variables` the list of its variables, one a step."""
        return self._own.per_step

    @property
    def own_corrections(self) -> list[Correction]:
        """What every step has of low-rank changes of shared weights, a list of `Correction`."""
        return self._own.corrections

    @property
    def own_singles(self) -> list[tuple[keras.layers.Layer, keras.Variable]]:
        """Pairs of a sub-layer and a weight of it of which every step has its own, or a change."""
        return self._own.singles

    @property
    def own_rates(self) -> list[tuple[keras.layers.Layer, str, Sequence[float]]]:
        """Which sub-layers drop with another rate in every step."""
        return self._own.rates

    def check_own(self) -> None:
        """Raises a ValueError if variables were replaced of which every step has its own."""
        unsharing.check_own(self, self._own.sublayers)

    def save_own_variables(self, store: Any) -> None:
        # Or a file would be written that fits no layer.
        self.check_own()
        super().save_own_variables(store)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> None:
        # `call` sets it, since it alone knows what this call returns.
        return None

    def compute_output_shape(self, input_shape: ShapeLike) -> tuple[Any, ...]:
        shape = tuple(input_shape)
        states = (self.steps, *shape) if self.return_states else shape
        return (states, (shape[0],)) if self.return_steps_used else states

    def compute_output_spec(
        self,
        inputs: Tensor,
        steps: int | None = None,
        mask: Tensor | None = None,
        training: bool | None = None,
        return_states: bool | None = None,
        return_steps_used: bool | None = None,
        backprop_steps: int | None = None,
    ) -> Any:
        # Stated rather than traced: tracing would run the branch `steps` times.
        asked = self.of_call(steps, return_states, return_steps_used, backprop_steps)
        shape = tuple(inputs.shape)
        if asked.return_states:
            shape = (asked.steps, *shape)
        states = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if asked.return_steps_used:
            return states, keras.KerasTensor((inputs.shape[0],), dtype="int32")
        return states

    def untie(self) -> list["RecurrentResidual"]:
        """`steps` separate layers that compute, one after another, what this one does.

        Returns:
            A list of `steps` built RecurrentResidual layers of one step, with copies of the
            weights that each step uses. They always run: an `exit_threshold` is dropped, since
            one layer does not know that an example has stopped in another.

        Raises:
            ValueError: If the layer is not built, or injects its input, which separate layers
                cannot see.
        """
        return tying.untie(self)

    @classmethod
    def tie(
        cls,
        blocks: Sequence[keras.layers.Layer],
        unshare: str | Sequence[str] | None = None,
        shortcut: str = "none",
        **kwargs: Any,
    ) -> Self:
        """One recurrent layer from T separate blocks of the same architecture.

        Equal blocks are tied exactly. Weights that differ are averaged, with a warning that says
        so, except those of sub-layers named in `unshare`, learned scales and step embeddings,
        which are kept for every step.

        Args:
            blocks: List of T built layers: either RecurrentResidual layers of one step (as
                `untie` gives them), whose options are taken over, or any other layers.
            unshare: As in the constructor; None for that of the blocks.
            shortcut: As in the constructor; for blocks that are not RecurrentResidual.
            **kwargs: Further arguments of the constructor.

        Returns:
            A built RecurrentResidual with `steps` = T.

        Raises:
            ValueError: If the blocks are not built, differ in anything but weights, or inject
                their input.
        """
        return tying.tie(cls, blocks, unshare=unshare, shortcut=shortcut, **kwargs)

    def get_config(self) -> dict[str, Any]:
        branch = keras.saving.serialize_keras_object(self.branch)
        keras_private.let_share(self.branch, branch)
        return {
            **super().get_config(),
            "branch": branch,
            "steps": self.steps,
            "shortcut": self.shortcut,
            "residual_scale": self.residual_scale,
            "unshare": list(self.unshare),
            "step_embedding": self.step_embedding,
            "inject_input": self.inject_input,
            "backprop_steps": self.backprop_steps,
            "remat": self.remat,
            "return_states": self.return_states,
            "return_steps_used": self.return_steps_used,
            "exit_threshold": self.exit_threshold,
            "loop": self.loop,
            "corrections": self.corrections and dict(self.corrections),
            "drop_rates": self.drop_rates and {k: list(v) for k, v in self.drop_rates.items()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        branch = config["branch"]
        # Copies of layers that share a branch are given a layer.
        if not isinstance(branch, keras.layers.Layer):
            branch = keras.saving.deserialize_keras_object(branch)
        return cls(**{**config, "branch": branch})
