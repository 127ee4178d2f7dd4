"""Augmentation by Keras' layers, and the recipe that uses all of it."""

import keras
import numpy as np
import pytest

from tests.training.pictures import VIT
from tests.training.test_fit import metrics, run
from training import data, layer_augment, models, optimizers, recipes, run_folder
from training.errors import UserError
from training.layer_augment import LayerAugment


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(count=8, side=32, channels=3):
    return rng(1).integers(0, 256, (count, side, side, channels)).astype(np.float32)


def test_a_crop_is_enlarged_linearly():
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32)[None, None, :, None], (64, 32, 32, 3))
    out = layer_augment.crop_and_resize(rng(), ramp)
    assert out.shape == ramp.shape
    inner = out[:, 4:-4, 4:-4, 0]
    slope = np.diff(inner, axis=2)
    # One slope an image, the crop's width over the image's: a half of an eighth of the area is
    # √(0.08 · 3/4) wide.
    np.testing.assert_allclose(slope, slope[:, :1, :1] + 0 * slope, atol=1e-3)
    assert 0.24 < slope.min() < 0.45
    assert 0.9 < slope.max() <= 1.001
    assert out.min() >= 0
    assert out.max() <= 31.001
    # The whole image is itself.
    whole = layer_augment.crop_and_resize(rng(), noise(), area=(1, 1), ratio=(1, 1))
    np.testing.assert_allclose(whole, noise(), atol=1e-3)


def test_every_operation_acts_and_shifts_stay_in_their_range():
    images = 40 + noise(4) / 2  # Not of full contrast, which one of them would give it.
    images[:, 8:24, 8:24] = [220, 120, 30]
    for layer in layer_augment.operations(9):
        out = keras.ops.convert_to_numpy(layer(images, training=True))
        assert out.shape == images.shape
        assert np.isfinite(out).all()
        assert abs(out - images).max() > 5, layer.name
    dot = np.zeros((64, 33, 33, 3), np.float32)
    dot[:, 16, 16] = 255
    _, _, down, across, *_ = layer_augment.operations(9)
    for layer, axis in ((down, 1), (across, 2)):
        out = keras.ops.convert_to_numpy(layer(dot, training=True))
        centre = (out.sum(3).sum(3 - axis) * np.arange(33)).sum(1) / out.sum((1, 2, 3))
        reach = abs(centre - 16).max()
        assert 0.25 * 33 < reach < 0.9 * 0.45 * 33 + 1
    # RandAugment at 9: an angle of up to 27 degrees moves a point at radius 12 by up to 5.6.
    dot = np.zeros((64, 33, 33, 3), np.float32)
    dot[:, 16, 28] = 255
    out = layer_augment.operations(9)[4](dot, training=True)
    out = keras.ops.convert_to_numpy(out).sum(3)
    row = (out.sum(2) * np.arange(33)).sum(1) / out.sum((1, 2))
    assert 3 < abs(row - 16).max() < 6.5


def test_each_image_draws_its_own_operations_and_a_batch_its_generator():
    augment = LayerAugment(magnitude=9)
    images = noise(64)
    once, again, other = (augment.images(rng(seed), images) for seed in (5, 5, 6))
    np.testing.assert_array_equal(once, again)
    changed = abs(once - images).max(axis=(1, 2, 3)) > 0
    # Two rounds, each for half of the images.
    assert 0.5 < changed.mean() < 0.95
    assert (abs(other - once).max(axis=(1, 2, 3)) > 0).sum() > 30
    assert 0 <= once.min() <= once.max() <= 255
    grey = augment.images(rng(), noise(32, channels=1))
    assert grey.shape == (32, 32, 32, 1)


@pytest.mark.parametrize("which", ["mixup", "cutmix"])
def test_images_and_labels_are_mixed_alike(which):
    labels = np.eye(8, dtype=np.float32)
    value = np.arange(8, dtype=np.float32)
    images = np.broadcast_to(value[:, None, None, None], (8, 16, 16, 3)).copy()
    mixed, mixed_labels = LayerAugment(**{which: 0.8}).mix(rng(3), images, labels)
    np.testing.assert_allclose(mixed_labels.sum(1), 1, atol=1e-5)
    # A CutMix rectangle ends between pixels: a row and a column of 16 at most.
    tolerance = 1e-3 if which == "mixup" else 7 * 2 / 16
    np.testing.assert_allclose(mixed.mean((1, 2, 3)), mixed_labels @ value, atol=tolerance)
    assert (mixed_labels.max(1) < 0.99).any()
    inside = mixed.std(axis=(1, 2, 3)).max()
    assert inside < 1e-4 if which == "mixup" else inside > 0.1


