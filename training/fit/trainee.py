"""A network in training: steps drawn, every step or output supervised, a teacher followed.

It wraps a network of the zoo and shares its weights: what is trained is the network, what is
evaluated and saved is the network as it was built.
"""

import types
import warnings

import keras
from keras import ops

from keras_recres.layers import RecurrentResidual
from training.errors import UserError

# What Keras says when variables have no gradient, where they are per-step weights of a block.
RESTING = r"Gradients do not exist for variables \[('[^']*/step\d+_[^']*'(, )?)+\]"


def recurrent_blocks(model):
    """The recurrent blocks of a functional model, in order."""
    return [layer for layer in model.layers if isinstance(layer, RecurrentResidual)]


def truncate(model, k, fewest=None):
    """Lets gradients flow through the last k steps of each recurrent block only.

    Args:
        model: a functional model.
        k: steps, at least 1.
        fewest: the fewest steps that a block runs in training; None for those it was built with.

    Raises:
        UserError: what lies before a block would never get a gradient.
    """
    for block in recurrent_blocks(model):
        runs = fewest or block.steps
        if runs > k and block.inject_input is None:
            raise UserError(
                f"--backprop-steps {k} would leave all that lies before {block.name!r} untrained, "
                f"since that always runs at least {runs} steps: give --backprop-steps of at least "
                f"{runs}, or draw the steps so that some batches run fewer, as --steps "
                f"'uniform(1,{max(runs, k + 1)})' does."
            )
        block.backprop_steps = k


def graph(model, steps=None, every_step=False, backprop_steps=None, watched=()):
    """A model that shares a functional model's layers, and runs its recurrent blocks differently.

    Args:
        model: a functional model.
        steps: how often each recurrent block runs; None for what it was built with.
        every_step: whether to return, after the output, what the network would give if it ended
            after any earlier step: the states before the last one of all recurrent blocks, as far
            as they have the shape of the last block's, read by what follows the last block.
        backprop_steps: how many last steps gradients flow through; None for what it was built with.
        watched: recurrent blocks whose states after all steps to return, too, last of all.
    """
    blocks = recurrent_blocks(model)
    states, seen = [], {}

    def call(layer, *args, **kwargs):
        if layer not in blocks:
            return layer(*args, **kwargs)
        kwargs |= {"backprop_steps": backprop_steps} if backprop_steps else {}
        count = steps or layer.steps
        if not every_step and layer not in watched:
            return layer(*args, **kwargs, steps=count)
        all_states = layer(*args, **kwargs, steps=count, return_states=True)
        seen[id(layer)] = all_states
        states.extend(all_states[t] for t in range(count))
        return all_states[count - 1]

    same = keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)
    after = [seen[id(layer)] for layer in watched]
    if not every_step:
        return keras.Model(same.input, [same.output, *after]) if after else same
    end = blocks[-1].output
    tail = keras.Model(end, model.output)
    earlier = [tail(x) for x in states[:-1] if x.shape[1:] == end.shape[1:]]
    return keras.Model(same.input, [same.output, *earlier, *after])


