"""Reading, packing, batching and augmentation of images."""

import json
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_recres.zoo import Preprocessing
from tests.marks import slow_on_tensorflow
from tests.training.pictures import corners, png
from tests.zoo import image_files
from training import data, errors
from training.data import augment, packed, places, tfds_folder
from training.data.__main__ import main as data_main
from training.errors import UserError
from training.fit import loop as fit


@pytest.fixture(scope="session")
def tfds_dir(data_dir):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_datasets")
    return data_dir / "tfds"


def images_of(array, labels=None, dataset="toy", split="train"):
    labels = np.arange(len(array)) % 2 if labels is None else labels
    return data.Images(array, labels, ("a", "b"), dataset, split, dataset)


def numbered(count, side=8, channels=1):
    """Images that can be told apart: every pixel of image i is i."""
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(pixels, (count, side, side, channels)).copy()


# --- packed files


@pytest.mark.neutral
def test_a_packed_file_gives_back_what_was_packed(tmp_path):
    part = corners(10, 3, "train")
    size = packed.write(tmp_path / "a.npz", [part, corners(6, 4, "test")])
    assert size == (tmp_path / "a.npz").stat().st_size
    back = packed.read(tmp_path / "a.npz", "corners", "train")
    assert back.data == part.data
    assert back.class_names == part.class_names
    assert back.channels == 1
    np.testing.assert_array_equal(back.labels, part.labels)
    assert len(packed.read(tmp_path / "a.npz", "corners", "test", limit=4).data) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"], "nothing is left aside"


@pytest.mark.neutral
def test_decoded_pixels_are_the_packed_ones(tmp_path):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)
    part = packed.Encoded([png(a) for a in array], np.arange(5), tuple("abcde"), "x", "train", 3)
    packed.write(tmp_path / "x.npz", [part])
    loaded = data.load("x", "train", tmp_path / "x.npz")
    np.testing.assert_array_equal(loaded.images, array)
    assert (loaded.tag, loaded.split, loaded.class_names) == ("x", "train", tuple("abcde"))
    assert loaded.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda p: p.write_bytes(b"no zip at all"), "is not a packed file"),
        (lambda p: p.write_bytes(p.read_bytes()[:5000]), "is not a packed file"),
        (lambda p: p.write_bytes(b""), "is not a packed file"),
        (lambda p: np.savez(p, images=np.zeros(3)), "is not a packed file"),
        (lambda p: np.savez(p, format=np.array("keras_recres.packed.9")), "has the format"),
        (lambda p: np.savez(p, format=np.array([{}], dtype=object)), "is corrupt at 'format'"),
        (lambda p: _with(p, "train/offsets", lambda x: x[:-1]), "do not agree"),
        (lambda p: _with(p, "train/offsets", lambda x: x[::-1]), "do not agree"),
        (lambda p: _with(p, "train/labels", lambda x: x + 9), "do not agree"),
        (lambda p: _with(p, "train/bytes", lambda x: x.astype("float32")), "is corrupt"),
        (lambda p: _with(p, "train/bytes", lambda x: x[::-1]), "cannot be decoded"),
        (lambda p: p.unlink(), "there is no packed file"),
    ],
)
@pytest.mark.neutral
def test_a_damaged_packed_file_is_one_sentence(tmp_path, damage, sentence):
    path = tmp_path / "a.npz"
    packed.write(path, [corners(40, 3, "train")])
    damage(path)
    with pytest.raises(UserError, match=sentence) as error:
        data.load("corners", "train", path)
    assert "\n" not in str(error.value)


def _with(path, key, change):
    with np.load(path) as file:
        arrays = dict(file)
    arrays[key] = change(arrays[key])
    np.savez(path, **arrays)


@pytest.mark.neutral
def test_a_packed_file_says_what_it_holds(corners_file):
    with pytest.raises(UserError, match="holds the data set 'corners', not 'mnist'"):
        data.load("mnist", "train", corners_file)
    with pytest.raises(UserError, match="no split 'validation', only train, test"):
        data.load("corners", "validation", corners_file)
    assert data.load("corners", "evaluation", corners_file, limit=3).split == "test"


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="needs another backend")
def test_packed_files_need_no_tensorflow(corners_file):
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['tensorflow_datasets'] = None\n"
        "from training import data\n"
        f"d = data.load('corners', 'train', {str(corners_file)!r}, limit=40)\n"
        "print(d.images.shape, data.Batches(d, 16)[2][0].shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(40, 32, 32, 1) (8, 32, 32, 1)"