def test_both_means_one_of_the_two_for_each_batch():
    augment = LayerAugment(mixup=0.8, cutmix=1.0)
    value = np.arange(16, dtype=np.float32)
    images = np.broadcast_to(value[:, None, None, None], (16, 16, 16, 3)).copy()
    labels = np.eye(16, dtype=np.float32)
    mixed = [augment.mix(rng(i), images, labels)[0] for i in range(20)]
    cut = sum(batch.std(axis=(1, 2, 3)).max() > 0.1 for batch in mixed)
    assert 4 <= cut <= 16


def test_a_quarter_of_the_images_lose_a_rectangle_to_noise():
    images = np.full((400, 32, 32, 3), 7, np.float32)
    out, _ = LayerAugment(erasing=0.25).mix(rng(), images, np.zeros((400, 2), np.float32))
    gone = out != 7
    assert 0.19 < gone.any(axis=(1, 2, 3)).mean() < 0.31
    assert abs(out[gone].mean()) < 0.05
    # A normal variable clipped to ±1 has the variance 2 (Φ(1) − ½ − φ(1)) + 2 (1 − Φ(1)).
    assert out[gone].std() == pytest.approx(0.516**0.5, abs=0.02)


def test_a_batch_depends_on_seed_epoch_and_number_alone(corners_file):
    images = data.load("corners", "train", corners_file, limit=64)

    def batch(epoch, number):
        layers = LayerAugment(True, 9, 0.25, 0.8, 1.0)
        batches = data.Batches(images, 32, training=True, one_hot=True, layers=layers)
        batches.epoch = epoch
        return batches[number]

    for one, other in zip(batch(1, 1), batch(1, 1), strict=True):
        np.testing.assert_array_equal(one, other)
    assert abs(batch(2, 1)[0] - batch(1, 1)[0]).max() > 1
    with pytest.raises(UserError, match="mix themselves"):
        data.Batches(images, 32, training=True, mixup=0.2, one_hot=True, layers=LayerAugment())


def test_the_rate_cools_down_after_its_cosine():
    rate = optimizers.schedule(steps=90, warmup=10, peak=1.0, end=0.01)
    assert [float(rate(i)) for i in (10, 50, 90, 99)] == pytest.approx(
        [1, 0.505, 0.01, 0.01], abs=1e-3
    )


def test_the_official_recipe_runs(corners_file, tmp_path, monkeypatch):
    # XLA takes longer to compile a step than all of them take.
    monkeypatch.setattr(models, "jit_compile", lambda convolutions: False)
    command = ["vit7", "--recipe=imagenet_t2t_vit", "--dataset=corners"]
    command += [f"--data-dir={corners_file}", f"--out={tmp_path / 'run'}", "--epochs=2"]
    command += ["--warmup-epochs=0.5", "--cooldown-epochs=0.5", "--limit=32", "--eval-limit=32"]
    command += ["--batch-size=16", "--model-arguments", *VIT]
    assert run(command) == 0
    m = metrics(tmp_path)
    assert 0 < m["train_loss"] < 3
    settings = m["settings"]
    for option, value in recipes.load("imagenet_t2t_vit").settings.items():
        if option not in ("epochs", "batch-size", "warmup-epochs", "cooldown-epochs"):
            assert option == "model-arguments" or settings[option.replace("-", "_")] == value
    assert (settings["ema"], settings["weight_decay"]) == (0.99996, 0.03)
    last = run_folder.read_log(tmp_path / "run" / "log.csv")[-1]
    assert last["learning_rate"] == pytest.approx(1e-5)


@pytest.mark.parametrize(
    "wrong", [["--randaugment=11"], ["--cutmix=2"], ["--erasing=-1"], ["--cooldown-epochs=11"]]
)
def test_strengths_have_their_ranges(wrong, corners_file, capsys):
    command = ["vit3", "--dataset=corners", f"--data-dir={corners_file}", *wrong]
    assert run(command) == 2
    assert f"{wrong[0].split('=')[0]} must be from 0 to" in capsys.readouterr().err