class Trainee(keras.Model):
    """Trains a functional model; evaluates the first output of it as it was built.

    L = (1 − α) [CE(y, p_T) + w · mean_t CE(y, p_t) + Σ_j w_j CE(y, p_j)] + α τ² KL(q ‖ p_T)
        + v · mean_t ‖x_t − z_t‖² / ‖z_t‖²

    where p_T is the network's output, p_t what it would give after an earlier step (deep
    supervision, arXiv 1409.5185), p_j an auxiliary output (arXiv 1409.4842, section 5), and q the
    teacher's, both softened by the temperature τ in that term (arXiv 1503.02531, section 2). In the
    last one x_t are states of recurrent blocks, and z_t the features after the blocks of the
    network that they were made of (after arXiv 1412.6550).

    A number of steps is a constant of the compiled training step: there is one for each number
    that is drawn, compiled when it is drawn first (of `incremental(30)` up to 465 pairs, for which
    PyTorch is the backend, which compiles none). A single one with masks would compute the
    largest number of steps for every batch, and recurrence would cost that much.

    Args:
        model: the functional model.
        steps: a `training.fit.steps.Steps`, or None for the steps that it was built with.
        seed: seed of the steps.
        epochs: epochs in all.
        supervision: w ≥ 0.
        teacher: a model with the same input and output, α, from 0 to 1, and τ > 0; or None.
        auxiliary: w_j of the model's outputs after the first one.
        features: v > 0, the network that it was made of, and pairs of a recurrent block and tensors
            of that network that the block's last states stand for; or None.
    """

    def __init__(
        self,
        model,
        steps=None,
        seed=0,
        epochs=1,
        supervision=0.0,
        teacher=None,
        auxiliary=(),
        features=None,
    ):
        super().__init__(name=f"{model.name}_in_training")
        self.network = model
        # In a plain namespace, or Keras would save the teacher and every graph with the model.
        self.how = types.SimpleNamespace(
            steps=steps,
            seed=seed,
            epochs=epochs,
            supervision=supervision,
            teacher=None,
            auxiliary=auxiliary,
            features=None,
            graphs={},
            now=None,
        )
        if features:
            weight, made_of, pairs = features
            wanted = [x for _, tensors in pairs for x in tensors]
            made_of.trainable = False
            self.how.features = types.SimpleNamespace(
                weight=weight,
                blocks=[block for block, _ in pairs],
                counts=[len(tensors) for _, tensors in pairs],
                network=keras.Model(made_of.input, wanted),
                error=RelativeError(),
            )
        if teacher:
            self.how.teacher, self.how.distillation, temperature = teacher
            self.how.teacher.trainable = False
            self.how.divergence = Divergence(temperature)
        self.begin_epoch(0)
        for name in ("zoo_record", "preprocess"):
            setattr(self, name, getattr(model, name, None))
        self.built = True
        self._prepare(None)

    def begin_epoch(self, epoch):
        """Tells which epoch comes next; `EpochOfSteps` does."""
        self.how.epoch, self.how.drawn = epoch, []

    def _prepare(self, steps, backprop_steps=None):
        """Builds the graph for so many steps outside of any compiled function; its key."""
        now = self.how.now = steps, backprop_steps
        if now not in self.how.graphs:
            every_step = self.how.supervision > 0
            watched = self.how.features.blocks if self.how.features else ()
            self.how.graphs[now] = graph(self.network, steps, every_step, backprop_steps, watched)
        return now

    def call(self, inputs, training=None):
        if not training:
            return keras.tree.flatten(self.network(inputs, training=False))[0]
        return self.how.graphs[self.how.now](inputs, training=True)

    def make_train_function(self, force=False):
        if self.how.steps is None:
            return super().make_train_function(force)
        if self.train_function is not None and not force:
            return self.train_function
        compiled = {}

        def train_function(*state_and_iterator):
            how = self.how
            batch = how.seed, how.epoch, len(how.drawn)
            how.drawn.append(how.steps.draw(*batch, how.epochs))
            now = self._prepare(how.drawn[-1], how.steps.backprop_steps(*batch))
            if now not in compiled:
                # A function of its own: JAX would take the same one for traced already.
                self.train_step = lambda *args, **kw: type(self).train_step(self, *args, **kw)
                super(Trainee, self).make_train_function(force=True)
                compiled[now], self.train_function = self.train_function, train_function
            return compiled[now](*state_and_iterator)

        # A batch of few steps gives no gradient to the per-step weights of later ones, as meant.
        warnings.filterwarnings("ignore", RESTING)
        self.train_function = train_function
        return train_function

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        how, earlier, states = self.how, [], []
        if isinstance(y_pred, list | tuple):
            y_pred, *earlier = y_pred
            if how.features:
                count = len(earlier) - len(how.features.blocks)
                earlier, states = earlier[:count], earlier[count:]
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training:
            return loss
        for weight, output in zip(how.auxiliary, earlier, strict=False):
            loss = loss + weight * self.loss(y, output)
        if earlier and how.supervision:
            loss = loss + how.supervision * sum(self.loss(y, p) for p in earlier) / len(earlier)
        if how.teacher is not None:
            follow = how.divergence(how.teacher(x, training=False), y_pred)
            loss = (1 - how.distillation) * loss + how.distillation * follow
        if states:
            loss = loss + how.features.weight * self._features_loss(x, states)
        return loss

    def _features_loss(self, x, states):
        features = self.how.features
        wanted = iter(keras.tree.flatten(features.network(x, training=False)))
        errors = [
            features.error(next(wanted), own[t])
            for own, count in zip(states, features.counts, strict=True)
            for t in range(-count, 0)
        ]
        return sum(errors) / len(errors)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if isinstance(y_pred, list | tuple):
            y_pred = y_pred[0]
        return super().compute_metrics(x, y, y_pred, sample_weight)


class EpochOfSteps(keras.callbacks.Callback):
    """Tells a `Trainee` the epoch, which its steps depend on."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.begin_epoch(epoch)


class RelativeError(keras.losses.Loss):
    """‖x − z‖² / ‖z‖² of an example's features x, and those z of a teacher, mean over the batch."""

    def __init__(self):
        super().__init__(name="relative_error", dtype="float32")

    def call(self, y_true, y_pred):
        axes = list(range(1, len(y_true.shape)))
        wanted = ops.stop_gradient(y_true)
        size = ops.maximum(ops.sum(ops.square(wanted), axis=axes), 1e-12)
        return ops.sum(ops.square(y_pred - wanted), axis=axes) / size


class Divergence(keras.losses.Loss):
    """τ² KL(softmax(teacher / τ) ‖ softmax(student / τ)) of logits, mean over the batch.

    A loss of Keras', since those know the replicas that TensorFlow adds the gradients of.

    Args:
        temperature: τ > 0.
    """

    def __init__(self, temperature):
        super().__init__(name="divergence", dtype="float32")
        self.temperature = temperature

    def call(self, y_true, y_pred):
        wanted = ops.log_softmax(ops.stop_gradient(y_true) / self.temperature)
        found = ops.log_softmax(y_pred / self.temperature)
        kl = ops.sum(ops.exp(wanted) * (wanted - found), axis=-1)
        return self.temperature**2 * kl
