"""Fine-tuning from each of several weights: what is learnt, measured and told."""

import json

import numpy as np
import pytest

from keras_recres import zoo
from tests.training.pictures import png
from training import errors
from training.data import packed
from training.studies import transfer

pytestmark = pytest.mark.neutral


def photographs(split, each):
    labels = np.arange(40).repeat(each)
    grey = [png(np.full((64, 64, 3), label, "uint8")) for label in labels]
    names = tuple(f"n{i}" for i in range(40))
    return packed.Encoded(grey, labels, names, transfer.ODD, split, 3)


def test_each_start_learns_the_same_few_and_is_measured_on_all(tmp_path, monkeypatch, capsys):
    file = tmp_path / "odd.npz"
    packed.write(file, [photographs("train", 3), photographs("validation", 2)])
    begun = []

    def fine_tune(model, folder, **options):
        counts = [len([*(folder / part).glob("*/*.jpg")]) for part in ("train", "val")]
        begun.append((model.zoo_tag, model.input_shape, model.output_shape, *counts, options))
        right = {"cifar10_jpeg": 40.0}.get(model.zoo_tag, 30.0) + options["seed"]
        return model, {"top1_percent": right, "interrupted": False}

    monkeypatch.setattr(zoo, "fine_tune", fine_tune)
    command = ["--names=vit3", "--images=2", "--epochs=5", f"--out={tmp_path}"]
    command += [f"--data-dir={file}"]
    assert errors.run(transfer.STUDY.main, command) == 0
    shapes = (None, 64, 64, 3), (None, 40), 80, 80
    seen = [(start, *shapes, seed) for seed in (0, 1) for start in (transfer.TAG, "cifar10_jpeg")]
    assert [(*run[:-1], run[-1]["seed"]) for run in begun] == seen
    # An untrained network has nothing to keep while its head learns.
    assert [run[-1].get("freeze_epochs") for run in begun] == [0, None, 0, None]
    table = (tmp_path / "transfer.md").read_text(encoding="utf-8")
    assert "| vit3 from scratch | 30.50 ± 0.71 | 2 |" in table
    assert "| vit3 from cifar10_jpeg | 40.50 ± 0.71 | 2 |" in table
    assert "vit3 from cifar10_jpeg instead of scratch: more accurate; +10.00" in table
    assert "vit3 has no weights of tiny_imagenet40 yet." in table
    # What is finished is not done again, and only told.
    assert errors.run(transfer.STUDY.main, [*command, "--report"]) == 0
    assert len(begun) == 4
    (record,) = tmp_path.glob("images-2-epochs-5/vit3.scratch.1.json")
    record.write_text(json.dumps({"top1_percent": 50.0}), encoding="utf-8")
    assert errors.run(transfer.STUDY.main, command) == 0
    assert "40.00 ± 14.14" in (tmp_path / "transfer.md").read_text(encoding="utf-8")
    assert len(begun) == 4


def test_numbers_out_of_range_are_one_sentence(capsys):
    assert errors.run(transfer.STUDY.main, ["--images=0"]) == 2
    assert "--images must be at least 1, found 0." in capsys.readouterr().err
