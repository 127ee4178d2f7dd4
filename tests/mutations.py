"""Faults that the tests must catch: a list, and a command that tries each of them.

    python -m tests.mutations --list                  show the faults
    python -m tests.mutations                         try all of them, one on each core
    python -m tests.mutations layers/ 'training/*'    try those whose file or test matches

Whoever makes tests faster, merges them or drops some runs this before and after: what was caught
stays caught. Whoever adds a test that guards something subtle adds a line here.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import fnmatch
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# In one process, and also what is slow.
OPTIONS = ("-x", "-q", "-n0", "-m", "", "-p", "no:cacheprovider")
# Seconds after which a test with a fault is ended: it may wait for ever.
LIMIT = 600
# What pytest's exit codes mean; only 1 shows that a test noticed a fault.
CODES = {0: "passed", 2: "stopped before a test failed", 4: "knows no such test", 5: "ran no test"}


@dataclasses.dataclass(frozen=True)
class Fault:
    """A small change that breaks something.

    Attributes:
        file: The file to change, from the root of the checkout.
        old: Text that occurs exactly once in it.
        new: The text in its place.
        test: The test that fails then, as pytest names it.
        backend: Keras' backend that the test runs on.
    """

    file: str
    old: str
    new: str
    test: str
    backend: str = "tensorflow"


LAYERS, MODELS = "keras_recres/layers/", "keras_recres/models/"
LOOP = f"{LAYERS}depth_loop.py"
RECURRENT, TIME_LOOP = f"{LAYERS}recurrent.py", f"{LAYERS}time_loop.py"
IN_TIME = "tests/layers/test_recurrent.py"
ZOO, SERVE, CLI = "keras_recres/zoo/", "keras_recres/serve/", "keras_recres/cli/"
INTEGERS = "test_integers_are_computed_with_as_the_floats_they_stand_for"
PROBES, BACKEND = "keras_recres/probes/", "keras_recres/backend/"

CELLS = "tests/layers/cells/test_cells.py::"
IN_DEPTH = "tests/training/fit/test_in_depth.py::"
REFUSED = "tests/models/test_recurrent.py::test_what_cannot_be_is_refused_in_a_sentence"
STUDIES = "tests/training/studies/test_studies.py"
REENCODE = "tests/training/data/test_reencode.py"
FAULTS = [
    Fault(
        f"{ZOO}sources.py",
        'place = begun if getattr(source, "status", None) == 206 else 0',
        "place = begun",
        "tests/zoo/test_sources.py::test_an_interrupted_download_is_gone_on_with",
    ),
    Fault(
        f"{ZOO}sources.py",
        "if begun and not local and not isinstance(error, ValueError):",
        "if begun and not local:",
        "tests/zoo/test_sources.py::test_corrupt_download_leaves_nothing",
    ),
    Fault(
        f"{ZOO}registry.py",
        "def info(name: str) -> Record:",
        "def info(name: str):",
        "tests/test_types.py::test_every_public_function_says_what_it_takes_and_gives",
    ),
    # Recurrence in depth of any model.
    Fault(
        LOOP,
        "alone = int(len(values[0]) < len(values[-1]))",
        "alone = 0",
        "tests/layers/test_recurrent_residual.py::test_values_and_gradients_equal_an_explicit_loop"
        "[grown]",
    ),
    Fault(
        LOOP,
        "fixed = owned | {id(c.variable) for c in layer.own_corrections}",
        "fixed = owned",
        "tests/models/test_fold.py::test_frozen_kernels_stay_what_they_are_in_training",
        "torch",
    ),
    Fault(
        f"{MODELS}fold_controls.py",
        "correction.variable.trainable = False",
        "pass",
        f"{IN_DEPTH}test_controls_are_of_one_block_and_of_low_rank",
        "torch",
    ),
    Fault(
        "training/fit/trainee.py",
        "loss = loss + how.features.weight * self._features_loss(x, states)",
        "loss = loss + self._features_loss(x, states)",
        f"{IN_DEPTH}test_the_loss_of_features_is_that_of_its_equation",
        "torch",
    ),
    Fault(
        "training/fit/models.py",
        "compiled, model.compiled = model.compiled, False",
        "compiled = model.compiled",
        f"{IN_DEPTH}test_folded_blocks_learn_from_the_original",
        "torch",
    ),
    Fault(
        f"{MODELS}low_rank.py",
        "change.T @ change if moment is None else moment",
        "change.T @ change",
        "tests/models/test_fold.py::test_factors_are_nearest_and_nearest_for_data",
    ),
    Fault(
        f"{LAYERS}corrections.py",
        "key=lambda axis: letters[axis] in output",
        "key=lambda axis: 0",
        "tests/models/test_fold.py::test_moments_are_those_of_what_a_kernel_multiplies",
    ),
    Fault(
        f"{MODELS}repeat.py",
        'residual_scale=self.rule.residual_scale and "grown"',
        "residual_scale=self.rule.residual_scale",
        "tests/models/test_recurrent.py::test_a_repeated_model_begins_as_it_was",
    ),
    Fault(
        f"{MODELS}regions.py",
        "reference, arguments_of(node)",
        "reference, (node.arguments.args, node.arguments.kwargs)",
        "tests/models/test_blocks.py::test_ways_to_spell_a_call_leave_blocks_equal",
    ),
    Fault(
        f"{MODELS}recurrent_parts.py",
        "        if node.is_input:\n            raise",
        "        if node.is_input:\n            continue\n            raise",
        REFUSED,
    ),
    Fault(
        f"{MODELS}recurrent_parts.py",
        'getattr(part, "quantization_mode", None) is not None',
        "False",
        REFUSED,
        "torch",
    ),
    Fault(
        f"{MODELS}recurrent.py",
        "taken.update(map(id, able))",
        "pass",
        REFUSED,
        "torch",
    ),
    Fault(
        f"{MODELS}fold.py",
        "return rates or None",
        "return None",
        "tests/models/test_fold.py::test_steps_share_kernels_and_keep_what_is_theirs",
        "torch",
    ),
    Fault(
        f"{MODELS}low_rank.py",
        'ROUNDS if init == "least_squares" and rank else 0',
        "0",
        "tests/models/test_fold.py::test_factors_are_nearest_and_nearest_for_data",
        "torch",
    ),
    Fault(
        LOOP,
        "return y if scale is None else x + scale * (y - x)",
        "return y if scale is None else scale * y",
        "tests/models/test_recurrent.py::test_a_repeated_model_begins_as_it_was",
        "torch",
    ),
    Fault(
        f"{CLI}train.py",
        'record["peak_memory_bytes"] = fine_tuning.peak_memory()',
        "pass",
        "tests/cli/test_train.py::test_a_folder_becomes_a_file_and_the_next_commands_work",
        "torch",
    ),
    # Cells of recurrence in time, trees, films and jets.
    Fault(
        f"{LAYERS}cells/grid_lstm_cell.py",
        "seen = new_h if self.priority else h_time",
        "seen = h_time",
        f"{CELLS}test_outputs_and_gradients_equal_numpys",
        "torch",
    ),
    Fault(
        f"{LAYERS}cells/array_lstm_cell.py",
        "i, f, o = i * s, 1 - f * s, o * s",
        "i, f, o = i * s, f * s, o * s",
        f"{CELLS}test_outputs_and_gradients_equal_numpys",
        "torch",
    ),
    Fault(
        f"{LAYERS}cells/array_lstm_cell.py",
        "return drawn, [ops.mod(fraction + v, 1)]",
        "return drawn, [fraction]",
        "tests/layers/cells/test_grid_and_array.py::"
        "test_drawn_lanes_have_the_expectation_of_inference_and_differ_from_step_to_step",
        "torch",
    ),
    Fault(
        f"{LAYERS}attention_window.py",
        "inputs = ops.where(there[..., None] > 0, inputs, 0)",
        "inputs = inputs",
        "tests/layers/test_attention_window.py::test_outputs_are_the_weighted_sums",
        "torch",
    ),
    Fault(
        f"{LAYERS}tree_net.py",
        "last = ops.where(there[:, None], made, last)",
        "last = made",
        "tests/layers/test_tree_net.py::"
        "test_nodes_and_gradients_of_a_batch_of_trees_of_different_sizes",
        "torch",
    ),
    Fault(
        f"{LAYERS}tree.py",
        "(merges >= n + 1 + np.arange(n)[:, None])",
        "(merges > 2 * n)",
        "tests/layers/test_tree_net.py::test_wrong_trees_are_refused_in_one_sentence",
        "torch",
    ),
    Fault(
        f"{LAYERS}peephole_conv_lstm2d.py",
        "self.recurrent_activation(o + see_o * memory)",
        "self.recurrent_activation(o + see_o * states[1])",
        "tests/layers/test_peephole_conv_lstm2d.py::"
        "test_outputs_states_and_gradients_are_those_of_the_equations",
        "torch",
    ),
    Fault(
        f"{MODELS}conv_lstm_forecaster.py",
        "(x, initial_state=states[i])",
        "(x)",
        "tests/models/test_conv_lstm_forecaster.py::"
        "test_the_forecaster_goes_on_from_the_encoders_states",
        "torch",
    ),
    Fault(
        f"{ZOO}jets.py",
        "phi = np.angle(np.exp(1j * (phi - phi[np.argmax(pt)])))",
        "phi = phi - phi[np.argmax(pt)]",
        "tests/zoo/test_jets.py::"
        "test_jets_are_the_same_wherever_they_lie_and_however_they_are_turned",
        "torch",
    ),
    # Others' checkpoints, where all keys and shapes would fit another function.
    Fault(
        "keras_recres/models/convnets/resnet.py",
        "specs = [(filters, 1, 1), (filters, 3, strides), (4 * filters, 1, 1)]",
        "specs = [(filters, 1, strides), (filters, 3, 1), (4 * filters, 1, 1)]",
        "tests/models/convnets/test_resnet.py::test_torchvisions_checkpoints[resnet50_v1_5-50]",
        "torch",
    ),
    Fault(
        "keras_recres/models/convnets/inception.py",
        "x = between = modules(x, parts, _average_with_border)",
        "x = between = modules(x, parts)",
        "tests/models/convnets/test_inception.py::test_torchvisions_checkpoint_without_its_head",
        "torch",
    ),
    Fault(
        "keras_recres/models/convnets/applications.py",
        'layer.padding = "valid"',
        "pass",
        "tests/models/convnets/test_inception_resnet.py::test_xception_is_that_of_timm",
        "torch",
    ),
    # Weights that Keras downloads.
    Fault(
        f"{ZOO}keras_weights.py",
        "if offline:",
        "if False:",
        "tests/zoo/test_of_others.py::test_without_network_it_is_one_sentence[tiny]",
        "torch",
    ),
    Fault(
        f"{ZOO}preprocessing.py",
        'x = x.flip(-1) if hasattr(x, "new_tensor") else x[..., ::-1]',
        "pass",
        "tests/zoo/test_of_others.py::test_images_are_prepared_as_keras_does[resnet50]",
        "torch",
    ),
    Fault(
        f"{ZOO}registry.py",
        "return bool(loadable if source else tags & {*record.trained_tags})",
        "return bool(loadable)",
        "tests/zoo/test_of_others.py::test_keras_weights_are_not_counted_as_ours",
    ),
    Fault(
        "keras_recres/models/convnets/applications.py",
        "with keras_private.names_from_start():",
        "if True:",
        "tests/zoo/test_of_others.py::test_weights_and_class_names_come_through_keras_own_download[tiny]",
    ),
    # The convolutional line.
    Fault(
        "training/fit/models.py",
        "ops.full_like(logits[..., :1], -self.j)",
        "ops.full_like(logits[..., :1], self.j)",
        "tests/training/fit/test_fit.py::test_the_loss_of_lenet_has_a_class_of_images_of_nothing",
        "torch",
    ),
    Fault(
        f"{MODELS}convnets/highway.py",
        "for i in range(2 if stage == 1 else 1, depth // 3 + 1):",
        "for i in range(1, depth // 3 + 1):",
        "tests/models/convnets/test_highway.py::"
        "test_the_convolutional_network_is_that_of_plain_pytorch",
        "torch",
    ),
    Fault(
        f"{MODELS}convnets/rir.py",
        'r = keras.layers.Add(name=f"{block}_add")([r, shortcut])',
        'r = keras.layers.Add(name=f"{block}_add")([r, r])',
        "tests/models/convnets/test_rir_pyramidnet.py::test_rir_is_that_of_plain_pytorch",
        "torch",
    ),
    Fault(
        f"{MODELS}convnets/pyramidnet.py",
        'f"{name}_shortcut", pool=2)',
        'f"{name}_shortcut")',
        "tests/models/convnets/test_rir_pyramidnet.py::test_pyramidnet_is_that_of_plain_pytorch",
        "torch",
    ),
    Fault(
        f"{MODELS}shared_states.py",
        "key = (n, step) if self.own_norms else n",
        "key = n",
        "tests/models/test_shared_resnet.py::test_operators_are_shared_by_the_steps_but_for_norms",
        "torch",
    ),
    Fault(
        f"{MODELS}fully_convolutional.py",
        "            self.copy_state(operation)\n",
        "",
        "tests/models/test_fully_convolutional.py::test_every_answer_is_that_of_a_window",
        "torch",
    ),
    Fault(
        f"{MODELS}ensemble.py",
        "if None not in (one, two) and one != two:",
        "if False:",
        "tests/models/test_ensemble.py::test_what_does_not_belong_together_is_one_sentence",
        "torch",
    ),
    Fault(
        f"{LAYERS}s_cell.py",
        "inhibition[plane] += self.rate / 2 * size",
        "inhibition[plane] += self.rate * size",
        "tests/models/convnets/test_neocognitron.py::test_a_plane_that_has_learnt_answers_to_its_feature_alone",
        "torch",
    ),
    Fault(
        "training/line.py",
        "return layer.steps * depth(layer.branch)",
        "return depth(layer.branch)",
        "tests/training/test_line.py::test_a_branch_counts_as_often_as_it_runs_and_the_longest_way_counts",
        "torch",
    ),
    # Images of one's own.
    Fault(
        f"{ZOO}head_first.py",
        "layer.trainable = layer is head",
        "pass",
        "tests/zoo/test_fine_tuning.py::test_the_head_learns_first_and_statistics_stay",
        "torch",
    ),
    Fault(
        f"{ZOO}head_first.py",
        "swap_on_epoch=True",
        "swap_on_epoch=False",
        "tests/zoo/test_fine_tuning.py::"
        "test_the_weights_of_the_best_epoch_are_those_that_were_watched[more0]",
        "torch",
    ),
    Fault(
        f"{ZOO}head_first.py",
        "peak * layer_decay**depth",
        "peak",
        "tests/zoo/test_fine_tuning.py::test_layer_decay_slows_the_layers_far_from_the_head",
        "torch",
    ),
    Fault(
        f"{ZOO}image_folder.py",
        "labels=listing.labels[good],",
        "labels=listing.labels[: good.sum()],",
        "tests/zoo/test_image_folder.py::test_files_that_are_not_images_are_named_and_left_out",
        "torch",
    ),
    Fault(
        f"{ZOO}pictures.py",
        "height, width = sides or _resized(image, size, crop)",
        "height, width = _resized(image, size, crop)",
        "tests/zoo/test_image_folder.py::"
        "test_a_large_photograph_is_what_its_preprocessing_makes_of_it",
        "torch",
    ),
    # Layers.
    Fault(
        f"{LAYERS}recurrent_residual.py",
        "kwargs.update({k: v.item() for k, v in numbers.items() if v.ndim == 0})",
        "kwargs = dict(kwargs)",
        "tests/layers/test_recurrent_residual.py::test_steps_may_be_numpys",
    ),
    Fault(
        f"{LAYERS}recurrent_residual.py",
        "ops.cast(inputs, self.compute_dtype),",
        "inputs,",
        f"tests/layers/test_battery.py::{INTEGERS}[RecurrentResidual0-float32-int32]",
    ),
    Fault(
        f"{LAYERS}class_token.py",
        "        inputs = ops.cast(inputs, self.compute_dtype)\n",
        "",
        f"tests/layers/test_battery.py::{INTEGERS}[ClassToken0-mixed_bfloat16-uint8]",
    ),
    Fault(
        f"{LAYERS}soft_split.py",
        "padding = max(0, (kernel_size - strides + 1) // 2)",
        "padding = max(0, (kernel_size - strides) // 2)",
        "tests/layers/test_tokens.py::test_soft_split_is_a_loop_over_patches",
    ),
    Fault(
        f"{LAYERS}token_performer.py",
        "half_square = ops.sum(ops.square(x), axis=-1, keepdims=True) / 2",
        "half_square = ops.sum(ops.square(x), axis=-1, keepdims=True)",
        "tests/layers/test_tokens.py::test_token_performer_is_its_equation",
    ),
    Fault(
        f"{LAYERS}token_performer.py",
        'wide = "float64" if self.compute_dtype == "float64" else "float32"',
        "wide = self.compute_dtype",
        "tests/layers/test_tokens.py::test_token_layers_in_half_precision[TokenPerformer]",
    ),
    Fault(
        f"{LAYERS}token_transformer.py",
        "self.scale = (input_shape[-1] // self.num_heads) ** -0.5",
        "self.scale = (self.units // self.num_heads) ** -0.5",
        "tests/layers/test_tokens.py::test_token_transformer_is_its_equation",
    ),
    Fault(
        f"{LAYERS}transformer_block.py",
        '"drop_path", noise_shape=(None, 1, 1))',
        '"drop_path")',
        "tests/layers/test_tokens.py::test_drop_path_drops_whole_branches_of_examples",
    ),
    Fault(
        f"{LAYERS}alpha_relu.py",
        "exponent = ops.where(x > largest / math.log(largest), fixed, alpha)",
        "exponent = alpha",
        "tests/layers/test_alpha_relu.py::test_compilers_that_flush_subnormal_numbers_give_no_nan",
    ),
    Fault(
        f"{BACKEND}tensorflow.py",
        "shift = tf.stop_gradient(tf.reduce_mean(images[:1], axis=(0, 1, 2)))",
        "shift = tf.zeros(features)",
        "tests/layers/test_batch_normalization.py::test_a_large_mean_cancels_nothing",
    ),
    Fault(
        f"{LAYERS}frn.py",
        "or residual_dense.bias_initializer(self.sigma_a_sq)",
        "or residual_dense.bias_initializer(self.sigma_b_sq)",
        "tests/layers/test_residual_theory.py::"
        "test_initial_weights_are_normal_with_the_stated_variances",
    ),
    Fault(
        f"{LAYERS}conv3d_substitute.py",
        'before = (size - 1) // 2 if self.padding == "same" else 0',
        'before = size // 2 if self.padding == "same" else 0',
        "tests/layers/test_conv3d_substitute.py::test_it_computes_the_equation",
    ),
    Fault(
        f"{LAYERS}shared_slope.py",
        '{**config, "seed": seed + group}',
        '{**config, "seed": seed}',
        "tests/layers/test_meta.py::"
        "test_a_seeded_initializer_gives_the_same_kernel_again_but_not_equal_groups",
    ),
    Fault(
        f"{LAYERS}unsharing.py",
        "t = min(t, layer.steps - 1)",
        "t = t % layer.steps",
        "tests/layers/test_recurrent_residual.py::test_any_shape_any_steps_any_option",
    ),
    Fault(
        f"{LAYERS}recurrent_residual.py",
        "if mask is not None and not asked.return_states:",
        "if mask is not None and asked.return_states:",
        "tests/layers/test_recurrent_residual.py::test_the_mask_reaches_every_step_and_the_output",
    ),
    Fault(
        f"{LAYERS}unsharing.py",
        "        regularizer=weight.regularizer,\n",
        "",
        "tests/layers/test_recurrent_residual.py::test_copies_have_what_their_weight_has",
    ),
    Fault(
        f"{LAYERS}unsharing.py",
        "        constraint=weight.constraint,\n",
        "",
        "tests/layers/test_recurrent_residual.py::test_copies_have_what_their_weight_has",
    ),
    Fault(
        f"{LAYERS}unsharing.py",
        "        autocast=keras_private.autocasts(weight),\n",
        "",
        "tests/layers/test_recurrent_residual.py::test_copies_have_what_their_weight_has",
    ),
    # Recurrence in time: each would give wrong numbers for some masks, lengths or backends alone.
    Fault(
        RECURRENT,
        "                of_output = ops.flip(of_output, axis=1)",
        "                pass",
        f"{IN_TIME}::test_the_mask_of_reversed_outputs_is_reversed",
    ),
    Fault(
        f"{BACKEND}jax_scan.py",
        "d_constants[place] += rows",
        "d_constants[place] += 0 * rows",
        f"{CELLS}test_outputs_and_gradients_equal_numpys[jordan-plain]",
        "jax",
    ),
    Fault(
        f"{BACKEND}jax_lstm.py",
        "d_c = d_c + d_h * o * (1 - t * t) + d_o * p_o",
        "d_c = d_c + d_h * o * (1 - t * t)",
        f"{CELLS}test_outputs_and_gradients_equal_numpys[peephole_lstm-plain]",
        "jax",
    ),
    Fault(
        f"{BACKEND}tensorflow_lstm.py",
        "d_c = d_c + d_h * o * (1 - s * s) + d_o * p_o",
        "d_c = d_c + d_h * o * (1 - s * s)",
        f"{CELLS}test_the_compiled_gradient_is_that_of_the_loop_and_has_a_gradient"
        "[peephole_lstm-1]",
        "tensorflow",
    ),
    Fault(
        f"{PROBES}curvature.py",
        "{**seen.globals, **seen.nonlocals}",
        "{**seen.globals}",
        "tests/probes/test_curvature_arguments.py::test_a_curve_s_numpy_constants_are_named[True]",
        "torch",
    ),
    Fault(
        f"{PROBES}recurrence.py",
        "if constants is not None or tree.is_nested(sequences):",
        "if tree.is_nested(sequences):",
        "tests/probes/test_gradient_flow.py::test_a_step_of_more_than_one_input_is_refused[constants]",
    ),
    Fault(
        RECURRENT,
        "mask = keras.tree.map_structure(keras_private.get_mask, sequences)",
        "mask = None",
        f"{IN_TIME}::test_a_mask_counts_also_where_an_initial_state_is_given",
    ),
    Fault(
        RECURRENT,
        "return [*super().variables, *keras.tree.flatten(self.states or [])]",
        "return super().variables",
        f"{IN_TIME}::test_states_go_on_through_fit_evaluate_and_predict",
        "jax",
    ),
    Fault(
        RECURRENT,
        "states = self.get_initial_state(batch) if states is None else self._kept(states)",
        "states = self._kept([v * 0 for v in variables] if states is None else states)",
        f"{IN_TIME}::test_reset_state_gives_the_cells_own_first_states",
    ),
    Fault(
        RECURRENT,
        "ops.cast(state, self.variable_dtype) if",
        "ops.cast(state, self.compute_dtype) if",
        f"{IN_TIME}::test_states_stay_in_float32_in_mixed_precision",
    ),
    Fault(
        TIME_LOOP,
        'after = _where(mask, output, carry["output"])',
        "after = output",
        f"{IN_TIME}::test_a_masked_step_repeats_the_output_and_keeps_states_of_any_rank",
    ),
    Fault(
        TIME_LOOP,
        "before % every == 0",
        "before % every == 1",
        "tests/layers/cells/test_cells.py::test_outputs_and_gradients_equal_numpys",
    ),
    Fault(
        TIME_LOOP,
        "                    changed.add(i)",
        "                    pass",
        f"{IN_TIME}::test_layers_in_a_cell_draw_anew_in_each_step_and_add_their_losses",
    ),
    Fault(
        f"{BACKEND}tensorflow_scan.py",
        "array.stack()[before:]",
        "array.stack()",
        f"{IN_TIME}::test_a_length_may_be_known_only_when_the_graph_runs",
    ),
    Fault(
        f"{LAYERS}cells/peephole_lstm_cell.py",
        "z_o + p_o * c",
        "z_o",
        "tests/layers/cells/test_cells.py::test_outputs_and_gradients_equal_numpys",
    ),
    Fault(
        f"{BACKEND}torch_lstm.py",
        ".addcmul_(d_f, p_f)",
        "",
        "tests/layers/cells/test_cells.py::test_outputs_and_gradients_equal_numpys",
        "torch",
    ),
    Fault(
        f"{BACKEND}torch_lstm.py",
        "if torch.is_grad_enabled():",
        "if False:",
        "tests/layers/cells/test_cells.py::test_the_gradient_by_hand_has_a_gradient",
        "torch",
    ),
    # The loop.
    Fault(
        LOOP,
        '"loss": carry["loss"] + y.get("loss", 0.0),',
        '"loss": carry["loss"],',
        "tests/layers/test_recurrent_residual.py::"
        "test_losses_are_those_of_the_steps_that_a_batch_takes",
    ),
    Fault(
        LOOP,
        'carry = {**carry, "x": ops.stop_gradient(carry["x"])}',
        "carry = {**carry}",
        "tests/layers/test_recurrent_residual.py::test_values_and_gradients_equal_an_explicit_loop",
    ),
    Fault(
        LOOP,
        "x + scale * (y - x)",
        "x + scale * y",
        "tests/layers/test_recurrent_residual.py::test_values_and_gradients_equal_an_explicit_loop",
    ),
    Fault(
        LOOP,
        "layer.branch(inputs, training=training)",
        "layer.branch(inputs)",
        "tests/layers/test_recurrent_residual.py::"
        "test_dropout_draws_anew_each_step_and_remat_recomputes_the_same_mask",
    ),
    Fault(
        LOOP,
        '"x": ops.where(wide, x, carry["x"]),',
        '"x": x,',
        "tests/layers/test_recurrent_residual.py::test_exit_stops_each_example_by_itself",
    ),
    Fault(
        LOOP,
        "and (training or id(v) not in weights)",
        "",
        "tests/layers/test_recurrent_residual.py::test_inference_assigns_nothing",
    ),
    Fault(
        LOOP,
        "per_step[t].assign(values[t])",
        "per_step[t].assign(values[0])",
        "tests/layers/test_recurrent_residual.py::"
        "test_every_step_learns_its_own_statistics_beside_dropout[float32-False-scan-5]",
    ),
    Fault(
        LOOP,
        "per_step[t].assign(values[t])",
        "per_step[t].assign(values[0])",
        "tests/layers/test_recurrent_residual.py::"
        "test_batch_norm_statistics_are_shared_unless_unshared",
    ),
    Fault(
        LOOP,
        "        keras_private.set_mask(inputs, mask)\n",
        "        pass\n",
        "tests/layers/test_recurrent_residual.py::test_the_mask_reaches_every_step_and_the_output",
    ),
    Fault(
        LOOP,
        'layer.add_loss(ops.sum(ys["loss"]))',
        'layer.add_loss(ops.mean(ys["loss"]))',
        "tests/layers/test_recurrent_residual.py::test_activity_losses_of_all_steps_are_collected",
    ),
    Fault(
        LOOP,
        "            keras_private.forget_losses(layer.branch, scope.losses)\n",
        "",
        "tests/layers/test_recurrent_residual.py::"
        "test_the_layers_of_a_branch_forget_losses_that_the_loop_adds",
    ),
    Fault(
        LOOP,
        "(keras.remat(step) if self.remat else step)(*args)",
        "step(*args)",
        "tests/layers/test_recurrent_residual.py::"
        "test_remat_keeps_the_states_and_not_what_is_inside_the_branch",
        backend="jax",
    ),
    Fault(
        LOOP,
        'scan = form == "scan" and not _synchronises(layer, training)',
        'scan = form == "scan"',
        "tests/layers/test_recurrent_residual.py::"
        "test_replicas_meet_in_the_norms_of_every_step[{'loop': 'scan'}]",
    ),
    Fault(
        f"{LAYERS}unsharing.py",
        ".lower() and not wraps",
        ".lower()",
        "tests/layers/test_recurrent_residual.py::"
        "test_spectral_normalization_is_not_a_norm_and_learns_where_the_sentence_says",
    ),
    Fault(
        f"{LAYERS}recurrent_residual.py",
        "        keras_private.let_share(self.branch, branch)\n",
        "",
        "tests/layers/test_recurrent_residual.py::"
        "test_a_branch_of_two_layers_is_one_when_it_is_loaded",
    ),
    Fault(
        f"{LAYERS}tokens_to_token.py",
        "        refuse_mask(self, inputs)\n",
        "",
        "tests/layers/test_tokens.py::test_images_with_a_mask_are_refused",
    ),
    # Models.
    Fault(
        f"{LAYERS}checks.py",
        "args, kwargs = plain((args, kwargs))",
        "pass",
        "tests/layers/test_battery.py::test_numbers_may_be_numpys",
    ),
    Fault(
        f"{BACKEND}keras_private.py",
        "        io_utils.print_msg(message)\n",
        "        print(message)\n",
        "tests/backend/test_keras_private.py::test_what_a_terminal_lacks_is_left_out",
    ),
    Fault(
        f"{MODELS}t2t_vit.py",
        "drop_path=drop_path * i / max(1, depth - 1)",
        "drop_path=drop_path * i / depth",
        "tests/models/test_t2t_vit.py::test_drop_path_grows_linearly",
    ),
    Fault(
        f"{MODELS}product_rules.py",
        "return (layer.steps if steps is None else steps) * inner(layer.branch, inputs)",
        "return layer.steps * inner(layer.branch, inputs)",
        "tests/models/test_multiply_adds.py::test_recurrent_residual_counts_its_steps",
    ),
    Fault(
        f"{LAYERS}copying.py",
        "        copy.trainable = own.trainable\n",
        "        copy.trainable = source.trainable\n",
        "tests/models/test_substitute.py::test_frozen_layers_remain_frozen_and_substitutes_are_not",
    ),
    Fault(
        f"{MODELS}untie.py",
        "blocks[1 : layer.of_call(**kwargs).steps]",
        "blocks[1 : layer.steps]",
        "tests/models/test_untie.py::test_the_steps_of_a_call_are_those_of_the_chain",
    ),
    Fault(
        f"{LAYERS}copying.py",
        "        copy.load_own_variables({",
        "        dict({",
        "tests/models/test_copying.py::test_what_a_normalization_adapted_to_is_copied[substitute]",
    ),
    Fault(
        f"{LAYERS}copying.py",
        "                copy.load_assets(folder)\n",
        "                pass\n",
        "tests/models/test_copying.py::test_vocabularies_are_copied[untie]",
    ),
    Fault(
        f"{LAYERS}copying.py",
        "zip(source.weights, target.weights, strict=True)",
        "zip(source.weights[:0], target.weights[:0], strict=True)",
        "tests/models/test_copying.py::test_low_rank_updates_are_copied_and_not_merged",
    ),
    Fault(
        f"{MODELS}copying.py",
        "    check_copies(model, copies)\n",
        "",
        "tests/models/test_copying.py::test_what_cannot_be_copied_is_refused[int8]",
    ),
    Fault(
        f"{MODELS}copying.py",
        "if shared is not copy:",
        "if False:",
        "tests/models/test_copying.py::test_sharing_that_would_be_lost_is_refused",
    ),
    Fault(
        f"{MODELS}copying.py",
        '                config["branch"] = remade(operation.branch, known)\n',
        "                pass\n",
        "tests/models/test_copying.py::test_a_branch_of_two_layers_remains_one",
    ),
    Fault(
        f"{SERVE}repositories.py",
        'name: "logits" data_type',
        'name: "Identity" data_type',
        "tests/serve/test_repositories.py::test_a_repository_is_what_its_server_reads[triton]",
    ),
    Fault(
        f"{SERVE}portable.py",
        "node.resize_inputs(2)",
        "pass",
        "tests/serve/test_formats.py::test_a_convolution_of_volumes_without_a_bias",
        backend="torch",
    ),
    Fault(
        f"{SERVE}portable.py",
        "            optimize=False,\n",
        "",
        "tests/serve/test_formats.py::test_small_denominators_remain",
        backend="torch",
    ),
    Fault(
        f"{SERVE}portable.py",
        '(MetaLayer, "_mixes_in_place", lambda self, shape: True),',
        "",
        "tests/serve/test_formats.py::test_one_file_for_any_batch[litert-False]",
    ),
    Fault(
        f"{SERVE}portable.py",
        'elif node.op_type != "Loop":',
        "else:",
        "tests/serve/test_formats.py::test_weights_are_in_a_file_once[onnx-True]",
    ),
    Fault(
        f"{LAYERS}depth_loop.py",
        "if value is not old:",
        "if True:",
        "tests/serve/test_formats.py::test_one_file_for_any_batch[onnx-False]",
        backend="torch",
    ),
    Fault(
        f"{SERVE}steps.py",
        "pure = PureStep(layer, mask,",
        "pure = PureStep(layer, None,",
        "tests/serve/test_steps.py::test_masks_reach_the_steps_and_what_follows_them[True]",
    ),
    Fault(
        f"{SERVE}steps.py",
        '        keras_private.set_mask(carry["x"], mask)\n',
        "        pass\n",
        "tests/serve/test_steps.py::test_masks_reach_the_steps_and_what_follows_them[False]",
    ),
    Fault(
        f"{LAYERS}attention.py",
        "    if mask is not None:\n",
        "    if False:\n",
        "tests/layers/test_tokens.py::test_masked_tokens_are_as_if_they_were_not_there[recurrent]",
    ),
    Fault(
        f"{SERVE}int8.py",
        "layer.built and not own & _ids(layer)",
        "layer.built",
        "tests/serve/test_int8.py::test_steps_of_their_own_remain_as_they_are[int8]",
    ),
    Fault(
        f"{LAYERS}recurrent_residual.py",
        "        # Or a file would be written that fits no layer.\n        self.check_own()\n",
        "",
        "tests/layers/test_recurrent_residual.py::"
        "test_variables_replaced_after_each_step_got_its_own_are_refused[int8]",
    ),
    Fault(
        f"{MODELS}cifar_parts.py",
        "momentum=0.9",
        "momentum=0.99",
        "tests/models/test_cifar_net.py::test_norms_forget_a_tenth_a_batch",
    ),
    # The zoo.
    Fault(
        f"{ZOO}sources.py",
        "local = isinstance(error, OSError) and error.errno is not None",
        "local = False",
        "tests/zoo/test_sources.py::test_a_full_disk_is_not_the_networks_fault",
    ),
    Fault(
        f"{ZOO}evaluation.py",
        "    if not parts:\n",
        "    if False:\n",
        "tests/zoo/test_evaluation.py::test_no_image_has_no_logits",
    ),
    Fault(
        f"{ZOO}preprocessing.py",
        "if tensorflow_images.in_graph(images) else None",
        "if False else None",
        "tests/zoo/test_preprocessing.py::test_runs_in_tf_data_as_outside",
    ),
    Fault(
        f"{ZOO}convert/state_dict.py",
        'PREFIXES = re.compile(r"^(module\\.|_orig_mod\\.)+")',
        'PREFIXES = re.compile(r"^module\\.")',
        "tests/zoo/test_convert.py::test_checkpoints_of_other_training_scripts",
    ),
    Fault(
        f"{ZOO}convert/state_dict.py",
        "[argparse.Namespace, *_numpy_numbers()]",
        "[argparse.Namespace]",
        "tests/zoo/test_convert.py::test_checkpoints_of_other_training_scripts",
    ),
    Fault(
        f"{ZOO}manifest.py",
        '    if found["bytes"] == expected["bytes"]:\n        found = entry_of(path)\n',
        "",
        "tests/zoo/test_sources.py::test_corrupt_cached_file_is_reported_and_left",
    ),
    Fault(
        f"{ZOO}sources.py",
        'os.environ.get("KERAS_RECRES_OFFLINE", "0") not in ("", "0")',
        "False",
        "tests/zoo/test_sources.py::test_offline_never_uses_the_network",
    ),
    Fault(
        f"{SERVE}formats.py",
        'if activations and name == "litert"',
        'if False and name == "litert"',
        "tests/serve/test_formats.py::test_missing_packages_are_named",
    ),
    Fault(
        f"{CLI}evaluate.py",
        "FromFile(model, arguments.file)",
        "model",
        "tests/cli/test_computing.py::test_evaluate_measures_a_file_beside_its_network",
    ),
    Fault(
        f"{ZOO}pictures.py",
        "preprocess.size[::quarter]",
        "preprocess.size",
        "tests/zoo/test_image_folder.py::test_a_phones_pictures_stand_upright",
    ),
    Fault(
        f"{ZOO}pictures.py",
        "        image = upright(image)\n",
        "",
        "tests/zoo/test_image_folder.py::test_a_phones_pictures_stand_upright",
    ),
    Fault(
        f"{ZOO}loading.py",
        "{**overrides, **_of_other_size(record, tag, changes)}",
        "overrides",
        "tests/zoo/test_loading.py::test_weights_for_each_pixel_take_another_size",
    ),
    Fault(
        f"{ZOO}building.py",
        "preprocess = record.preprocessing_of(tag)",
        "preprocess = record.preprocessing_of()",
        "tests/zoo/test_loading.py::test_preprocess_is_that_of_the_tag",
    ),
    Fault(
        f"{ZOO}building.py",
        "    finally:\n        keras.config.set_dtype_policy(before)",
        "    except TypeError:\n        keras.config.set_dtype_policy(before)",
        "tests/zoo/test_loading.py::test_policy_is_restored_after_an_error",
    ),
    Fault(
        f"{ZOO}transfer.py",
        "reason = reason or surplus(model, path)",
        "reason = reason or ''",
        "tests/zoo/test_loading.py::TestOwnFile::test_of_a_deeper_network_is_refused",
    ),
    Fault(
        f"{ZOO}preprocessing.py",
        'antialias=self.interpolation != "nearest"',
        "antialias=False",
        "tests/zoo/test_preprocessing.py::test_resize_crop_normalise",
    ),
    Fault(
        f"{ZOO}convert/state_dict.py",
        'ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model", "net")',
        'ENTRIES = ("state_dict", "state_dict_ema", "model_ema", "model", "net")',
        "tests/zoo/test_convert.py::test_reads_a_saved_checkpoint",
    ),
    Fault(
        f"{ZOO}convert/state_dict.py",
        'map_location="cpu", weights_only=True',
        'map_location="cpu", weights_only=False',
        "tests/zoo/test_convert.py::test_code_in_a_checkpoint_is_refused",
    ),
    Fault(
        f"{ZOO}convert/layout.py",
        "reshape(as_convolution).transpose(2, 3, 1, 0)",
        "reshape(as_convolution).transpose(1, 2, 3, 0)",
        "tests/models/convnets/test_vgg.py::test_checkpoints_of_torchvision_and_timm",
        "torch",
    ),
    Fault(
        f"{ZOO}convert/networks.py",
        "if others and name not in others:",
        "if others and not LAYOUTS.get(name):",
        "tests/zoo/test_checkpoint.py::test_what_is_another_networks_is_refused",
    ),
    Fault(
        f"{ZOO}convert/googlenet.py",
        '{"transform_input": True}',
        "{}",
        "tests/models/convnets/test_googlenet.py::test_torchvisions_checkpoint",
        "torch",
    ),
    Fault(
        f"{MODELS}convnets/alexnet.py",
        "LocalResponseNormalization(name",
        "LocalResponseNormalization(average=True, name",
        "tests/models/convnets/test_alexnet.py::test_the_papers_network_is_that_of_plain_pytorch",
        "torch",
    ),
    # Probes.
    Fault(
        f"{PROBES}curvature_record.py",
        "around = theta[0] + high - low",
        "around = high",
        "tests/probes/test_curvature_record.py::test_integrals_of_closed_curves_are_exact",
    ),
    Fault(
        f"{PROBES}curvature.py",
        "                own.append((name, value))\n",
        "                own.append(name)\n",
        "tests/probes/test_curvature_arguments.py::test_changed_weights_and_settings_are_seen",
    ),
    Fault(
        f"{PROBES}curvature_callback.py",
        "if (epoch + 1) % self.every == 0:",
        "if epoch % self.every == 0:",
        "tests/probes/test_curvature_callback.py::test_it_measures_before_and_every_other_epoch",
    ),
    Fault(
        f"{PROBES}curves.py",
        "u, w = (np.sqrt(2) * s * axis",
        "u, w = (s * axis",
        "tests/probes/test_curves.py::test_pca_has_the_variances_of_the_data",
    ),
    Fault(
        f"{PROBES}mean_field/prediction.py",
        "chi_b[1:] + log_p[:-1]",
        "chi_b[1:] + log_p[1:]",
        "tests/probes/test_mean_field_predict.py::test_relu_without_biases_in_closed_form",
    ),
    Fault(
        f"{PROBES}windows.py",
        "before = max(missing, 0) // 2",
        "before = -(-max(missing, 0) // 2)",
        "tests/probes/test_receptive_field.py::test_cells_outside_the_field_have_no_gradient_and_its_edges_have_one",
    ),
    Fault(
        f"{PROBES}windows.py",
        "last = window.last + ((side or 1) - 1) * window.stride",
        "last = window.last",
        "tests/probes/test_receptive_field.py::test_vgg19",
    ),
    Fault(
        f"{PROBES}top_patches.py",
        "first = [s * i + o for",
        "first = [s * i for",
        "tests/probes/test_receptive_field.py::test_patches_are_what_units_see",
    ),
    Fault(
        f"{PROBES}paths.py",
        "gradient = step.through_shortcut(x, gradient)",
        "gradient = step.scale * gradient",
        "tests/probes/test_paths.py::"
        "test_a_unit_that_changes_the_width_has_its_projection_for_a_shortcut",
        "torch",
    ),
    Fault(
        f"{PROBES}paths.py",
        "return self.backward(x, gradient) - self.through_shortcut(x, gradient)",
        "return self.backward(x, gradient)",
        "tests/probes/test_paths.py::test_paths_and_the_two_forms_of_the_gradient",
    ),
    Fault(
        f"{LAYERS}cells/residual_cell.py",
        "(1 - s) * x) + s * y",
        "x) + s * y",
        "tests/models/test_recurrent_forms.py::test_a_block_in_time_is_the_block_in_depth",
    ),
    Fault(
        f"{MODELS}field_rnn.py",
        "read.set_weights([inverse, -bias @ inverse])",
        "read.set_weights([inverse, bias @ inverse])",
        "tests/models/test_field_rnn.py::test_hidden_units_as_the_state_are_the_same_network",
    ),
    Fault(
        f"{LAYERS}runge_kutta.py",
        "slope(inputs + self.dt * third)",
        "slope(inputs + half * third)",
        "tests/models/test_field_rnn.py::test_steps_are_those_of_runge_kutta",
    ),
    Fault(
        f"{ZOO}problems.py",
        "- 0.2 * v + 0.3",
        "+ 0.2 * v + 0.3",
        "tests/models/test_field_rnn.py::test_the_data_are_trajectories",
    ),
    Fault(
        f"{MODELS}recurrent_forms.py",
        "copy_state(cell, branch.cell)",
        "pass",
        "tests/models/test_recurrent_forms.py::"
        "test_a_recurrent_network_is_a_block_in_depth_of_its_states_and_input",
    ),
    Fault(
        f"{PROBES}recurrence.py",
        "scale[scale == 0] = 1",
        "scale[:] = 1",
        "tests/probes/test_gradient_flow.py::"
        "test_the_product_of_the_lecture_neither_underflows_nor_overflows",
    ),
    Fault(
        f"{PROBES}recurrence.py",
        "each[nothing] = 0",
        "each[~self.live] = 0",
        "tests/probes/test_gradient_flow.py::test_backpropagation_through_time_with_masks",
    ),
    Fault(
        f"{PROBES}recurrence.py",
        "going[self.cuts[:, t], 0] = 0",
        "pass",
        "tests/probes/test_gradient_flow.py::test_the_same_in_depth",
    ),
    Fault(
        f"{PROBES}gates.py",
        "jacobian[:, part, part]",
        "jacobian",
        "tests/probes/test_gates.py::test_all_paths_against_the_memory_alone",
    ),
    Fault(
        f"{PROBES}responses.py",
        "if output is args[0]:",
        "if output is None:",
        "tests/probes/test_responses.py::test_after_the_norm_before_the_nonlinearity_and_the_sum",
    ),
    Fault(
        f"{MODELS}factorize.py",
        "squares += rest**2",
        "squares = rest**2",
        "tests/models/test_factorize.py::test_the_error_that_is_told_is_the_kernels",
    ),
    Fault(
        f"{BACKEND}keras_private.py",
        'f"{path}#{len(found)}" if path in found else path',
        "path",
        "tests/backend/test_keras_private.py::test_weights_of_one_path_learn_as_those_of_two",
        "torch",
    ),
    Fault(
        f"{MODELS}shared_resnet.py",
        'name=f"stage{i}_branch",',
        'name="branch",',
        "tests/zoo/test_battery.py::test_counts_are_exact[shared_resnet.cifar10_jpeg]",
    ),
    Fault(
        f"{BACKEND}torch_probe.py",
        "or torch.Tag.nondeterministic_seeded in tags:",
        "or False:",
        "tests/backend/test_torch_probe.py::test_random_numbers_are_drawn_anew",
        "torch",
    ),
    Fault(
        f"{BACKEND}torch_probe.py",
        "if (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype):",
        "if a.dtype == b.dtype:",
        "tests/backend/test_torch_probe.py::test_sums_with_zeros_of_another_shape_stay",
        "torch",
    ),
    Fault(
        f"{BACKEND}torch_probe.py",
        "return any(of_zeros[:2]) and all(of_zeros[2:])",
        "return any(of_zeros)",
        "tests/backend/test_torch_probe.py::test_what_a_convolution_of_zeros_adds_stays",
        "torch",
    ),
    Fault(
        f"{BACKEND}torch_probe.py",
        "        if _is_zero(node, zeros):\n            zeros.add(node)\n",
        "",
        "tests/backend/test_torch_probe.py::test_products_are_done_once_and_none_by_the_zero_tangents_of_weights",
        "torch",
    ),
    Fault(
        "training/studies/mnist_init_cells.py",
        " if key not in self._known}",
        "}",
        "tests/training/studies/test_mnist_init.py::test_what_is_finished_is_filed_once",
    ),
    Fault(
        "training/benchmark.py",
        "rows = earlier(a.json) if a.resume else []",
        "rows = []",
        "tests/training/benchmarks/test_benchmark.py::test_resume_measures_what_the_file_lacks_and_tables_all",
        "torch",
    ),
    Fault(
        "training/benchmarks/plain_torch.py",
        ".permute(3, 2, 0, 1)",
        ".permute(3, 2, 1, 0)",
        "tests/training/benchmarks/test_benchmark_convnets.py::test_residual_networks_are_the_same",
        "torch",
    ),
    Fault(
        f"{CLI}probe_lesion.py",
        "if dash else first) + 1)",
        "if dash else first))",
        "tests/cli/test_computing.py::test_probe_lesion",
    ),
    # Distribution over devices.
    Fault(
        "keras_recres/distribute.py",
        "return apart < 0.25 / self.processes",
        "return apart < 0.25",
        "tests/distribute/test_scope.py::test_processes_agree_on_one_number_alone",
    ),
    Fault(
        f"{BACKEND}tensorflow_distribution.py",
        'return int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)',
        'return int(task["index"])',
        "tests/distribute/test_scope.py::test_a_chief_is_the_first_of_the_workers",
    ),
    Fault(
        f"{BACKEND}torch_distribution.py",
        "batch_norm = keras.layers.BatchNormalization",
        "batch_norm = keras.layers.GroupNormalization",
        "tests/distribute/test_scope.py::test_batch_normalization_is_refused_in_several_processes",
        backend="torch",
    ),
    # Trainings that go on.
    Fault(
        "training/fit/backup.py",
        'metadata = {"epoch": epoch + 1, "weights": name}',
        'metadata = {"epoch": epoch, "weights": name}',
        "tests/training/fit/test_fit.py::test_a_continued_training_is_the_uninterrupted_one[plain]",
    ),
    Fault(
        "training/fit/callbacks.py",
        "(epoch << 20) % 2**31",
        "0",
        "tests/training/fit/test_strategy.py::"
        "test_an_epochs_dropout_is_its_own_and_a_processs_where_each_draws",
    ),
    Fault(
        "training/fit/callbacks.py",
        "        self.batches.epoch = epoch\n",
        "",
        "tests/training/fit/test_fit.py::test_a_continued_training_is_the_uninterrupted_one[plain]",
    ),
    Fault(
        "training/fit/callbacks.py",
        'float(logs.get("val_loss", 0.0))',
        'float(logs.get("validation_loss", 0.0))',
        "tests/training/fit/test_options.py::"
        "test_weights_spoilt_by_the_last_step_of_an_epoch_are_not_kept",
    ),
    Fault(
        "training/files.py",
        'Path(folder) / ".lock"',
        'Path(folder) / f".lock{os.getpid()}"',
        "tests/training/fit/test_fit.py::test_two_processes_do_not_train_in_one_folder",
    ),
    Fault(
        "training/data/batches.py",
        "if drawn_for != epoch:",
        "if drawn_for is None:",
        "tests/training/data/test_data.py::test_a_batch_depends_on_seed_epoch_and_number_only",
    ),
    Fault(
        "training/fit/outcome.py",
        'if len(rows) != settings["epochs"]:',
        'if len(rows) > settings["epochs"]:',
        "tests/training/fit/test_fit.py::test_a_lost_log_is_reported",
    ),
    # Training.
    Fault(
        "training/fit/optimizers.py",
        'spared = ("bias", "gamma", "beta", "token", "embedding")',
        'spared = ("bias", "gamma", "beta", "embedding")',
        "tests/training/fit/test_fit.py::test_decay_shrinks_kernels_and_nothing_else",
    ),
    Fault(
        "training/data/augment.py",
        "2 * (size - 1) - position",
        "2 * size - 1 - position",
        "tests/training/data/test_data.py::test_a_shift_is_reflection_padding_and_a_crop",
    ),
    Fault(
        "training/fit/trainee.py",
        "how.supervision * sum(self.loss(y, p) for p in earlier) / len(earlier)",
        "how.supervision * sum(self.loss(y, p) for p in earlier)",
        "tests/training/fit/test_recurrence.py::test_deep_supervision_adds_the_loss_of_earlier_steps",
    ),
    Fault(
        "training/ledger/recording.py",
        'best = min(at_hand, key=lambda i: runs[i].get("train_set_loss", runs[i]["train_loss"]))',
        'best = max(at_hand, key=lambda i: runs[i]["val_accuracy"])',
        "tests/training/test_evaluate.py::"
        "test_runs_become_one_entry_that_loads_and_is_measured_again",
    ),
    # Serving.
    Fault(
        f"{SERVE}exporting.py",
        "pathlib.Path(directory).expanduser()",
        "pathlib.Path(directory)",
        "tests/serve/test_export.py::test_a_folder_in_the_home",
    ),
    Fault(
        f"{SERVE}signatures.py",
        "if isinstance(part, tf.saved_model.experimental.TrackableResource)",
        "if False",
        "tests/serve/test_export.py::test_a_lookup_is_exported_with_its_table",
    ),
    Fault(
        f"{SERVE}steps.py",
        "tf.where(t < wide,",
        "tf.where(t <= wide,",
        "tests/serve/test_steps.py::test_every_example_has_its_own_number[{'unshare': ('norm',)}]",
    ),
    Fault(
        f"{SERVE}verify.py",
        "if not differences[where] <= tolerance:",
        "if differences[where] > tolerance:",
        "tests/serve/test_export.py::test_every_output_is_compared",
    ),
    Fault(
        f"{SERVE}exporting.py",
        "        shutil.rmtree(self.folder, ignore_errors=True)\n",
        "",
        "tests/serve/test_export.py::test_a_failed_export_leaves_nothing",
    ),
    Fault(
        f"{MODELS}copying.py",
        "    copy_states(model, copies)\n    check_copies(model, copies)\n    return new_model\n",
        "    return new_model\n",
        "tests/serve/test_int8.py::test_a_recurrent_model_is_nearly_itself",
    ),
    # The command line.
    Fault(
        f"{CLI}errors.py",
        "code, said = 1, error",
        "code, said = 2, error",
        "tests/cli/test_computing.py::test_what_an_error_is_worth",
    ),
    Fault(
        f"{CLI}saving.py",
        "if path.exists() and not overwrite:",
        "if path.is_dir() and not overwrite:",
        "tests/cli/test_computing.py::test_untie_saves_the_same_function",
    ),
    Fault(
        f"{SERVE}network.py",
        "x = inner.outputs[output_index(x)]",
        "x = inner.outputs[0]",
        "tests/serve/test_export.py::test_probabilities_are_refused_wherever_they_arise",
    ),
    Fault(
        f"{SERVE}network.py",
        "            outer.append((inner, given))\n",
        "            return operation\n",
        "tests/serve/test_export.py::test_probabilities_are_refused_wherever_they_arise",
    ),
    Fault(
        f"{SERVE}reference.py",
        "    check_logits(network.model, logits)\n",
        "",
        "tests/serve/test_export.py::test_rows_that_are_distributions_are_refused",
    ),
    Fault(
        f"{ZOO}evaluation.py",
        '1e-2 if "16" in model.outputs[0].dtype else 1e-5',
        "1e-5",
        "tests/serve/test_export.py::test_rows_that_are_distributions_are_refused",
    ),
    Fault(
        f"{CLI}options.py",
        "model.class_names = None",
        "pass",
        "tests/cli/test_computing.py::"
        "test_predict_has_names_only_where_the_file_or_the_command_says_which",
    ),
    Fault(
        f"{ZOO}loading.py",
        'or (k == "num_classes" and not own)',
        "",
        "tests/zoo/test_loading.py::TestClasses::"
        "test_as_many_classes_of_ones_own_have_a_fresh_head_and_no_names",
    ),
    Fault(
        f"{ZOO}building.py",
        '{"num_classes", "features_only"} & overrides.keys()',
        '{"features_only"} & overrides.keys()',
        "tests/zoo/test_loading.py::TestClasses::"
        "test_as_many_classes_of_ones_own_have_a_fresh_head_and_no_names",
    ),
    Fault(
        f"{ZOO}loading.py",
        "if own:\n        # Whatever",
        "if own and tag is None:\n        # Whatever",
        "tests/zoo/test_loading.py::TestOwnFile::"
        "test_called_as_the_zoo_calls_it_and_written_otherwise",
    ),
    Fault(
        f"{ZOO}loading.py",
        'if own and "num_classes" in changes:',
        'if False and "num_classes" in changes:',
        "tests/zoo/test_loading.py::TestClasses::"
        "test_the_head_of_ones_own_stays_with_other_changes",
    ),
    Fault(
        f"{ZOO}transfer.py",
        "heads = [layer for layer in heads if not isinstance(layer, RecurrentResidual)]",
        "",
        "tests/zoo/test_loading.py::test_without_a_head_as_many_classes_change_nothing",
    ),
    Fault(
        f"{ZOO}safe_config.py",
        'for name in _unknown(config):\n        raise ValueError(\n            f"{where} asks',
        'for name in ():\n        raise ValueError(\n            f"{where} asks',
        "tests/zoo/test_folder.py::"
        "test_a_config_that_asks_for_code_is_refused_before_keras_reads_it",
    ),
    Fault(
        f"{ZOO}folder.py",
        "if not error <= tolerance:",
        "if False:",
        "tests/zoo/test_folder.py::test_other_weights_give_other_logits",
    ),
    Fault(
        f"{ZOO}zoo_model.py",
        "model.preprocess = text.from_dict(preprocess)",
        "pass",
        "tests/serve/test_export.py::test_a_saved_network_is_exported_as_it_was",
    ),
    Fault(
        f"{MODELS}untie.py",
        "return keep_facts(model, new_model)",
        "return new_model",
        "tests/zoo/test_zoo_model.py::test_copies_know_it_and_their_files_too",
    ),
    Fault(
        f"{MODELS}graph.py",
        "keep_facts(layer, copies[layer.name])",
        "pass",
        "tests/zoo/test_zoo_model.py::"
        "test_a_network_in_another_model_knows_it_and_the_other_does_not",
    ),
    Fault(
        f"{MODELS}random_inputs.py",
        "low = int(mask_zero and tokens > 1)",
        "low = 0",
        "tests/models/test_copying.py::test_what_masks_is_copied[True-True]",
    ),
    Fault(
        f"{SERVE}exporting.py",
        'if getattr(model, "class_names", None) is not None and labels',
        "if False and labels",
        "tests/serve/test_export.py::test_names_are_those_that_the_head_was_trained_with",
    ),
    Fault(
        f"{CLI}options.py",
        "loading.tag_of_file(record, weights):\n"
        "        return zoo.load(name, weights=weights, **changes)",
        "loading.tag_of_file(record, weights):\n        return zoo.load(name, weights=weights)",
        "tests/cli/test_computing.py::test_predict_takes_other_steps",
    ),
    Fault(
        LOOP,
        "cut = no_gradients if t < steps - k else",
        "cut = no_gradients if t < steps - k - 1 else",
        "tests/layers/test_recurrent_residual.py::"
        "test_a_call_may_say_how_many_steps_gradients_flow_through",
        "torch",
    ),
    Fault(
        f"{ZOO}mazes.py",
        "if ways[end] > 1:",
        "if ways[end] > 2:",
        "tests/zoo/test_problems.py::test_two_shortest_paths_count_as_none",
    ),
    Fault(
        f"{ZOO}evaluation.py",
        "accuracy = float(np.mean(right.all(axis=1)))",
        "accuracy = float(np.mean(right))",
        "tests/cli/test_computing.py::test_a_row_for_each_number_of_steps",
    ),
    Fault(
        "training/fit/steps.py",
        "return without, int(rng.integers(1, self.most - without + 1))",
        "return without, int(rng.integers(1, self.most + 1))",
        "tests/training/fit/test_recurrence.py::test_steps_are_drawn_as_their_name_says",
    ),
    Fault(
        "training/jobs/pending_trainings.py",
        'options.append(f"--precision={known}")',
        "pass",
        "tests/training/fit/test_precision.py::"
        "test_seeds_of_a_row_have_the_precision_of_those_that_are_filed",
    ),
    Fault(
        f"{ZOO}registry.py",
        "import difflib\n",
        "import difflib\n\nimport keras\n",
        "tests/cli/test_light.py::test_starts_within_a_second_and_without_keras",
    ),
    # Order, draws, settings, decay and files.
    Fault(
        "training/data/batches.py",
        "order = np.random.default_rng((self.seed, epoch)).permutation",
        "order = np.random.default_rng(self.seed).permutation",
        "tests/training/data/test_data.py::test_each_epoch_has_an_order_of_its_own",
    ),
    Fault(
        "training/data/batches.py",
        "draws = (self.seed, epoch, number, *",
        "draws = (self.seed, epoch, 0, *",
        "tests/training/data/test_data.py::test_each_batch_draws_an_augmentation_of_its_own",
    ),
    Fault(
        "training/settings.py",
        "for key in {**one, **other} if",
        "for key in one if",
        "tests/training/test_settings.py::test_every_setting_tells_one_training_from_another",
    ),
    Fault(
        "training/fit/optimizers.py",
        "if len(v.shape) <= 1 or any(",
        "if any(",
        "tests/training/fit/test_fit.py::test_decay_spares_vectors_whatever_they_are_called",
    ),
    Fault(
        f"{ZOO}files.py",
        'aside = path.with_name(f".{os.getpid()}.{path.name}")',
        "aside = path",
        "tests/zoo/test_sources.py::test_a_manifest_is_written_whole_or_not_at_all",
    ),
    Fault(
        "training/files.py",
        'aside = path.with_name(f".part.{os.getpid()}.{path.name}")',
        "aside = path",
        "tests/training/fit/test_fit.py::test_a_write_that_fails_leaves_the_old_file_whole",
    ),
    # The copy of CIFAR-10 that networks were trained on.
    Fault(
        "training/data/reencode.py",
        'image.samp_factor = "4:2:0"',
        'image.samp_factor = "4:4:4"',
        f"{REENCODE}::test_an_interrupted_re_encoding_goes_on_and_is_the_zoos_copy",
    ),
    Fault(
        "training/data/reencode.py",
        "if not (piece.exists() or file.exists()):",
        "if not file.exists():",
        f"{REENCODE}::test_an_interrupted_re_encoding_goes_on_and_is_the_zoos_copy",
    ),
    Fault(
        "training/fit/options.py",
        'interpolation="mean"',
        'interpolation="bicubic"',
        "tests/training/fit/test_fit.py::test_a_smaller_input_shape_trains_and_measures_on_means",
    ),
    Fault(
        "training/studies/cifar16.py",
        "and not (run.path / self.kept).exists()",
        "",
        "tests/training/studies/test_cifar16.py::test_a_network_is_trained_and_its_responses_are_measured_once",
    ),
    Fault(
        "training/studies/study.py",
        "tell_missing(sum(run.metrics is None for run in runs), len(runs), a)",
        "pass",
        f"{STUDIES}::test_a_study_without_trainings_tells_what_trains_them[shared_resnet]",
    ),
    Fault(
        "training/studies/effects.py",
        "self.mean_difference([pair, other[::-1]])",
        "self.mean_difference([pair, other])",
        "tests/training/studies/test_tying.py::"
        "test_the_interaction_is_the_difference_of_the_differences",
    ),
    Fault(
        "training/studies/recurrent_text.py",
        'if is_finished(run) and not (run.path / "final.json").exists():',
        "if is_finished(run):",
        "tests/training/studies/test_recurrent_text.py::test_the_test_set_is_read_once_and_by_final_alone",
    ),
    Fault(
        "training/studies/recurrent_text_nets.py",
        "log_ratios(ids[fold != k], labels[fold != k])",
        "log_ratios(ids, labels)",
        "tests/training/studies/test_recurrent_text.py::test_a_review_does_not_count_itself",
    ),
    Fault(
        "training/studies/trained_here.py",
        "if found != value:",
        "if found is None:",
        "tests/training/studies/test_made_sequences.py"
        "::test_gradients_are_measured_before_and_after_training",
    ),
    Fault(
        "training/studies/measured.py",
        "            if differ:\n",
        "            if False:\n",
        "tests/training/studies/test_planar.py"
        "::test_command_line_prints_the_table_and_leaves_pictures",
    ),
    Fault(
        "training/fit/loop.py",
        " or any(watcher.every_step for watcher in watching)",
        "",
        "tests/training/studies/test_mnist_resnet50.py"
        "::test_the_recipe_is_the_slides_and_every_step_is_logged",
    ),
    Fault(
        "training/report/page.css",
        "  .picture img { filter: invert(1) hue-rotate(180deg); }\n",
        "",
        "tests/training/report/test_report.py::test_on_a_phone_in_the_dark",
    ),
    Fault(
        "keras_recres/zoo/convert/t2t.py",
        "return np.moveaxis(patches, -1, -3).reshape(*leading, -1)",
        "return patches.reshape(*leading, -1)",
        "tests/zoo/test_convert.py::test_to_torch_is_the_inverse_to_the_bit[performer]",
    ),
    Fault(
        "keras_recres/models/t2t_vit.py",
        'name=f"{name}_map")(tokens[:, 1:])',
        'name=f"{name}_map")(tokens[:, :-1])',
        "tests/models/test_features.py::test_each_image_family_has_maps[vit3_rec]",
    ),
    Fault(
        "keras_recres/zoo/channels.py",
        "values[id(dense.bias)] = values[id(dense.bias)] + beta @ kernel",
        "pass",
        "tests/zoo/test_channels.py::test_equal_channels_give_the_same_logits[vit3_rec]",
        "torch",
    ),
    Fault(
        f"{ZOO}text.py",
        "+ row[-self.length :]",
        "+ row[: self.length]",
        "tests/zoo/test_text.py::test_texts_become_the_numbers_of_their_last_words",
    ),
    Fault(
        f"{ZOO}text.py",
        "            if not row:\n",
        "            if False:\n",
        "tests/zoo/test_text.py::test_what_is_not_a_text_is_one_sentence",
    ),
    Fault(
        f"{BACKEND}tensorflow_text.py",
        'tf.strings.regex_replace(x, "[!?]", r" \\0 ")',
        "x",
        "tests/zoo/test_text.py::test_a_graph_of_tensorflow_gives_the_same_numbers",
    ),
    Fault(
        f"{ZOO}zoo_model.py",
        "preprocess = preprocess.whole()",
        "pass",
        "tests/zoo/test_text.py::test_a_saved_network_predicts_texts",
    ),
    Fault(
        f"{ZOO}building.py",
        "words=words, length=model.input_shape[1]",
        "words=words",
        "tests/zoo/test_text.py::test_a_saved_network_predicts_texts",
    ),
    Fault(
        f"{MODELS}text_parts.py",
        "((0, 0), (1, 0))",
        "((0, 0), (0, 1))",
        "tests/models/test_text_classifier.py::test_two_logits_are_the_sigmoid_of_one_unit",
    ),
    Fault(
        f"{MODELS}dense_bilstm.py",
        "read.append(x)",
        "read = [x]",
        "tests/models/test_simple_recurrent.py::"
        "test_densely_connected_layers_have_their_papers_counts",
    ),
]


def main(argv=None):
    """The command line; returns its exit code."""
    p = argparse.ArgumentParser(
        prog="python -m tests.mutations",
        description="Put one fault after the other into a copy of the checkout and see whether "
        "its test fails.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m tests.mutations\n"
        "  python -m tests.mutations layers/ 'training/*'\n"
        "  python -m tests.mutations --list serve\n"
        "\nExit codes: 0 all faults were caught, 1 some were not, 2 nothing could be said: no "
        "fault\nmatches, its text is not in the file, or tests fail without any fault.",
    )
    p.add_argument(
        "patterns", nargs="*", metavar="PATTERN", help="a part of a file or test, or wildcards"
    )
    p.add_argument("--list", action="store_true", help="show the faults and run nothing")
    a = p.parse_args(argv)
    faults = [fault for fault in FAULTS if not a.patterns or _matches(fault, a.patterns)]
    if not faults:
        p.error(f"no fault matches {' or '.join(map(repr, a.patterns))}; --list shows all.")
    if a.list:
        for fault in faults:
            print(f"{fault.file}: {fault.old.strip()!r} → {fault.new.strip()!r}\n  {fault.test}")
        return 0
    with tempfile.TemporaryDirectory(prefix="mutations") as folder:
        return try_all(faults, Path(folder, "copy"))


def _matches(fault, patterns):
    names = (fault.file, fault.test)
    return any(p in name or fnmatch.fnmatchcase(name, p) for p in patterns for name in names)


def try_all(faults, copy):
    """Runs the tests without any fault, then with each; prints what came of it.

    Args:
        faults: The faults to try.
        copy: A folder for the copy of the checkout, which must not exist.

    Returns:
        The exit code of the command.
    """
    copy_checkout(copy)
    of_backend = collections.defaultdict(list)
    for fault in faults:
        if (copy / fault.file).read_text(encoding="utf-8").count(fault.old) != 1:
            print(f"{fault.file} does not have exactly once: {fault.old!r}", file=sys.stderr)
            return 2
        of_backend[fault.backend].append(fault)
    copies = [copy]
    for number in range(1, os.cpu_count() or 1):
        copies.append(Path(shutil.copytree(copy, f"{copy}{number}")))
    caught = 0
    for backend, some in of_backend.items():
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(Server(one, backend)) for one in copies]
            names = {fault.test: None for fault in some}
            code, seconds, output = servers[0].run(names)
            print(f"without faults: {len(names)} tests on {backend}, {seconds:.0f} s", flush=True)
            if code:
                print(
                    f"{output}\nTests fail without any fault: repair them first.", file=sys.stderr
                )
                return 2
            caught += try_some(some, servers)
    print(f"{caught} of {len(faults)} faults caught.")
    return 0 if caught == len(faults) else 1


def try_some(faults, servers):
    """Tries faults of one backend on its servers; returns how many were caught."""
    free = queue.SimpleQueue()
    for server in servers:
        free.put(server)

    def try_one(fault):
        server = free.get()
        try:
            return fault, *try_fault(fault, server)
        finally:
            free.put(server)

    caught = 0
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
        for fault, code, seconds in pool.map(try_one, faults):
            caught += code == 1
            said = "caught    " if code == 1 else "NOT CAUGHT"
            why = "" if code == 1 else f" (pytest {CODES.get(code, f'ended with {code}')})"
            print(f"{said} {seconds:4.0f} s  {fault.file}  {fault.test}{why}", flush=True)
    return caught


def try_fault(fault, server):
    """Runs a fault's test with the fault in a copy; returns pytest's exit code and the seconds."""
    file = server.copy / fault.file
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    try:
        code, seconds, _ = server.run([fault.test], LIMIT)
    finally:
        file.write_text(text, encoding="utf-8")
    return code, seconds


def copy_checkout(target):
    """Copies what git tracks, and what it neither tracks nor ignores, to a new folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    shutil.copytree(ROOT / "zoo", target / "zoo", dirs_exist_ok=True)


class Server:
    """What runs tests in a copy of the checkout on one backend: `tests/warm.py`.

    Attributes:
        copy: The folder of the copy.
    """

    def __init__(self, copy, backend):
        self.copy, self.log = copy, Path(f"{copy}.log")
        # Without bytecode: a fault of the same size within one second would go unnoticed.
        env = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "KERAS_BACKEND": backend}
        self.process = subprocess.Popen(
            [sys.executable, "-P", ROOT / "tests" / "warm.py"],
            cwd=copy,
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *of_error):
        self.process.stdin.close()
        self.process.wait()

    def run(self, tests, limit=0):
        """Runs tests; returns pytest's exit code, the seconds, and what it wrote."""
        begin = time.perf_counter()
        line = json.dumps([[*OPTIONS, *tests], str(self.log), limit])
        print(line, file=self.process.stdin, flush=True)
        code = int(self.process.stdout.readline())
        return code, time.perf_counter() - begin, self.log.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
