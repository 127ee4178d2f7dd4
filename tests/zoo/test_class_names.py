"""Names of classes, in the order of the logits."""

import json
import pathlib

import pytest

from keras_recres.zoo.class_names import CLASS_NAMES, class_names

pytestmark = pytest.mark.neutral


def test_known_and_unknown_data_sets():
    assert class_names("cifar10", 10)[3] == "cat"
    assert class_names("mnist", 10) == tuple("0123456789")
    assert class_names("imagenet", 3) == ("0", "1", "2")
    assert class_names(None, 2) == ("0", "1")


def test_another_head_has_no_names_of_the_old_one():
    assert class_names("cifar10", 4) == ("0", "1", "2", "3")


@pytest.mark.parametrize("name", ["mnist", "cifar10_jpeg"])
def test_the_order_is_that_of_the_data(data_dir, name):
    folders = {"mnist": "tfds/mnist", "cifar10_jpeg": "tfds_cifar10_jpeg"}
    files = sorted(pathlib.Path(data_dir, folders[name]).rglob("label.labels.txt"))
    if not files:
        listed = sorted(pathlib.Path(data_dir, folders[name]).rglob("features.json"))
        assert listed, f"no prepared {name}"
        feature = json.loads(listed[0].read_text())["featuresDict"]["features"]["label"]
        assert int(feature["classLabel"]["numClasses"]) == len(CLASS_NAMES[name])
        return
    assert tuple(files[0].read_text().split()) == CLASS_NAMES[name]


def test_tiny_imagenet80_is_in_the_order_of_its_numbers(data_dir):
    listed = data_dir / "tfds" / "tiny_imagenet80" / "class_names.tsv"
    if not listed.is_file():
        pytest.skip(f"there is no {listed}")
    rows = [line.split("\t") for line in listed.read_text(encoding="utf-8").splitlines()]
    assert [int(number) for number, _, _ in rows] == [*range(80)]
    assert tuple(words.split(",")[0] for _, _, words in rows) == CLASS_NAMES["tiny_imagenet80"]
    order = sorted(listed.parent.glob("*/label.labels.txt"))[0].read_text().split()
    assert [wnid for _, wnid, _ in rows] == order
