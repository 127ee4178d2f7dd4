"""The convolutional line: depths and shares as they are known, and a page that has every name."""

import keras
import pytest

from keras_recres import zoo
from training import line

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize(
    ("name", "depth", "year"),
    [("cifar_resnet20", 20, 2015), ("highway_mnist", 10, 2015), ("neocognitron", 3, 1980)],
)
def test_a_row_has_the_depth_of_the_name(name, depth, year):
    row = line.row(zoo.info(name))
    assert (row.depth, int(row.year)) == (depth, year)


@pytest.mark.slow
def test_shares_are_those_of_dense_layers():
    row = line.row(zoo.info("highway_mnist"))
    assert row.parameters == pytest.approx((37264 / 38986, 1440 / 38986))
    assert row.multiply_adds == pytest.approx((8027136 / 8028576, 1440 / 8028576))
    assert line.row(zoo.info("highway_dense_50")).multiply_adds == (0, 1)


def test_a_branch_counts_as_often_as_it_runs_and_the_longest_way_counts():
    from keras_recres.layers import RecurrentResidual

    inputs = keras.Input((4,))
    short = keras.layers.Dense(4)(inputs)
    branch = keras.Sequential([keras.layers.Dense(4), keras.layers.LayerNormalization()])
    long = RecurrentResidual(branch, steps=3)(inputs)
    assert line.depth(keras.Model(inputs, keras.layers.Add()([short, long]))) == 3


def test_the_page_has_every_network_as_its_record_says():
    page = line.PAGE.read_text(encoding="utf-8")
    page = page[page.index(line.BEGIN) : page.index(line.END)]  # other tables name networks too
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    told = {row.split("`")[1]: row for row in rows}
    records = {record.name: record for record in line.records()}
    assert told.keys() == records.keys(), "python -m training.line renews the page"
    for name, record in records.items():
        assert f"| {record.parameters.total:,} |" in told[name]
        assert f"| {record.multiply_adds:,} |" in told[name]
        assert record.paper.where in told[name]
    assert line.PAGE.with_suffix(".png").is_file()


def test_the_page_is_renewed_between_its_marks(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{line.BEGIN}\nold\n{line.END}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(line, "records", lambda: [zoo.info("highway_mnist")])
    line.main(["--page", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{line.BEGIN}\n| name |")
    assert text.endswith(f"{line.END}\nafter\n")
    counts = "38,986 | 95.6 / 3.7 % | 8,028,576 | 100.0 / 0.0 %"
    assert f"| `highway_mnist` | 2015 | 10 | {counts} | 0.6 % | mnist |" in text
    assert "old" not in text
    assert page.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