# --- TFDS folders


@pytest.mark.slow
@pytest.mark.neutral
def test_halves_have_every_second_class(tfds_dir):
    whole = data.read_encoded("tiny_imagenet80", "evaluation", tfds_dir)
    for half, odd in (("tiny_imagenet40", 0), ("tiny_imagenet40_odd", 1)):
        part = data.read_encoded(half, "evaluation", tfds_dir)
        of_it = whole.labels % 2 == odd
        assert part.data == [file for file, chosen in zip(whole.data, of_it, strict=True) if chosen]
        names = [whole.class_names[label] for label in whole.labels[of_it]]
        assert [part.class_names[label] for label in part.labels] == names
        assert (part.tag, part.split, len(part.class_names)) == (half, "validation", 40)
        few = data.read_encoded(half, "evaluation", tfds_dir, limit=7)
        assert few.data == part.data[:7]
        assert places.find(half, tfds_dir).images == 20_000
        assert half in tfds_folder.prepared(tfds_dir)


@slow_on_tensorflow
@pytest.mark.neutral
def test_packed_equals_tfds(tfds_dir, tmp_path, capsys):
    for name, kind in (("mnist", "test"), ("tiny_imagenet80", "validation")):
        out = tmp_path / f"{name}.npz"
        argv = ["pack", name, f"--data-dir={tfds_dir}", f"--out={out}", "--limit=200"]
        assert errors.run(data_main, argv) == 0
        assert f"200 train, 200 {kind} images" in capsys.readouterr().out
        for split in ("train", "evaluation"):
            direct = data.load(name, split, tfds_dir, limit=200)
            through = data.load(name, split, out)
            np.testing.assert_array_equal(through.images, direct.images)
            np.testing.assert_array_equal(through.labels, direct.labels)
            assert through.class_names == direct.class_names
            assert (through.split, through.tag) == (direct.split, direct.tag)


@pytest.mark.slow
@pytest.mark.neutral
def test_mnist_is_mnist(tfds_dir):
    encoded = data.read_encoded("mnist", "evaluation", tfds_dir)
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_array_equal(np.bincount(encoded.labels), counts)
    test = data.load("mnist", "evaluation", tfds_dir, limit=200)
    assert test.images.shape == (200, 28, 28, 1)
    assert test.tag == "mnist"


@pytest.mark.slow
@pytest.mark.neutral
def test_cifar10_stored_as_jpeg_is_called_so(data_dir, tfds_dir):
    jpeg = data.load("cifar10", "test", data_dir / "tfds_cifar10_jpeg")
    exact = data.load("cifar10_lossless_part", "test", tfds_dir)
    assert jpeg.tag == "cifar10_jpeg"
    assert exact.tag == "cifar10_lossless_part"
    # The same pictures, but not the same pixels: 30.5 dB apart on average.
    jpeg_images = jpeg.images.astype(np.int16)
    for image, label in zip(exact.images[:3].astype(np.int16), exact.labels, strict=False):
        errors_of_all = np.abs(jpeg_images - image).mean((1, 2, 3))
        nearest = errors_of_all.argmin()
        assert 0 < errors_of_all[nearest] < 15
        assert jpeg.labels[nearest] == label


