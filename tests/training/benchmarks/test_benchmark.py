"""What `python -m training.benchmark` measures of what it could, and what it keeps."""

import json

import keras
import pytest

from training import benchmark, errors
from training.benchmarks import train
from training.data import batches

pytestmark = pytest.mark.neutral

BACKEND = keras.backend.backend()


@pytest.fixture
def measured(monkeypatch):
    """The cases that are asked for; no measurement but their number, and the third fails."""
    cases = []

    def in_process(name, backend, case):
        cases.append((name, backend, case))
        if len(cases) == 3:
            raise errors.UserError("the third went wrong")
        return {"seconds": {"one": float(len(cases))}}

    monkeypatch.setattr(benchmark, "in_process", in_process)
    monkeypatch.setattr(train, "report", lambda rows: None)
    return cases


def run(*argv):
    return errors.run(benchmark.main, ["train", "--backends", BACKEND, *argv])


def test_only_takes_the_cases_that_are_like_all_its_wildcards(measured):
    assert run("--only", "vit*", "*bfloat16") == 0
    assert [(case["network"], case["policy"]) for *_, case in measured] == [
        ("vit7", "mixed_bfloat16"),
        ("vit7_rec", "mixed_bfloat16"),
    ]


def test_what_was_measured_is_kept_when_a_case_fails(measured, tmp_path, capsys):
    assert run("--json", str(tmp_path / "train.json")) == 2
    assert "the third went wrong" in capsys.readouterr().err
    rows = json.loads((tmp_path / "train.json").read_text())
    assert [row["seconds"]["one"] for row in rows] == [1.0, 2.0]
    assert rows[0]["backend"] == BACKEND


def test_resume_measures_what_the_file_lacks_and_tables_all(measured, tmp_path, capsys):
    file, told = ("--json", str(tmp_path / "train.json")), []
    assert run("--resume") == 2
    assert "--resume keeps what the file of --json has: give" in capsys.readouterr().err
    assert run("--only", "vit7,vit7_rec", "float32", *file, "--resume") == 0
    measured += [None]  # The third fails.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "report", told.extend)
        assert run("--only", "vit7*", *file, "--resume") == 0
    rows = json.loads((tmp_path / "train.json").read_text())
    asked = [(row["network"], row["policy"]) for row in rows]
    assert told == rows
    assert asked[:2] == [("vit7", "float32"), ("vit7_rec", "float32")]
    assert len({*asked}) == len(asked) == len(measured) - 1 > 2
    (tmp_path / "train.json").write_text("[1]")
    assert run(*file, "--resume") == 2
    assert "train.json does not hold measurements" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(
    measured, tmp_path, capsys
):
    for file in (tmp_path / "absent" / "train.json", tmp_path):
        assert run("--json", str(file)) == 2
        assert capsys.readouterr().err == f"error: --json {file} cannot be written.\n"
    assert measured == []


def test_what_leaves_no_case_is_one_sentence(measured, capsys):
    assert run("--only", "vit8*") == 2
    assert (
        capsys.readouterr().err.splitlines()[-1] == "error: --only vit8* leaves no case of train."
    )
    assert measured == []


@pytest.mark.slow
def test_what_feeds_a_training_is_measured(tmp_path, capsys):
    found = tmp_path / "feed.json"
    assert run_feed("--only", "False", "--json", str(found)) == 0
    rows = json.loads(found.read_text())
    assert [row["threads"] for row in rows] == sorted({1, min(16, batches.CORES)})
    assert all(row["images_per_second"] > 1 for row in rows)
    assert "crop and flip" in capsys.readouterr().out


def run_feed(*argv):
    return errors.run(benchmark.main, ["feed", "--quick", "--backends", BACKEND, *argv])
