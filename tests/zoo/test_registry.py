import copy
import dataclasses
import json
import pickle
import re
import sys

import pytest

from keras_recres import zoo
from keras_recres.zoo import registry, sources
from keras_recres.zoo.record import Record, Result

pytestmark = pytest.mark.neutral

HEADER = [field.name for field in dataclasses.fields(Result)]


def add_name(folder, name, **changes):
    config = json.loads((folder / "configs" / "toy_rec.json").read_text())
    config = {**config, "name": name, **changes}
    (folder / "configs" / f"{name}.json").write_text(json.dumps(config))


def names(**query):
    return [record.name for record in zoo.list(**query)]


def test_list_sorts_naturally(toy_zoo):
    for name in ("toy10", "toy9", "toy9_rec"):
        add_name(toy_zoo, name)
    assert names() == ["toy9", "toy9_rec", "toy10", "toy_rec"]


def test_list_filters(toy_zoo):
    add_name(toy_zoo, "net3", family="net", parameters={"trainable": 5, "total": 9})
    assert names() == ["net3", "toy_rec"]
    assert names(pattern="*_rec") == ["toy_rec"]
    assert names(pattern="TOY*") == []
    assert names(trained=True) == ["toy_rec"]
    assert names(trained=False) == ["net3"]
    assert names(dataset="mnist") == ["net3", "toy_rec"]
    assert names(dataset="mnist", trained=True) == []
    assert names(dataset="cifar10", trained=True) == ["toy_rec"]
    assert names(max_params=9) == ["net3"]
    assert names(max_params=8) == []
    assert names(family="net") == ["net3"]


def test_list_takes_several_patterns_and_sorts():
    assert names(pattern=["planar_*", "rrn*"]) == [
        "planar_deep",
        "planar_rec",
        "planar_shallow",
        "rrn_tanh",
    ]
    for pattern in ("vit*", "cifar*", ["vit*", "frn*"]):
        assert sorted(names(pattern=pattern)) == sorted(names(pattern=pattern, sort="accuracy"))
    found = zoo.list(["vit*", "cifar_*"], sort="accuracy")
    values = [record.row()["measured"] for record in found]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=True)
    assert values == known + [None] * (len(values) - len(known))
    assert None in values
    # A result on another data set than the default tag's, and the two of equal parameters.
    assert names(pattern="planar*", sort="parameters") == [
        "planar_rec",
        "planar_shallow",
        "planar_deep",
    ]
    assert names(pattern=["vit3*"], sort="multiply_adds") == ["vit3", "vit3_rec"]
    assert zoo.info("vit3").measured("imagenet") is None
    with pytest.raises(ValueError, match=r"found 'accurcy' \(did you mean 'accuracy'\?\)"):
        zoo.list(sort="accurcy")


def test_a_frame_has_a_row_for_each_name(monkeypatch):
    with monkeypatch.context() as missing:
        missing.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match="`pip install pandas`"):
            zoo.list(as_frame=True)
    pytest.importorskip("pandas")
    frame = zoo.list("vit*", dataset="cifar10_jpeg", sort="parameters", as_frame=True)
    assert list(frame["name"]) == names(pattern="vit*", sort="parameters")
    assert frame.set_index("name").loc["vit3_rec", "measured"] == 68.25
    assert frame["multiply_adds"].min() == 44_513_280
    assert len(zoo.list("none*", as_frame=True)) == 0


def test_info_reads_what_list_lists(toy_zoo):
    record = zoo.info("toy_rec")
    assert [record] == zoo.list()
    assert record.trained_tags == ("small",)
    assert record.trained
    assert record.parameters.trainable == 71
    assert record.paper.printed == 61.5
    assert record.arguments_of() == {"steps": 2, "input_shape": (8, 8, 3), "num_classes": 7}
    assert record.arguments_of("small")["input_shape"] == (4, 4, 3)
    assert record.arguments_of("small")["steps"] == 2
    assert record.preprocessing_of("small").size == (4, 4)
    assert record.preprocessing_of("small").mean == (0.4, 0.5, 0.6)
    assert record.preprocessing_of("grey") == record.preprocessing_of()


def test_info_of_a_tag(toy_zoo):
    assert zoo.info("toy_rec").default_tag == "small"
    assert zoo.info("toy_rec.grey").default_tag == "grey"


def test_record_is_readable(toy_zoo):
    row = dict.fromkeys(HEADER, "")
    row |= {"name": "toy_rec", "tag": "small", "dataset": "cifar10", "split": "test"}
    row |= {"metric": "top1_percent", "value": "40.1", "std": "0.2", "seeds": "3"}
    row |= {"budget": "2 h on 2 cores", "note": "short run"}
    lines = [",".join(HEADER), ",".join(row[key] for key in HEADER)]
    (toy_zoo / "results.csv").write_text("\n".join(lines) + "\n")
    text = str(zoo.info("toy_rec"))
    assert "71 trainable, 327 in all" in text
    assert "61.5 top1_percent on imagenet; Toys (arXiv:1234.56789), table 1" in text
    assert re.search(r"small \(on cifar10, weights of \d+ kB, default; Apache-2.0\)", text)
    assert "grey (on mnist, not trained yet)" in text
    assert "small: 40.1 ± 0.2 top1_percent on cifar10 test (3 seeds, 2 h on 2 cores, short" in text
    assert "no trained weights" not in text
    assert repr(zoo.info("toy_rec")) == "<toy_rec: 327 parameters, small>"


