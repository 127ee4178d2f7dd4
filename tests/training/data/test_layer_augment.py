"""Augmentation by Pillow and Keras' layers, and the recipe that uses all of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.training.fit.test_fit import metrics, run
from tests.training.pictures import VIT
from training import data, recipes
from training.data import geometry, layer_augment
from training.data.layer_augment import LayerAugment
from training.errors import UserError
from training.fit import models, optimizers, run_folder

pytestmark = pytest.mark.neutral


def rng(seed=0):
    return np.random.default_rng(seed)


def noise(count=8, side=32, channels=3):
    return rng(1).integers(0, 256, (count, side, side, channels)).astype(np.float32)


def test_a_crop_is_cut_out_and_enlarged():
    grey_levels = 8 * np.arange(32, dtype=np.float32)
    ramp = np.broadcast_to(grey_levels[None, None, :, None], (64, 32, 32, 3))
    out = geometry.crops(ramp, geometry.draw_crops(rng(), 64))
    assert out.shape == ramp.shape
    inner = out[:, 16, 4:-4, 0]
    # One slope an image, the crop's width over the image's: an eighth of the area that is upright
    # is √(0.08 · 3/4) wide.
    slope = (inner[:, -1] - inner[:, 0]) / 8 / 23
    line = inner[:, :1] + 8 * slope[:, None] * np.arange(24)
    assert abs(inner - line).max() <= 1.001
    assert 0.24 < slope.min() < 0.45
    assert 0.9 < slope.max() <= 1.001
    assert (out == out[:, :1]).all()
    assert out.min() < 20
    assert out.max() > 228
    assert 16 < geometry.draw_crops(rng(), 64)[:, -1].sum() < 48
    # The whole image is itself, also as bytes.
    whole = geometry.draw_crops(rng(), 8, area=(1, 1), ratio=(1, 1))
    for images in (noise(8), noise(8).astype(np.uint8)):
        out = geometry.crops(images, whole)
        assert out.dtype == images.dtype
        np.testing.assert_array_equal(out, images)
    # To whole grey levels.
    np.testing.assert_array_equal(geometry.crops(noise(8) / 2, whole), np.rint(noise(8) / 2))
    # Where ten rectangles do not fit, the one in the middle.
    wide = np.broadcast_to(grey_levels[None, None, :, None], (1, 6, 32, 1))
    out = geometry.crops(wide, geometry.draw_crops(rng(), 1, area=(1, 1)))
    np.testing.assert_allclose(out[0, 0, 1:-1, 0], 124 + 8 * (np.arange(1, 31) - 15.5) / 4, atol=1)


class Frame:
    """A picture of which only the size matters; it keeps the rectangle that is asked for."""

    def __init__(self, height, width):
        self.height, self.width = height, width

    def resize(self, size, resample, box):
        self.size, self.resample, (left, top, right, bottom) = size, resample, box
        self.top, self.left, self.tall, self.wide = top, left, bottom - top, right - left
        assert 0 <= left < right <= self.width
        assert 0 <= top < bottom <= self.height


@given(
    sides=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    seed=st.integers(0, 2**16),
    area=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted),
)
def test_the_first_rectangle_that_fits_is_taken(sides, seed, area):
    (drawn,) = geometry.draw_crops(rng(seed), 1, area)
    frame = Frame(*sides)
    geometry.crop(frame, drawn, (24, 20))
    assert frame.size == (20, 24)  # Pillow's order.
    shares, ratios, (down, along, bicubic) = np.split(drawn, [geometry.TRIES, 2 * geometry.TRIES])
    assert frame.resample == Image.Resampling["BICUBIC" if bicubic else "BILINEAR"]
    assert ((ratios >= 3 / 4) & (ratios <= 4 / 3)).all()
    pixels = sides[0] * sides[1]
    for share, ratio in zip(shares, ratios, strict=True):
        wide = (share * pixels * ratio) ** 0.5
        tall = wide / ratio
        if wide <= sides[1] and tall <= sides[0]:
            break
    else:
        # None does: the largest in the middle, no more than 4 to 3.
        tall, wide = min(sides[0], sides[1] * 4 / 3), min(sides[1], sides[0] * 4 / 3)
        down = along = 0.5
    assert (frame.wide, frame.tall) == pytest.approx((wide, tall), rel=1e-6)
    assert frame.top == pytest.approx(down * (sides[0] - tall), abs=1e-6)
    assert frame.left == pytest.approx(along * (sides[1] - wide), abs=1e-6)


def test_every_operation_acts_on_colours_and_on_greys():
    images = 40 + noise(4) / 2  # Not of full contrast, which one of them would give it.
    images[:, 8:24, 8:24] = [220, 120, 30]
    for operation in layer_augment.operations(9):
        out = operation(rng(), images)
        assert out.shape == images.shape
        assert np.isfinite(out).all()
        assert abs(out - images).max() > 5, operation
        assert operation(rng(), images[..., :1]).shape == (4, 32, 32, 1)
    for operation in geometry.operations(0, deviation=0):
        np.testing.assert_array_equal(operation(rng(), noise()), noise())


def dots(row, column):
    """64 times a white dot on what fills the edges, 33 × 33."""
    found = np.broadcast_to(np.float32(geometry.FILL[3]), (64, 33, 33, 3)).copy()
    found[:, row, column] = 255
    return found


def centres(images):
    """Row and column of each image's dot."""
    light = (images - np.float32(geometry.FILL[3])).sum(-1)
    rows, columns = np.mgrid[:33, :33]
    return [(light * axis).sum((1, 2)) / light.sum((1, 2)) for axis in (rows, columns)]


