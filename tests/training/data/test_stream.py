"""Images that are decoded when they are needed, and may stay on the disk until then."""

import io
import shutil
from concurrent.futures import wait

import keras
import numpy as np
import pytest

from keras_recres.zoo import tfds_folder
from tests.marks import slow_on
from tests.training.fit.test_fit import metrics, run
from tests.training.pictures import CLASSES, corners
from training import data, errors
from training.data import batches as batches_module
from training.data import geometry, packed
from training.data.__main__ import main as data_main
from training.data.decoding import Decoded
from training.data.layer_augment import LayerAugment
from training.errors import UserError
from training.fit import run_folder

PARTS = {"train": (96, 0), "test": (32, 1)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The corners, prepared by TFDS in its usual format and in the one with random access."""
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("array_record")

    class Corners(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = tmp_path_factory.mktemp("source")  # Where its description would be.

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(32, 32, 1)),
                "label": tfds.features.ClassLabel(names=list(CLASSES)),
            }
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
            )

        def _split_generators(self, _):
            return {split: self._generate_examples(split) for split in PARTS}

        def _generate_examples(self, split):
            part = corners(*PARTS[split], split)
            for number, (file, label) in enumerate(zip(part.data, part.labels, strict=True)):
                yield number, {"image": io.BytesIO(file), "label": int(label)}

    found = {}
    for form in ("tfrecord", "array_record"):
        found[form] = tmp_path_factory.mktemp(form)
        arguments = ["download", Corners.name, f"--data-dir={found[form]}"]
        more = ["--array-record"] if form == "array_record" else []
        assert errors.run(data_main, [*arguments, *more]) == 0
    return found


@pytest.mark.neutral
def test_both_formats_of_tfds_hold_the_same(folders):
    usual = data.load("corners", "train", folders["tfrecord"])
    assert len(usual) == 96
    for stream in (False, True):
        other = data.load("corners", "train", folders["array_record"], stream=stream)
        assert isinstance(other.images, Decoded) == stream
        assert (other.labels is None) == stream  # They stay on the disk, too.
        assert other.images.shape == usual.images.shape == (96, 32, 32, 1)
        assert other.class_names == usual.class_names == CLASSES
        if not stream:  # TFDS orders the records of both formats by the same hash.
            np.testing.assert_array_equal(other.images, usual.images)
            np.testing.assert_array_equal(other.labels, usual.labels)
            continue
        for numbers in (np.arange(96), np.array([95, 0, 17, 17])):
            images, labels = other.images.read(numbers)
            np.testing.assert_array_equal(images, usual.images[numbers])
            np.testing.assert_array_equal(labels, usual.labels[numbers])
    assert len(data.load("corners", "evaluation", folders["array_record"], limit=5)) == 5


@pytest.mark.neutral
def test_stored_files_read_like_a_list(folders):
    stored = data.read_encoded("corners", "train", folders["array_record"]).data
    usual = data.read_encoded("corners", "train", folders["tfrecord"]).data
    assert list(stored) == usual
    assert stored[-1] == usual[95]
    with pytest.raises(IndexError):
        stored[96]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.neutral
def test_damaged_records_are_told_in_a_sentence(folders, tmp_path, stream):
    shutil.copytree(folders["array_record"] / "corners", tmp_path / "corners")
    (file,) = tmp_path.glob("corners/*/corners-train.array_record*")
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes(4096) + whole[middle + 4096 :])
    with pytest.raises(UserError, match=r"^corners in .* cannot be read: .*\.$"):
        data.load("corners", "train", tmp_path, stream=stream).images.read(np.arange(96))


@pytest.mark.neutral
def test_more_files_may_be_opened_than_systems_allow_at_first():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        tfds_folder._allow_open_files(1024)
        allowed = 3072 if before[1] == resource.RLIM_INFINITY else min(3072, before[1])
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == allowed
        tfds_folder._allow_open_files(1)  # Never fewer.
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.neutral
def test_an_array_record_folder_is_packed_as_any_other(folders, tmp_path):
    part = data.read_encoded("corners", "train", folders["array_record"])
    packed.write(tmp_path / "corners.npz", [part])
    packed_images = data.load("corners", "train", tmp_path / "corners.npz")
    usual = data.load("corners", "train", folders["tfrecord"])
    np.testing.assert_array_equal(packed_images.images, usual.images)
    np.testing.assert_array_equal(packed_images.labels, usual.labels)


@pytest.mark.neutral
def test_images_are_brought_to_a_size_alike(corners_file):
    how = {"resizing": data.Resizing((24, 20), 0.9, "bilinear"), "limit": 40}
    whole = data.load("corners", "train", corners_file, **how)
    stream = data.load("corners", "train", corners_file, stream=True, **how)
    assert stream.images.shape == whole.images.shape == (40, 24, 20, 1)
    np.testing.assert_array_equal(stream.images.read(np.arange(40))[0], whole.images)


@pytest.mark.slow
@pytest.mark.parametrize("layered", [False, True])
@pytest.mark.neutral
def test_batches_of_a_stream_are_the_same(corners_file, layered):
    def batches(stream):
        part = data.load("corners", "train", corners_file, limit=100, stream=stream)
        layers = LayerAugment(9, 0.25, 0.8, 1.0) if layered else None
        augment = ("flip", "crop", "resized_crop")
        how = {"training": True, "one_hot": True, "augment": augment, "layers": layers}
        return data.Batches(part, 16, seed=3, **how)

    whole, stream = batches(False), batches(True)
    # Keras asks for the first one twice; an epoch may be left and another begun.
    for epoch, number in ((0, 0), (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (0, 5), (0, 1), (7, 3)):
        whole.epoch = stream.epoch = epoch
        for expected, found in zip(whole[number], stream[number], strict=True):
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(IndexError):
        stream[6]


@pytest.mark.parametrize(
    "how", ["array", "stream", pytest.param("layers", marks=pytest.mark.slow), "evaluation"]
)
@pytest.mark.neutral
def test_processes_make_their_own_part_of_the_same_batches(corners_file, monkeypatch, how):
    part = data.load("corners", "train", corners_file, limit=76, stream=how == "stream")
    layers = LayerAugment(9, 0.25, 0.8, 1.0) if how == "layers" else None
    mixup = 0.2 if how in ("array", "stream") else 0.0
    augment = ("flip", "crop", "resized_crop", "erase")
    made, kept = {}, []  # The ids of what is kept are of one each.
    group = batches_module.Batches._group

    def watched(self, indices, epoch, number, *rest):
        made.setdefault((id(self), number), []).append(len(indices))
        return group(self, indices, epoch, number, *rest)

    monkeypatch.setattr(batches_module.Batches, "_group", watched)

    def batches(groups=4):
        options = {"layers": layers, "keep_last": True, "groups": groups}
        options |= {"training": how != "evaluation", "augment": augment, "mixup": mixup}
        kept.append(data.Batches(part, 16, seed=5, one_hot=True, **options))
        return kept[-1]

    wholes = batches()
    for number, size in ((0, 16), (2, 16), (4, 12)):
        whole = wholes[number]
        for processes in (1, 2, 4):
            each = [batches() for _ in range(processes)]
            parts = [one.part(number, p, processes) for p, one in enumerate(each)]
            assert sum(sum(made[id(one), number]) for one in each) == size  # Nothing twice.
            assert {len(images) for images, _ in parts} == {size // processes}
            for expected, *found in zip(whole, *parts, strict=True):
                np.testing.assert_array_equal(expected, np.concatenate(found))
    # Three groups and two processes: each makes all of it and takes its half.
    both = [batches(3) for _ in range(2)]
    halves = [one.part(0, p, 2) for p, one in enumerate(both)]
    assert sum(sum(made[id(one), 0]) for one in both) == (16 if how == "evaluation" else 32)
    for expected, *found in zip(batches(3)[0], *halves, strict=True):
        np.testing.assert_array_equal(expected, np.concatenate(found))
    if how != "evaluation":
        # A group draws for itself, what no other batch draws.
        assert abs(batches(1)[0][0] - wholes[0][0]).max() > 0.1
    with pytest.raises(ValueError, match=r"^a batch of 12 cannot be shared out to 5\.$"):
        wholes.part(4, 0, 5)
    with pytest.raises(IndexError, match=r"from 0 to 4, found 5"):
        wholes.part(5)
    with pytest.raises(UserError, match="groups must be from 1 to the batch size, found 17"):
        batches(17)


@slow_on("jax", "tensorflow")
def test_making_batches_leaves_the_global_generator_alone(corners_file):
    """Dropout draws from PyTorch's meanwhile, so that a training would not repeat itself."""
    part = data.load("corners", "train", corners_file, limit=128, stream=True)
    layers = LayerAugment(9, 0.25, 0.8, 1.0)
    how = {"training": True, "augment": ("flip", "resized_crop"), "layers": layers}
    made = data.Batches(part, 16, seed=5, one_hot=True, **how)
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        made.epoch = 0
        drawn.append([])
        for number in range(8):
            _ = made[number]
            noise = keras.layers.Dropout(0.5, seed=1)(np.ones((64, 64)), training=True)
            drawn[-1].append(keras.ops.convert_to_numpy(noise))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.neutral
def test_a_group_mixes_within_itself(corners_file):
    part = data.load("corners", "train", corners_file, limit=64)
    part.labels[:] = 0
    how = {"training": True, "mixup": 1.0, "one_hot": True}
    batches = data.Batches(part, 16, groups=4, **how)
    part.labels[batches._indices(0, 0)[4:8]] = 1
    labels = batches[0][1].argmax(1)
    np.testing.assert_array_equal(labels.reshape(4, 4), [[0] * 4, [1] * 4, [0] * 4, [0] * 4])
    # All in one, some are mixed with others of another class.
    together = data.Batches(part, 16, **how)[0][1]
    assert (together.max(1) < 0.99).any()


@pytest.mark.neutral
def test_a_stream_cuts_crops_out_of_the_stored_image(corners_file):
    """Not out of one that was brought to the network's size before, which has lost pixels."""
    stored = data.load("corners", "train", corners_file, limit=40).images
    part = data.load("corners", "train", corners_file, 40, data.Resizing((16, 16)), stream=True)
    crops = geometry.draw_crops(np.random.default_rng(0), 40, area=(0.25, 0.25), ratio=(1, 1))
    places = np.random.default_rng(1).integers(0, 2, (40, 2))
    crops[:, -3:-1] = places
    found, _ = part.images.read(np.arange(40), crops)
    for image, quarter, (down, along) in zip(stored, found, places, strict=True):
        rows, columns = slice(16 * down, 16 + 16 * down), slice(16 * along, 16 + 16 * along)
        np.testing.assert_array_equal(quarter, image[rows, columns])
    # In batches they are drawn anew for each, and for evaluation not at all.
    batches = data.Batches(part, 16, training=True, augment=("resized_crop",))
    first, _ = batches[0]
    order = np.random.default_rng((0, 0)).permutation(40)[:16]
    drawn = geometry.draw_crops(np.random.default_rng((0, 0, 0, 3)), 16)
    np.testing.assert_array_equal(first, part.images.read(order, drawn)[0])
    evaluated, _ = data.Batches(part, 16, augment=("resized_crop",))[0]
    np.testing.assert_array_equal(evaluated, part.images.read(np.arange(16))[0])


@pytest.mark.neutral
def test_the_next_batches_are_read_while_one_is_used(corners_file, monkeypatch):
    part = data.load("corners", "train", corners_file, limit=100, stream=True)
    monkeypatch.setattr(batches_module, "THREADS", 2)
    batches = data.Batches(part, 16, training=True)
    read, asked = Decoded.read, []

    def watched(self, numbers, crops):
        if self is part.images:  # And not what another test has left reading ahead.
            asked.append(tuple(numbers))
        return read(self, numbers, crops)

    monkeypatch.setattr(Decoded, "read", watched)
    for number in range(len(batches)):
        labels = batches[number][1]
        order = np.random.default_rng((0, 0)).permutation(100)[16 * number :][:16]
        np.testing.assert_array_equal(labels, read(part.images, order)[1])
        wait(batches._coming.values())
        assert len(asked) == min(number + 3, 6)
    assert len(set(asked)) == 6  # Each of them once.


@pytest.mark.slow
def test_a_training_learns_the_same_from_a_stream(fit_arguments, small_model, folders, tmp_path):
    options = {"epochs": 3, "randaugment": 3, "augment": "crop"}
    wholes = fit_arguments(out="whole", **options, **{"data-dir": folders["tfrecord"]})
    streams = fit_arguments(out="stream", **options, **{"data-dir": folders["array_record"]})
    assert run([*wholes, "--no-resume"]) == 0
    assert run([*streams, "--stream"]) == 0
    one, other = metrics(tmp_path, "whole"), metrics(tmp_path, "stream")
    timed = {key for key in one if "second" in key}
    assert {k: v for k, v in one.items() if k not in timed} == {
        k: v for k, v in other.items() if k not in timed
    }
    losses = [row["loss"] for row in run_folder.read_log(tmp_path / "stream" / "log.csv")]
    assert losses[2] < losses[0]


@pytest.mark.neutral
def test_an_image_that_cannot_be_decoded_ends_it_in_a_sentence(
    fit_arguments, small_model, tmp_path, capsys
):
    train, test = corners(64, 0, "train"), corners(32, 1, "test")
    train.data[37] = b"no picture at all"
    path = tmp_path / "broken.npz"
    packed.write(path, [train, test])
    for options in (["--stream"], []):
        assert run([*fit_arguments(**{"data-dir": path}), *options]) == 2
        err = capsys.readouterr().err
        assert err.rstrip().splitlines()[-1].startswith("error: image 37 of corners (train) cannot")
        assert "Traceback" not in err
    with pytest.raises(UserError, match="image 37"):
        data.load("corners", "train", path, stream=True).images.read(np.arange(30, 40))