def test_record_without_weights_says_so(toy_zoo):
    (toy_zoo / "manifest.json").unlink()
    record = zoo.info("toy_rec")
    assert not record.trained
    assert "no trained weights yet: load it with weights=None" in str(record)
    assert repr(record) == "<toy_rec: 327 parameters, no weights yet>"


@pytest.mark.parametrize(("name", "suggested"), [("toy_rek", "toy_rec"), ("toyrec", "toy_rec")])
def test_unknown_name_suggests_the_nearest(toy_zoo, name, suggested):
    with pytest.raises(ValueError, match=f"no '{name}' \\(did you mean '{suggested}'\\?\\)"):
        zoo.info(name)


def test_unknown_name_far_from_all(toy_zoo):
    with pytest.raises(ValueError, match=r"no 'zzz'; zoo\.list\(\) shows all"):
        zoo.info("zzz")


def test_name_is_not_a_path(toy_zoo):
    with pytest.raises(ValueError, match="The zoo has no"):
        zoo.info("../configs/toy_rec")


def test_unknown_tag_suggests_the_nearest(toy_zoo):
    with pytest.raises(ValueError, match=r"no tag 'smal' \(did you mean 'small'\?\); it has small"):
        zoo.info("toy_rec.smal")


def test_record_round_trip(toy_zoo):
    config = json.loads((toy_zoo / "configs" / "toy_rec.json").read_text())
    record = Record.from_dict(config)
    assert json.loads(json.dumps(record.to_dict())) == config
    assert Record.from_dict(record.to_dict()) == record
    assert pickle.loads(pickle.dumps(record)) == record == copy.deepcopy(record)
    assert hash(record) == hash(copy.deepcopy(record))
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.name = "other"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": 1}, r"unknown \['colour'\]"),
        ({"family": 3}, "family has a value of a wrong type, 3"),
        ({"default_tag": "big"}, "default_tag must be null or one of .*'small'.*found 'big'"),
        ({"parameters": {"trainable": 1}}, r"parameters must have .* missing \['total'\]"),
        ({"parameters": {"trainable": 1, "total": True}}, "total has a value of a wrong type"),
        ({"tags": {"small": {"arguments": {}}}}, r"tags\.small must have .* missing \['dataset'\]"),
        ({"tags": {"small": 3}}, r"tags\.small must be a JSON object, found 3"),
    ],
)
def test_a_wrong_config_is_one_sentence(toy_zoo, change, sentence):
    config = json.loads((toy_zoo / "configs" / "toy_rec.json").read_text())
    with pytest.raises(ValueError, match=sentence):
        Record.from_dict({**config, **change}, where="toy_rec.json")


def test_broken_files_are_named(toy_zoo):
    path = toy_zoo / "configs" / "toy_rec.json"
    good = path.read_text()
    path.write_text(good[:-5])
    with pytest.raises(ValueError, match=r"toy_rec\.json is not valid JSON"):
        zoo.list()
    path.write_text(good.replace('"name": "toy_rec"', '"name": "toy"'))
    with pytest.raises(ValueError, match="must have the name 'toy_rec', found 'toy'"):
        zoo.list()
    path.write_text(good)
    (toy_zoo / "manifest.json").write_text("[]")
    with pytest.raises(ValueError, match="is not a zoo manifest"):
        zoo.list()


def test_a_name_of_ones_own(toy_zoo, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    config = {**zoo.info("toy_rec").to_dict(), "name": "toy_mine"}
    config["arguments"] = {**config["arguments"], "steps": 5}
    record = zoo.register(config)
    config["arguments"]["steps"] = 6  # Which is the caller's own.
    assert zoo.info("toy_mine") == record
    assert record.arguments["steps"] == 5
    assert [each.name for each in zoo.list()] == ["toy_mine", "toy_rec"]
    assert zoo.register(config).arguments["steps"] == 6
    with pytest.raises(ValueError, match="'toy_rec' is a name of the zoo: give another one"):
        zoo.register({**config, "name": "toy_rec"})
    with pytest.raises(ValueError, match="whose 'name' has letters, digits, _ and - only"):
        zoo.register({**config, "name": "toy/mine"})
    with pytest.raises(ValueError, match=r"toy_other\.json must have exactly the keys"):
        zoo.register({"name": "toy_other"})
    assert len(zoo.list()) == 2


def test_list_does_not_shadow_the_type():
    assert isinstance(registry.list(), list)
    assert zoo.list is registry.list


def test_every_weight_file_has_its_data_set_and_licence():
    files = [file for file in sources.listed_files() if file.startswith("weights/")]
    assert files
    for file in files:
        name, tag = file.removeprefix("weights/").removesuffix(".weights.h5").split(".")
        record = zoo.info(name)
        dataset, licence = record.tags[tag].dataset, record.licence(tag)
        assert dataset, file
        assert licence.startswith("Apache-2.0"), file
        # Whose owners ask for more than a citation.
        assert ("ImageNet's terms" in licence) == ("imagenet" in dataset), file
        assert f"{tag} (on {dataset}, " in str(record), file
        assert licence in str(record), file