def test_shears_shifts_and_turns_go_as_far_as_they_should():
    # Of strength 1 and in either direction, seen from the middle, (16, 16): what is
    # moved, the dot, and where it may be found.
    expected = [
        ((24, 16), {(24, 16 - 0.3 * 8), (24, 16 + 0.3 * 8)}),
        ((16, 24), {(16 - 0.3 * 8, 24), (16 + 0.3 * 8, 24)}),
        ((16, 16), {(16 - 0.45 * 33, 16), (16 + 0.45 * 33, 16)}),
        ((16, 16), {(16, 16 - 0.45 * 33), (16, 16 + 0.45 * 33)}),
        ((16, 26), {(16 - 5, 16 + 5 * 3**0.5), (16 + 5, 16 + 5 * 3**0.5)}),
    ]
    for operation, (dot, places) in zip(
        geometry.operations(10, deviation=0), expected, strict=True
    ):
        found = np.stack(centres(operation(rng(), dots(*dot))), axis=1)
        distance = [np.linalg.norm(found - place, axis=1) for place in places]
        # Grey levels are whole: the middle of a dot is not exact.
        assert np.min(distance, axis=0).max() < 0.1
        assert all((d < 0.1).sum() > 16 for d in distance)
    # Strengths vary from image to image, about what was asked for.
    rows, _ = centres(geometry.operations(5)[2](rng(), dots(16, 16)))
    reach = abs(rows - 16)
    assert reach.mean() == pytest.approx(0.45 * 33 / 2, rel=0.05)
    assert 0.5 < reach.std() < 1


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
    augment = LayerAugment(erasing=0.25)
    out = np.concatenate([augment.erase(rng(seed), images) for seed in range(4)])
    gone = out != 7
    # Four standard deviations of a share of 1,600.
    assert 0.207 < gone.any(axis=(1, 2, 3)).mean() < 0.293
    assert abs(out[gone].mean()) < 0.05
    # A normal variable clipped to ±1 has the variance 2 (Φ(1) − ½ − φ(1)) + 2 (1 − Φ(1)).
    assert out[gone].std() == pytest.approx(0.516**0.5, abs=0.02)


def test_a_batch_depends_on_seed_epoch_and_number_alone(corners_file):
    images = data.load("corners", "train", corners_file, limit=64)

    def batch(epoch, number):
        layers = LayerAugment(9, 0.25, 0.8, 1.0)
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


@pytest.mark.slow
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
    # Given here, or, as the precision, chosen by the machine.
    others = ("epochs", "batch-size", "warmup-epochs", "cooldown-epochs", "model-arguments")
    for option, value in recipes.load("imagenet_t2t_vit").settings.items():
        if option not in (*others, "precision"):
            assert settings[option.replace("-", "_")] == value
    assert settings["precision"] in ("float32", "mixed_bfloat16")
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
