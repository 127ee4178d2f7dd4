"""Names of classes, in the order of the logits."""

import json
import pathlib

import pytest

from keras_recres.zoo.class_names import CLASS_NAMES, class_names


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