@pytest.mark.neutral
def test_jpeg_decoding_is_accurate(data_dir, tfds_dir):
    import tensorflow as tf

    encoded = data.read_encoded("cifar10", "test", data_dir / "tfds_cifar10_jpeg", limit=50)
    accurate = [
        tf.io.decode_jpeg(x, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        for x in encoded.data
    ]
    np.testing.assert_array_equal(data.decode(encoded).images, np.stack(accurate))


@pytest.mark.neutral
def test_a_split_whose_file_is_missing_is_one_sentence(tfds_dir):
    with pytest.raises(UserError, match="no split 'train', only test"):
        data.load("cifar10_lossless_part", "train", tfds_dir)


@pytest.mark.neutral
def test_texts_are_read_by_the_name_without_the_configuration(tfds_dir, tmp_path):
    if not (tfds_dir / "imdb_reviews").is_dir():
        pytest.skip("imdb_reviews is not prepared")
    found = data.load("imdb_reviews", "train", tfds_dir, limit=3)
    assert (found.holds, found.class_names, len(found)) == ("texts", ("neg", "pos"), 3)
    assert found.images[0].startswith(b"This was an absolutely terrible movie.")
    assert found.labels.tolist() == [0, 0, 0]
    part = data.read_encoded("imdb_reviews", "evaluation", tfds_dir, 2)
    packed.write(tmp_path / "imdb.npz", [part])
    again = data.load("imdb_reviews", "test", tmp_path / "imdb.npz")
    assert (again.images, again.holds) == (part.data, "texts")


@pytest.mark.neutral
def test_absent_data_says_where_and_how(tmp_path):
    with pytest.raises(UserError) as error:
        data.load("cifar10", "train", tmp_path)
    assert str(tmp_path / "cifar10") in str(error.value)
    command = f"python -m training.data download cifar10 --data-dir {tmp_path}"
    assert command in str(error.value)
    with pytest.raises(UserError, match=r"Did you mean 'cifar10'\?"):
        data.load("cifar", "train", tmp_path)
    with pytest.raises(UserError, match="cannot be fetched"):
        data.load("tiny_imagenet80", "train", tmp_path)


@pytest.mark.neutral
def test_the_default_folder_is_that_of_tfds(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match=str(tmp_path)):
        data.load("mnist", "train")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert data.default_data_dir().name == "tensorflow_datasets"


@pytest.mark.neutral
def test_a_broken_folder_is_one_sentence(tmp_path, tfds_dir):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(UserError, match="not a data set that TFDS can read") as error:
        data.load("mnist", "train", tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.neutral
def test_the_newest_version_is_taken(tmp_path):
    for version in ("3.0.9", "3.0.10", "2.11.0"):
        (tmp_path / "mnist" / version).mkdir(parents=True)
        (tmp_path / "mnist" / version / "dataset_info.json").write_text("{}")
    (tmp_path / "mnist" / "4.0.0").mkdir()
    assert tfds_folder.find("mnist", tmp_path).name == "3.0.10"
    assert tfds_folder.prepared(tmp_path) == ["mnist"]
    assert tfds_folder.find("cifar10", tmp_path) is None


# --- decoding and resizing


@pytest.mark.neutral
def test_resizing_keeps_the_aspect_and_cuts_the_middle():
    # Left third black, middle grey, right white; 30 wide: the middle 10 columns are grey.
    image = np.repeat([[0] * 10 + [128] * 10 + [255] * 10], 10, axis=0).astype(np.uint8)
    part = packed.Encoded([png(image)], np.zeros(1, np.int64), ("a",), "x", "test", 1)
    whole = data.decode(part, data.Resizing((10, 10)))
    assert whole.images.shape == (1, 10, 10, 1)
    assert (whole.images == 128).all()
    assert data.decode(part, data.Resizing((20, 20))).images.shape == (1, 20, 20, 1)


@pytest.mark.neutral
def test_resizing_is_that_of_the_preprocessing():
    part = corners(4, 0, "test")
    pillow = data.decode(part, data.Resizing((24, 24), 0.9, "bilinear")).images
    preprocess = Preprocessing(size=(24, 24), crop=0.9, interpolation="bilinear")
    ours = np.asarray(_numpy(preprocess(data.decode(part).images)))
    assert np.abs(pillow - ours).mean() < 1.0


@pytest.mark.neutral
def test_images_twice_as_large_as_asked_for_are_averaged_over_2_x_2_pixels():
    part = corners(4, 0, "test")
    small = data.decode(part, data.Resizing((16, 16), interpolation="mean")).images
    means = data.decode(part).images.reshape(4, 16, 2, 16, 2, 1).mean(axis=(2, 4))
    assert np.abs(small - means).max() <= 0.5 + 1e-6  # Rounded to whole grey values.
    for dataset, shape, side in (
        ("cifar10", [16, 16, 3], 2),
        ("mnist", (14, 14, 1), 2),
        ("tiny_imagenet80", (16, 16, 3), 4),
        ("cifar10", (32, 32, 3), 1),
        ("cifar10", (16, 8, 3), 1),
        ("cifar10", (12, 12, 3), 1),
        ("cifar10", (64, 64, 3), 1),
        ("cifar10", (None, None, 3), 1),
        ("cifar10", None, 1),
        ("imagenet2012", (16, 16, 3), 1),
        ("imdb_reviews", (16,), 1),
        ("unknown", (16, 16, 3), 1),
    ):
        assert data.averaged(dataset, shape) == side, (dataset, shape)


def _numpy(tensor):
    from keras import ops

    return ops.convert_to_numpy(tensor)


@pytest.mark.neutral
def test_images_of_different_sizes_need_a_size():
    rng = np.random.default_rng(0)
    shapes = [(9, 12), (12, 9)]
    pictures = [png(rng.integers(0, 256, shape, dtype=np.uint8)) for shape in shapes]
    part = packed.Encoded(pictures, np.zeros(2, np.int64), ("a",), "x", "test", 1)
    with pytest.raises(UserError, match="different sizes"):
        data.decode(part)
    assert data.decode(part, data.Resizing((8, 8))).images.shape == (2, 8, 8, 1)


@pytest.mark.neutral
def test_grey_pictures_of_a_colour_set_become_rgb():
    part = packed.Encoded(corners(2, 0, "x").data, np.zeros(2, np.int64), ("a",), "x", "x", 3)
    images = data.decode(part).images
    assert images.shape == (2, 32, 32, 3)
    np.testing.assert_array_equal(images[..., 0], images[..., 2])


@pytest.mark.parametrize("limit", [0, -1])
@pytest.mark.neutral
def test_a_limit_below_one_is_refused(corners_file, limit):
    with pytest.raises(UserError, match="at least 1"):
        data.load("corners", "train", corners_file, limit=limit)


# --- batches


@pytest.mark.neutral
def test_training_batches_hold_every_image_once_but_the_last_few():
    batches = data.Batches(images_of(numbered(50)), 8, training=True, seed=1)
    assert (len(batches), batches.num_images) == (6, 48)
    seen = np.concatenate([batches[i][0][:, 0, 0, 0] for i in range(6)])
    assert len(set(seen)) == 48
    assert list(seen) != sorted(seen)


@pytest.mark.neutral
def test_each_epoch_has_an_order_of_its_own():
    batches = data.Batches(images_of(numbered(50)), 50, training=True, seed=1)
    orders = []
    for batches.epoch in range(3):
        orders.append(tuple(batches[0][0][:, 0, 0, 0]))
    assert len(set(orders)) == 3
    assert {*map(frozenset, orders)} == {frozenset(range(50))}


@pytest.mark.neutral
def test_each_batch_draws_an_augmentation_of_its_own():
    picture = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    alike = images_of(np.repeat(picture, 64, axis=0), labels=np.zeros(64, np.int64))
    for names in ("flip", "crop"), ("resized_crop",), ("erase",):
        batches = data.Batches(alike, 16, training=True, augment=names)
        made = [batches[number][0] for number in range(4)]
        assert not any(np.array_equal(made[0], other) for other in made[1:]), names


@pytest.mark.neutral
def test_evaluation_batches_keep_all_images_in_order():
    batches = data.Batches(images_of(numbered(50)), 8)
    assert (len(batches), batches.num_images) == (7, 50)
    seen = np.concatenate([batches[i][0][:, 0, 0, 0] for i in range(7)])
    np.testing.assert_array_equal(seen, np.arange(50))
    labels = np.concatenate([batches[i][1] for i in range(7)])
    np.testing.assert_array_equal(labels, np.arange(50) % 2)


@pytest.mark.neutral
def test_a_batch_depends_on_seed_epoch_and_number_only():
    rng = np.random.default_rng(0)
    toy = images_of(rng.integers(0, 256, (64, 16, 16, 3), dtype=np.uint8))
    options = {"training": True, "augment": ("flip", "crop", "erase"), "one_hot": True}

    def make(seed=0, epoch=0):
        batches = data.Batches(toy, 16, mixup=0.2, seed=seed, **options)
        batches.epoch = epoch
        return batches

    first, other = make(), make()
    _ = first[0], first[1], other[3]
    np.testing.assert_array_equal(first[2][0], other[2][0])
    np.testing.assert_array_equal(first[2][1], other[2][1])
    first.on_epoch_end()
    np.testing.assert_array_equal(first[2][0], make(epoch=1)[2][0])
    assert not np.array_equal(make(epoch=1)[2][0], other[2][0])
    assert not np.array_equal(make(seed=1)[2][0], other[2][0])


@pytest.mark.neutral
def test_labels_stay_with_their_images():
    toy = images_of(numbered(64), labels=(np.arange(64) // 32).astype(np.int64))
    batches = data.Batches(toy, 16, training=True, augment=("flip", "crop"), one_hot=True)
    for i in range(4):
        images, labels = batches[i]
        np.testing.assert_array_equal(labels.argmax(1), images[:, 0, 0, 0] // 32)
        assert labels.dtype == np.float32


@pytest.mark.neutral
def test_batches_are_normalised_float32():
    preprocessing = Preprocessing(size=(8, 8), scale=1 / 255, mean=(0.5,) * 3, std=(0.25,) * 3)
    toy = images_of(numbered(20, channels=3))
    images, _ = data.Batches(toy, 20, preprocessing)[0]
    assert images.dtype == np.float32
    expected = (np.arange(20) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(images[:, 3, 3, 1], expected, atol=1e-6)


@pytest.mark.parametrize("size", [0, 51])
@pytest.mark.neutral
def test_a_batch_size_that_cannot_be_is_refused(size):
    with pytest.raises(UserError, match="from 1 to the number of images, 50"):
        data.Batches(images_of(numbered(50)), size, training=True)


@pytest.mark.neutral
def test_the_pipeline_is_fast_enough():
    rng = np.random.default_rng(0)
    toy = images_of(rng.integers(0, 256, (2048, 64, 64, 3), dtype=np.uint8))
    preprocessing = Preprocessing(size=(64, 64), scale=1 / 255, mean=(0.5,) * 3, std=(0.25,) * 3)
    options = {"training": True, "augment": ("flip", "crop"), "one_hot": True}
    batches = data.Batches(toy, 128, preprocessing, **options)
    _ = batches[0]
    best = np.inf
    for i in range(1, 16):
        begin = time.process_time()
        _ = batches[i]
        best = min(best, time.process_time() - begin)
    assert 128 / best > 5000, f"{128 / best:,.0f} images of 64 x 64 a second of processor time"


# --- augmentation


@pytest.mark.neutral
def test_a_shift_is_reflection_padding_and_a_crop():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 16, 12, 3), dtype=np.uint8)
    shift = np.array([[-3, 2], [3, -2], [0, 0], [15, 11], [-15, -11], [1, 0]])
    index = np.array([5, 4, 3, 2, 1, 0])
    out = augment.gather(images, index, shift)
    padded = np.pad(images, ((0, 0), (15, 15), (11, 11), (0, 0)), mode="reflect")
    for k, (i, (dy, dx)) in enumerate(zip(index, shift, strict=True)):
        expected = padded[i, 15 + dy : 31 + dy, 11 + dx : 23 + dx]
        np.testing.assert_array_equal(out[k], expected)


@pytest.mark.neutral
def test_a_flip_mirrors_the_chosen_images():
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 1), dtype=np.uint8)
    out = augment.gather(images, np.arange(4), flip=np.array([True, False, True, False]))
    np.testing.assert_array_equal(out[::2], images[::2, :, ::-1])
    np.testing.assert_array_equal(out[1::2], images[1::2])


@pytest.mark.neutral
def test_drawn_shifts_and_flips_cover_their_range():
    shift, flip = augment.draw(np.random.default_rng(0), 4000, 64, 32, ("flip", "crop"))
    assert (shift.min(0), shift.max(0)) == (pytest.approx([-8, -4]), pytest.approx([8, 4]))
    assert 0.45 < flip.mean() < 0.55
    assert augment.draw(np.random.default_rng(0), 4, 64, 64, ()) == (None, None)


@pytest.mark.neutral
def test_erasing_sets_one_rectangle_of_a_quarter_of_the_images():
    batch = augment.erase(np.random.default_rng(0), np.ones((2000, 24, 24, 3), np.float32))
    erased = batch[..., 0] == 0
    assert 0.2 < erased.any((1, 2)).mean() < 0.3
    for mask in erased[erased.any((1, 2))]:
        rows, columns = mask.any(1), mask.any(0)
        np.testing.assert_array_equal(mask, rows[:, None] & columns[None])
        assert 4 <= rows.sum() <= 12
        assert 4 <= columns.sum() <= 12


@pytest.mark.neutral
def test_mixup_mixes_images_and_labels_alike():
    rng = np.random.default_rng(0)
    labels = np.eye(4, dtype=np.float32)[np.arange(64) % 4]
    batch = np.broadcast_to(labels[:, None, None, :], (64, 2, 2, 4))
    mixed, mixed_labels = augment.mixup(rng, batch, labels, 0.5)
    np.testing.assert_allclose(mixed[:, 0, 1], mixed_labels, atol=1e-6)
    np.testing.assert_allclose(mixed_labels.sum(1), 1, atol=1e-6)
    assert ((mixed_labels > 0.01) & (mixed_labels < 0.99)).any()
    with pytest.raises(UserError, match="one-hot"):
        data.Batches(images_of(numbered(50)), 8, training=True, mixup=0.2)


@pytest.mark.neutral
def test_augmentations_are_checked_by_name():
    assert data.parse_augment("flip, crop", "cifar10") == ("flip", "crop")
    assert data.parse_augment("", "cifar10") == data.parse_augment("none", "mnist") == ()
    with pytest.raises(UserError, match=r"no augmentation 'flop'. Did you mean 'flip'\?"):
        data.parse_augment("flop", "cifar10")
    with pytest.raises(UserError, match="mnist must not be mirrored"):
        data.parse_augment("flip", "mnist")


# --- command line


@pytest.mark.neutral
def test_the_commands_explain_themselves(capsys):
    with pytest.raises(SystemExit) as stop:
        data_main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("list", "download", "pack", "examples:"))


@pytest.mark.neutral
def test_mistakes_end_in_one_sentence_and_code_2(tmp_path, capsys):
    for argv in (
        ["pack", "mnist", f"--data-dir={tmp_path}", f"--out={tmp_path}/m.npz"],
        ["pack", "corners", f"--data-dir={tmp_path}/x.npz", f"--out={tmp_path}/m.npz"],
        ["download", "cifar10_lossless_part"],
    ):
        assert errors.run(data_main, argv) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert message.count("\n") == 1


@pytest.mark.neutral
def test_pack_writes_npz_only(corners_file, tmp_path, capsys):
    argv = ["pack", "corners", f"--data-dir={corners_file}", f"--out={tmp_path}/m.zip"]
    assert errors.run(data_main, argv) == 2
    assert "must end in .npz" in capsys.readouterr().err
    argv[-1] = f"--out={tmp_path}/none/m.npz"
    assert errors.run(data_main, argv) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.neutral
def test_list_shows_what_is_there(tmp_path, capsys):
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    (tmp_path / "mnist" / "3.0.1" / "dataset_info.json").write_text("{}")
    assert errors.run(data_main, ["list", f"--data-dir={tmp_path}"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert "prepared" in lines["mnist"]
    assert "absent" in lines["cifar10"]


@pytest.mark.neutral
def test_a_folder_of_images_is_a_data_set(tmp_path, caplog):
    folder = image_files.write(tmp_path / "cifar10", 10)  # It has no data set's name of its own.
    (folder / "lime" / "03.png").write_text("no image")
    train, test = (
        data.load(str(folder), split, resizing=data.Resizing((8, 8)))
        for split in ("train", "evaluation")
    )
    assert (train.tag, train.class_names) == ("folder_cifar10", image_files.CLASSES)
    assert (len(train), [*np.bincount(test.labels)]) == (15, [2, 2])
    for part in (train, test):
        means = part.images.mean(axis=(1, 2))
        np.testing.assert_array_equal(means[:, :2].argmax(axis=1), part.labels)
    assert caplog.text.count("03.png' is not an image") == 1
    with pytest.raises(UserError, match="must have two classes"):
        data.load(str(image_files.write(tmp_path / "one", 3, ["lime"])), "train")


@pytest.mark.slow
def test_fit_trains_on_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(image_files.write(tmp_path / "fruit", 20).parent)
    asked = "cifar_small --dataset fruit --epochs 1 --warmup-epochs 0 --batch-size 16"
    assert errors.run(fit.main, asked.split()) == 0, capsys.readouterr().err
    run = tmp_path / "runs" / "cifar_small.folder_fruit.0"
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["train_images"], metrics["eval_images"]) == (32, 8)
    assert metrics["overrides"]["input_shape"] == [32, 32, 3]
