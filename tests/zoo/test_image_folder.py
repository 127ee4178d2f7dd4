"""Folders of images as users have them."""

import shutil

import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.zoo import image_folder, pictures
from tests.zoo import image_files

pytestmark = pytest.mark.neutral
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path):
    return image_files.write(tmp_path / "fruit", 10)


def test_a_subfolder_is_a_class_and_a_seed_holds_out_a_fifth_of_each(folder):
    (folder / "lime" / "deeper").mkdir()
    shutil.move(folder / "lime" / "00.png", folder / "lime" / "deeper" / "00.png")
    for hidden in (".cache/lemon", "lime/.thumbs"):
        image_files.write(folder / hidden, 1)
    (folder / "lime" / ".DS_Store").touch()
    (folder / "README.txt").touch()
    listing = image_folder.find(folder)
    assert listing.class_names == image_files.CLASSES
    assert [*np.bincount(listing.labels)] == [10, 10]
    held_out = listing.split(3)
    assert [*np.bincount(listing.labels[held_out])] == [2, 2]
    np.testing.assert_array_equal(held_out, image_folder.find(folder).split(3))
    assert any((held_out != listing.split(seed)).any() for seed in range(3))
    part = listing.part(held_out, "evaluation", limit=3)
    assert (part.tag, len(part.data)) == ("folder_fruit", 3)
    labels = {
        path.read_bytes(): label for path, label in zip(listing.files, listing.labels, strict=True)
    }
    assert [labels[file] for file in part.data] == [*part.labels]


def test_train_and_val_say_what_is_held_out(tmp_path):
    for name, count in (("train", 4), ("val", 2)):
        image_files.write(tmp_path / name, count)
    listing = image_folder.find(tmp_path)
    held_out = listing.split(0)
    chosen = [listing.files[i] for i in np.flatnonzero(held_out)]
    assert {path.parts[-3] for path in chosen} == {"val"}
    assert (held_out.sum(), len(held_out)) == (4, 12)
    image_files.write(tmp_path / "val", 1, ["orange"])
    with pytest.raises(ValueError, match="'orange', which is not among lemon, lime"):
        image_folder.find(tmp_path)
    shutil.rmtree(tmp_path / "val")
    with pytest.raises(ValueError, match="has train/, but no val/"):
        image_folder.find(tmp_path)


@pytest.mark.parametrize("head", ["", "path,label\n", "\ufeffPath, Label, more\n"])
def test_a_csv_names_files_from_its_own_folder(folder, head):
    table = folder / "labels.csv"
    rows = "lime/01.png,sour,0.5\nlemon/02.png,sweet,1\n\n"
    table.write_text(head + rows, encoding="utf-8")
    listing = image_folder.find(table, class_names=["sweet", "other", "sour"])
    assert listing.files == (folder / "lime/01.png", folder / "lemon/02.png")
    assert [*listing.labels] == [2, 0]
    assert listing.name == "folder_labels"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: shutil.rmtree(f), "there is no folder of images"),
        (lambda f: [shutil.rmtree(sub) for sub in f.iterdir()], "has no images in subfolders"),
        (lambda f: shutil.rmtree(f / "lime"), "must have two classes at least, found lemon"),
        (
            lambda f: [file.unlink() for file in [*(f / "lime").iterdir()][1:]],
            "class 'lime' of .* has too few images: of 1 that can be read 1 must be held out",
        ),
    ],
)
def test_what_cannot_be_learnt_is_one_sentence(folder, make, said):
    make(folder)
    with pytest.raises(ValueError, match=said):
        image_folder.find(folder).split(0)


def test_files_that_are_not_images_are_named_and_left_out(folder, caplog):
    lime, lemon = folder / "lime", folder / "lemon"
    (lime / "00.png").write_text("no image")
    (lemon / "03.png").write_bytes((lemon / "03.png").read_bytes()[:150])
    Image.fromarray(np.zeros((4, 4), "uint16")).save(lemon / "04.png")
    preprocess = zoo.Preprocessing(size=(6, 6), scale=1 / 255)
    listing, pixels = image_folder.decoded(image_folder.find(folder), 3, preprocess)
    assert pixels.shape == (17, 6, 6, 3)
    assert [*np.bincount(listing.labels)] == [8, 9]
    assert [file for file, _ in listing.skipped] == [
        str(lemon / "03.png"),
        str(lemon / "04.png"),
        str(lime / "00.png"),
    ]
    assert "lime/00.png' is not an image that Pillow can read" in caplog.text
    # Each image still has its own label: a lemon is red, a lime green.
    means = pixels.astype("float32").mean(axis=(1, 2))
    np.testing.assert_array_equal(means[:, :2].argmax(axis=1), listing.labels)
    for file in folder.rglob("*.png"):
        file.write_text("no image")
    with pytest.raises(ValueError, match="none of the 20 files"):
        image_folder.decoded(image_folder.find(folder), 3)


@pytest.mark.parametrize("mode", ["P", "RGBA", "L", "LA", "1", "CMYK"])
def test_every_mode_of_8_bits_is_read_as_pixels_of_a_size(tmp_path, mode):
    picture = Image.fromarray(np.full((40, 30, 3), (200, 40, 90), "uint8")).convert(mode)
    file = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    picture.save(file)
    pixels = pictures.decode(file.read_bytes(), 3, zoo.Preprocessing(size=(8, 8)))
    expected = np.asarray(picture.convert("RGB"))[20, 15].astype(int)
    if mode not in ("1", "P"):  # Which dither.
        assert np.abs(pixels - expected).max() <= 3
    assert pixels.shape == (8, 8, 3)


def test_a_large_photograph_is_what_its_preprocessing_makes_of_it(tmp_path):
    """It is decoded at an eighth of its size, and resized by Pillow: the difference is small."""
    y, x = np.mgrid[:1500, :1000]
    waves = 127 + 100 * np.sin(np.stack([x / 90, y / 110, (x + y) / 130], axis=-1))
    file = tmp_path / "photo.jpg"
    Image.fromarray(waves.astype("uint8")).save(file, quality=95)
    preprocess = zoo.Preprocessing(size=(32, 24), crop=0.9, interpolation="bicubic")
    found = pictures.decode(file.read_bytes(), 3, preprocess)
    expected = np.asarray(preprocess(pictures.decode(file.read_bytes(), 3)))[0]
    assert np.abs(found - expected).max() < 6


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_phones_pictures_stand_upright(tmp_path, suffix):
    rows, columns = np.mgrid[:160, :120]
    pixels = np.stack([rows, columns, rows + columns // 2], axis=-1).astype("uint8")
    # What EXIF's numbers say was done to the picture that is stored.
    stored = {1: pixels, 3: pixels[::-1, ::-1], 6: np.rot90(pixels), 8: np.rot90(pixels, -1)}
    preprocess = zoo.Preprocessing(size=(16, 8), interpolation="bilinear")
    for orientation, turned in stored.items():
        exif, file = Image.Exif(), tmp_path / f"{orientation}.{suffix}"
        exif[pictures.ORIENTATION] = orientation
        Image.fromarray(turned).save(file, exif=exif, quality=100)
        whole = pictures.decode(file.read_bytes(), 3)
        assert np.abs(whole.astype(int) - pixels).max() <= (4 if suffix == "jpg" else 0)
        small = pictures.decode(file.read_bytes(), 3, preprocess)
        assert np.abs(small - np.asarray(preprocess(pixels))[0]).max() < 4
