"""Networks of reviews: what is held out, what is chosen there, and a test set that is read once."""

import argparse
import json

import numpy as np
import pytest

from training import data, errors
from training.studies import __main__ as reproduce
from training.studies import nb_svm, recurrent_text
from training.studies import recurrent_text_nets as nets
from training.studies.forms import Form

GOOD, BAD = "a good film , truly good", "a bad film , truly bad"


def reviews(count, seed):
    """Texts that a word or a pair of words tells apart, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    texts = [f"{(BAD, GOOD)[k]} {' '.join(rng.choice(['one', 'two'], 3))}" for k in labels]
    return data.Images(texts, labels, ("negative", "positive"), "imdb_reviews", "train", "imdb")


@pytest.fixture
def toy(monkeypatch):
    read = []

    def load(name, split, data_dir=None, limit=None):
        read.append(split)
        return reviews(limit or 200, seed=int(split == "test"))

    monkeypatch.setattr(data, "load", load)
    return read


@pytest.mark.neutral
def test_a_threshold_is_that_of_the_highest_f1():
    z, labels = np.array([3.0, 2.0, 1.0, 0.0, -1.0]), np.array([1, 1, 0, 1, 0])
    threshold, f1 = recurrent_text.best_threshold(z, labels)
    assert (threshold, f1) == (-0.5, pytest.approx(600 / 7))
    assert f1 == recurrent_text.f1_of(z > threshold, labels)


@pytest.mark.neutral
def test_held_out_reviews_are_a_tenth_that_nothing_learns():
    learnt, held = recurrent_text.parts(25_000)
    assert len(held) == 2_500
    assert sorted([*learnt, *held]) == list(range(25_000))


@pytest.mark.neutral
def test_features_are_words_and_pairs_where_they_stand_first():
    ids = nets.hashed(["the the film", "film"], 4)
    assert (ids > 0).tolist() == [
        [[False, False], [True, False], [False, True], [True, True]],
        [[False, False]] * 3 + [[True, False]],
    ]
    assert ids[0, 3, 0] == ids[1, 3, 0]
    ratios = nets.log_ratios(ids, np.array([1, 0]))
    # p = (2, 2, 2, 2), q = (1, 1, 2, 1) of the two words and the two pairs; elsewhere 1.
    total = np.log((nets.BUCKETS + 1) / (nets.BUCKETS + 4))
    assert ratios[ids[0, 1, 0]] == pytest.approx(np.log(2) + total, abs=1e-6)
    assert ratios[ids[0, 3, 0]] == pytest.approx(total, abs=1e-6)


@pytest.mark.neutral
def test_a_review_does_not_count_itself():
    ids = nets.hashed([f"word{i}" for i in range(10)], 1)
    found = nets.cross_ratios(ids, np.arange(10) % 2)
    # A word of one review alone tells nothing of it.
    assert (
        np.abs(found[..., 0]).max() < 1e-3 < np.abs(nets.log_ratios(ids, np.arange(10) % 2)).max()
    )


@pytest.mark.parametrize("recurrent", [True, False])
def test_a_network_begins_with_the_sum_of_ratios(recurrent):
    model = nets.network(recurrent, units=4, words=20, features=4, length=6)
    ratios = np.random.default_rng(0).normal(size=(2, 6, 2)).astype("float32")
    if recurrent:
        model.get_layer("logit").kernel.assign(np.zeros((8, 1)))
    z = model.predict([np.ones((2, 6)), np.ones((2, 6, 2)), ratios], verbose=0)
    assert z[:, 1] == pytest.approx(0.04 * ratios.sum((1, 2)), abs=1e-5)


def test_the_test_set_is_read_once_and_by_final_alone(toy, monkeypatch, tmp_path, capsys):
    how = {**recurrent_text.RECIPE, "epochs": 2, "batch": 20}
    forms = [Form(recurrent_text.ALONE, "", "the sum", how=how, seeds=1)]
    monkeypatch.setattr(recurrent_text.RecurrentText, "forms", lambda self, a: forms)
    monkeypatch.setattr(nets, "BUCKETS", 1000)
    command = ["recurrent_text", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, [*command, "--final"]) == 2
    assert "no training is finished" in capsys.readouterr().err
    assert errors.run(reproduce.main, command) == 0
    assert set(toy) == {"train"}
    found = json.loads((tmp_path / "nb_sum" / "0" / "metrics.json").read_text())
    assert found["held_out_f1"] == 100.0
    assert len(found["by_epoch"]) == 2
    for _ in range(2):
        assert errors.run(reproduce.main, [*command, "--final"]) == 0
    assert toy.count("test") == 1
    assert "| the sum | 1,002 | 100.00 | 100.00 | 100.00 | 1 |" in (
        (tmp_path / "recurrent_text.md").read_text()
    )
    toy.clear()
    assert errors.run(reproduce.main, [*command, "--report"]) == 0
    assert not toy


@pytest.mark.neutral
def test_ensembles_are_told_with_the_interval_of_what_they_gain(tmp_path):
    rng, labels = np.random.default_rng(0), np.arange(400) % 2
    folders = [tmp_path / name for name in ("0", "1", "linear")]
    for folder, noise in zip(folders, (1.0, 1.0, 2.0), strict=True):
        folder.mkdir()
        for name in ("held_out", "test"):
            z = 2.0 * labels - 1 + rng.normal(size=400) * noise
            np.savez(folder / f"{name}.npz", z=z, labels=labels, part=z)
    mean, both = recurrent_text.ensembles(folders[:2], folders[2])
    assert "mean of 2 seeds, an ensemble: F1 89.90 %" in mean
    low = float(mean.split("test reviews ")[1].split(" to ")[0])
    assert low > 5
    assert "summed at one spread" in both


@pytest.mark.neutral
def test_nb_svm_tells_texts_apart(tmp_path):
    pytest.importorskip("sklearn")
    some = reviews(100, 0)
    numbers = recurrent_text.parts(100)
    found = recurrent_text.linear(some.images, some.labels, *numbers, tmp_path)
    assert found["held_out_f1"] == found["cross_validated"][str(found["C"])][0] * 100 == 100
    assert nb_svm.features("Good, good film") == ["good", "good", "film", "good good", "good film"]
    a = argparse.Namespace(limit=None)
    assert recurrent_text.STUDY.settings(Form("nb_svm", ""), a) == {"limit": None}
