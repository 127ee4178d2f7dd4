"""Momenta of jets as `jet_lstm` reads them, and the layout of the public files."""

import pickle

import h5py
import numpy as np
import pytest

from keras_recres.models import jet_lstm
from keras_recres.zoo import jets

pytestmark = pytest.mark.neutral


def momenta_of(points):
    """(E, px, py, pz) of massless (pT, η, φ)."""
    pt, eta, phi = np.moveaxis(np.asarray(points, dtype="float64"), -1, 0)
    parts = [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
    return np.stack(parts, -1)


def random_jet(rng, n):
    points = np.stack(
        [rng.exponential(50, n) + 1, 0.8 + 0.2 * rng.normal(size=n), 0.3 * rng.normal(size=n)], -1
    )
    return points[np.argsort(-points[:, 0])]


def test_coordinates_are_those_that_momenta_were_made_of():
    points = random_jet(np.random.default_rng(0), 20)
    np.testing.assert_allclose(jets.coordinates(momenta_of(points)), points, atol=1e-12)
    np.testing.assert_array_equal(jets.coordinates(np.zeros((2, 4))), np.zeros((2, 3)))


def test_a_walk_through_the_tree_meets_near_constituents_one_after_the_other():
    # Two prongs; the harder one has the hardest and the softest constituent.
    points = [[100, 0.4, 0.0], [60, -0.4, 0.1], [30, -0.42, 0.12], [10, 0.41, 0.02]]
    for exponent in (-1, 0, 1):
        order = jets.clustering_order(momenta_of(points), exponent)
        assert order.tolist() == [0, 3, 1, 2]
    assert sorted(jets.clustering_order(momenta_of(random_jet(np.random.default_rng(1), 30)))) == [
        *range(30)
    ]


def test_jets_are_the_same_wherever_they_lie_and_however_they_are_turned():
    rng = np.random.default_rng(0)
    pt, eta, phi = random_jet(rng, 15).T
    turned = np.array([[np.cos(1.1), -np.sin(1.1)], [np.sin(1.1), np.cos(1.1)]]) @ [eta - 0.8, phi]
    versions = [
        (pt, eta, phi),
        (2 * pt, eta + 0.5, phi + np.pi),  # Elsewhere, across φ = π, and twice as hard.
        (pt, turned[0] + 0.8, turned[1]),
        (pt, eta, -phi),
    ]
    momenta = np.zeros((4, 20, 4))
    for row, version in zip(momenta, versions, strict=True):
        row[:15] = momenta_of(np.stack(version, -1))
    x = jets.preprocess(momenta, constituents=18, order="pt")
    assert x.shape == (4, 18, 3)
    assert x.dtype == "float32"
    for other in x[1:]:
        np.testing.assert_allclose(other, x[0], atol=1e-5)
    assert not x[:, 15:].any()
    assert x[0, :, 0].sum() == pytest.approx(1)
    np.testing.assert_allclose((x[0, :, :1] * x[0, :, 1:]).sum(0), 0, atol=1e-6)
    few = jets.preprocess(momenta, constituents=5)
    assert (few[:, :, 0] > 0).all()
    np.testing.assert_allclose(sorted(few[0, :, 0], reverse=True), pt[:5] / pt[:5].sum(), rtol=1e-5)
    assert not jets.preprocess(np.zeros((1, 20, 4))).any(), "a jet of no constituent"


@pytest.fixture
def write(tmp_path):
    """A function that writes a table as pandas and PyTables do."""

    def write(momenta, labels, names=None, protocol=0):
        columns = [f"{c}_{i}" for i in range(momenta.shape[1]) for c in ("E", "PX", "PY", "PZ")]
        columns = [*columns, "truthE", "truthPX", "truthPY", "truthPZ"] if names is None else names
        rows = np.zeros(
            len(momenta),
            [
                ("index", "i8"),
                ("values_block_0", "f4", (len(columns),)),
                ("values_block_1", "i8", (2,)),
            ],
        )
        flat = momenta.reshape(len(momenta), -1)
        rows["values_block_0"][:, : flat.shape[1]] = flat
        rows["values_block_1"] = np.stack([np.zeros(len(labels)), labels], -1)
        path = tmp_path / "train.h5"
        with h5py.File(path, "w") as file:
            table = file.create_dataset("table/table", data=rows)
            kinds = {"values_block_0": columns, "values_block_1": ["ttv", "is_signal_new"]}
            for block, kind in kinds.items():
                table.attrs[f"{block}_kind"] = np.bytes_(pickle.dumps(kind, protocol=protocol))
        return path

    return write


def test_the_public_layout_is_read_and_goes_through_the_network(write):
    rng = np.random.default_rng(0)
    momenta = np.zeros((6, 200, 4))
    for row, n in zip(momenta, (3, 50, 200, 7, 9, 1), strict=True):
        row[:n] = momenta_of(random_jet(rng, n))
    labels = np.array([0, 1, 1, 0, 1, 0])
    path = write(momenta, labels)
    found, tops = jets.read_top_tagging(path)
    np.testing.assert_allclose(found, momenta, rtol=1e-6)
    np.testing.assert_array_equal(tops, labels)
    part, tops = jets.read_top_tagging(path, 2, 4)
    np.testing.assert_array_equal(part, found[2:4])
    assert tops.tolist() == [1, 0]
    x = jets.preprocess(part, constituents=10)
    assert jet_lstm(8, 4, input_shape=(10, 3))(x).shape == (2, 1)


def test_other_files_are_refused_in_one_sentence(write, tmp_path):
    momenta = np.zeros((1, 2, 4))
    with pytest.raises(ValueError, match=r"columns E_0.* PZ_1 is not there\.$"):
        jets.read_top_tagging(
            write(momenta, [1], ["E_0", "PX_0", "PY_0", "PZ_0", "E_1", "PX_1", "PY_1", "other"])
        )
    with pytest.raises(ValueError, match=r"PX_0 is not there\.$"):
        jets.read_top_tagging(write(momenta, [1], [*"abcdefgh"]))
    (tmp_path / "text.h5").write_text("no table")
    with pytest.raises(ValueError, match="must be an HDF5 file"):
        jets.read_top_tagging(tmp_path / "text.h5")
    with pytest.raises(FileNotFoundError, match=r"none\.h5 is not there"):
        jets.read_top_tagging(tmp_path / "none.h5")
    with pytest.raises(ValueError, match=r"\(jets, places, 4\).* \(3, 4\)"):
        jets.preprocess(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="'clustering' or 'pt', but it is 'eta'"):
        jets.preprocess(momenta, order="eta")
    with pytest.raises(ValueError, match="infinite or NaN"):
        jets.preprocess(momenta + np.nan)


def test_counts():
    assert jet_lstm().count_params() == 75_905
    with pytest.raises(ValueError, match=r"\(constituents, features\).* \(3,\)"):
        jet_lstm(input_shape=(3,))
