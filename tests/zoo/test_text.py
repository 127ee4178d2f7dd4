"""Texts on their way into a network, and what a network of the zoo says of them."""

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.cli.main import main
from keras_recres.zoo import evaluation, text
from keras_recres.zoo.tfds_folder import Split

TEXTS = [
    "The film<br /><br />isn't good!",
    "GOOD good film, the film... the Film?",
    "Ça 'va' 10/10",
]
WORDS = ("the", "film", "good", "!", "isn't")


def preprocessing(length=5):
    return text.TextPreprocessing(WORDS, words=6, length=length)


def test_texts_become_the_numbers_of_their_last_words():
    p = preprocessing()
    wanted = [[2, 3, 1, 4, 5], [2, 3, 2, 3, 1], [0, 1, 1, 1, 1]]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(p(TEXTS)), wanted)
    encoded = np.array([one.encode() for one in TEXTS], object)
    np.testing.assert_array_equal(p.numbers(encoded), wanted)
    assert preprocessing(7).numbers(TEXTS[:1]).tolist() == [[0, 0, 2, 3, 1, 4, 5]]
    assert p.known == WORDS[:4]
    assert text.vocabulary_of(["b a", "c a b d!"], 3) == ("a", "b", "!")


def test_a_graph_of_tensorflow_gives_the_same_numbers():
    tf = pytest.importorskip("tensorflow")
    p = preprocessing()
    texts = [*TEXTS, "x" * 3, "it's!?", "the\nfilm\tgood ! the", "naïve GOOD İ the", "a' 'b"]
    for found in tf.data.Dataset.from_tensors(texts).map(p):
        np.testing.assert_array_equal(found.numpy(), p.numbers(texts))
        assert found.dtype == tf.int32
    with pytest.raises(tf.errors.InvalidArgumentError, match="A text has no word to read"):
        next(iter(tf.data.Dataset.from_tensors(["good", "..."]).map(p)))


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ("a text", r"texts must be a list of strings, found 'a text': give \['a text'\]\."),
        (["good", ""], "text 1 has no word to read: ''."),
        (["<br /> ..."], "text 0 has no word to read: '<br /> ...'."),
        ([3], "texts must be strings, found 3 as number 0."),
    ],
)
def test_what_is_not_a_text_is_one_sentence(texts, sentence):
    with pytest.raises(ValueError, match=sentence):
        preprocessing().numbers(texts)


@pytest.mark.neutral
def test_sizes_of_a_preprocessing_are_checked():
    with pytest.raises(ValueError, match="words must be an integer of at least 3, found 2"):
        text.TextPreprocessing(WORDS, words=2)
    with pytest.raises(ValueError, match="length must be an integer of at least 1, found 0"):
        text.TextPreprocessing(WORDS, length=0)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    small = {"units": 3, "embedding_dim": 4, "vocabulary_size": 500, "length": 6}
    return zoo.build("lstm_imdb", tag="imdb_reviews", **small)


def test_a_saved_network_predicts_texts(model, tmp_path, monkeypatch, capsys):
    assert (model.preprocess.words, model.preprocess.length) == (500, 6)
    found = model.predict_texts(TEXTS, batch_size=2)
    assert found.shape == (3, 2)
    logits = keras.ops.convert_to_numpy(model(model.preprocess(TEXTS)))
    wanted = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert np.ptp(found[:, 1]) > 1e-3
    file = tmp_path / "own.keras"
    model.save(file)
    # Its vocabulary is in the file.
    monkeypatch.setattr(text.sources, "locate", None)
    text._numbers_of.cache_clear()
    restored = keras.saving.load_model(file)
    np.testing.assert_allclose(restored.predict_texts(TEXTS), found, atol=1e-6)
    assert restored.class_names == ("negative", "positive")
    with pytest.raises(ValueError, match="text 1 has no word"):
        restored.predict_texts(["good", " "])
    with pytest.raises(ValueError, match="texts must be a list of strings"):
        restored.predict_texts("good")

    arguments = ["predict", str(file), "--text", TEXTS[0], "--text", TEXTS[2]]
    assert main(arguments) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split("\t") == ["text", "rank", "class", "probability"]
    assert [row.split("\t")[:2] for row in rows[::2]] == [[TEXTS[0], "1"], [TEXTS[2], "1"]]
    best = found[[0, 2]].argmax(-1)
    assert [row.split("\t")[2] for row in rows[::2]] == [model.class_names[i] for i in best]
    for wrong, sentence in (
        ([*arguments, "--text", "?!..".strip("?!")], "--text '..' has no word to read."),
        (arguments[:2], "lstm_imdb takes texts: give each with --text."),
        (["predict", "planar_rec", "--text", "a"], "planar_rec takes no texts, which --text is"),
    ):
        assert main(wrong) == 2
        assert sentence in capsys.readouterr().err


def test_accuracy_on_texts_is_that_of_the_predictions(model):
    wanted = model.predict_texts(TEXTS).argmax(-1)
    data = [one.encode() for one in TEXTS]
    split = Split(data, np.array([1, 1, 0]), ("neg", "pos"), "imdb_reviews", "test", 0)
    measured = evaluation.measure(model, split)
    assert measured["top1_percent"] == pytest.approx(100 * np.mean(wanted == [1, 1, 0]))
    numbers, labels = evaluation.arrays(model, split)
    assert (numbers.shape, labels.tolist()) == ((3, 6), [1, 1, 0])
    points = Split(np.zeros((3, 2)), split.labels, split.class_names, "spiral", "test", 0)
    with pytest.raises(ValueError, match="lstm_imdb takes texts, but spiral has arrays"):
        evaluation.measure(model, points)


@pytest.mark.neutral
def test_networks_of_texts_and_of_images_refuse_each_other():
    planar = zoo.build("planar_rec")
    with pytest.raises(ValueError, match="'planar_rec' takes no texts: its `preprocess` must be"):
        planar.predict_texts(TEXTS)
    with pytest.raises(ValueError, match="bilstm_imdb' cannot be built with input_shape="):
        zoo.build("bilstm_imdb", input_shape=(4, 4, 3))
