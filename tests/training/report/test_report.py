"""The page of results: everything is in it, nothing in it is code, and a browser can use it."""

import csv
import dataclasses
import html
import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.zoo import sources
from training.report import __main__ as report
from training.report import curves, entries, page

pytestmark = pytest.mark.neutral

DRIVER = pathlib.Path(__file__).with_name("report_drive.js")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The page in a frame, since browsers have a least width of their own and phones have not.
FRAME = """<!doctype html><link rel="icon" href="data:,">
<script>addEventListener("message", (event) => {
  const seen = document.createElement("pre");
  seen.id = "seen";
  seen.textContent = event.data;
  document.body.append(seen);
});</script>
<body style="margin:0"><iframe src="index.html" style="border:0;width:WIDTHpx;height:880px">"""
CONSOLE = re.compile(r":CONSOLE[:(].*?\] (\"?)(.*)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    report.write(out)
    return out


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "index.html").read_text(encoding="utf-8")


def test_every_row_of_results_is_there(text):
    with open(sources.data_folder() / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        body = re.search(rf'<tbody data-name="{row["name"]}".*?</tbody>', text, re.DOTALL).group()
        spread = f" ± {row['std']}" if row["std"] else ""
        assert f"<b>{row['value']}{spread} %</b>" in body
        assert f"{int(row['parameters']):,}" in body
        assert f"{int(row['multiply_adds']):,} per example" in body
        if row["printed"]:
            assert f"{float(row['printed']):g} %" in body
        assert html.escape(row["note"]) in body


def test_every_name_is_there_once_and_with_its_log(text):
    names = re.findall(r'<tbody data-name="([^"]*)"', text)
    measured = [r for r in zoo.list() if r.results]
    assert sorted(names) == sorted(r.name for r in zoo.list())
    assert names[: len(measured)] == [r.name for r in measured]
    logs = [p for p in (sources.data_folder() / "logs").glob("*.csv") if p.stem.count(".") == 1]
    logs = [p for p in logs if len(p.read_text().splitlines()) > 2]  # One epoch is not a curve.
    assert text.count('class="spark"') == len(logs) > 0
    assert text.count('<figure class="chart">') == 2 * len(logs)


def test_every_network_has_the_line_that_loads_it(text):
    lines = re.findall(r'<code class="line-of-code">model = (.*?)</code>', text)
    for line, entry in zip(lines, entries.read(report.FIGURES), strict=True):
        record, trained = entry.record, entry.tag in entry.record.trained_tags
        given = f'"{entry.key}"' if trained else f'"{record.name}", weights=None'
        assert html.unescape(line) == f"zoo.load({given})"
        name = entry.key if trained else record.name
        assert zoo.info(name).name == record.name


def test_it_needs_no_network_and_no_file_but_its_own(folder, text):
    loaded = re.findall(r'(?:src|<link[^>]* href)="([^"]+)"', text)
    assert loaded
    for target in loaded:
        assert target == "data:," or (folder / target).is_file(), target
    for link in re.findall(r'<a href="([^"]+)"', text):
        assert link.startswith("https://arxiv.org/") or (folder / link).is_file(), link
    for name in report.STYLE:
        assert not re.search(r"https?:|@import|url\(", (folder / "assets" / name).read_text())


def test_what_comes_from_files_is_text(toy_entry):
    evil = "<script>alert(1)</script>\"'&"
    written = page.render([toy_entry(evil)], source=evil)
    assert "alert(1)" in written
    assert "<script>alert" not in written
    # An attribute that ends early would leave a bare quotation mark behind.
    assert html.escape(evil) in written


@pytest.fixture
def toy_entry():
    """An entry all of whose words are the given ones."""

    def make(words):
        record = zoo.info("vit3_rec")
        paper = dataclasses.replace(
            record.paper, title=words, where=words, dataset=words, architecture=words, arxiv=words
        )
        record = dataclasses.replace(record, name=words, family=words, paper=paper)
        numbers = {"parameters", "multiply_adds"}
        fields = {field.name for field in dataclasses.fields(record.results[0])} - numbers
        result = dataclasses.replace(record.results[0], **dict.fromkeys(fields, words))
        return entries.Entry(record, words, (result,), [], words)

    return make


def test_a_curve_is_where_its_numbers_are():
    log = [{"epoch": float(i), "loss": 2.0 - i, "val_loss": float("nan")} for i in range(3)]
    drawn = curves.chart(log, "loss", percent=False)
    (line,) = re.findall(r'<polyline class="line training" points="([^"]*)"', drawn)
    x, y = np.array([point.split(",") for point in line.split()], float).T
    # Ticks from 0 to 2: the ends of the axes.
    np.testing.assert_allclose(x, [curves.LEFT, (curves.LEFT + 310) / 2, 310])
    np.testing.assert_allclose(y, [curves.TOP, (curves.TOP + 156) / 2, 156])
    assert "evaluation" not in drawn
    assert curves.chart(log[:1], "loss", percent=False) == ""
    assert curves.sparkline(log) == ""
    flat = [{"epoch": float(i), "val_accuracy": 0.5} for i in range(2)]
    assert "nan" not in curves.sparkline(flat)


def visit(folder, tmp_path, width, *flags):
    """What a browser saw of the page, and what its console said."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("there is no Chromium here")
    site = tmp_path / "site"
    shutil.copytree(folder, site)
    written = (site / "index.html").read_text(encoding="utf-8")
    shutil.copyfile(DRIVER, site / "drive.js")
    (site / "index.html").write_text(
        written.replace("</head>", '<script src="drive.js" defer></script></head>'),
        encoding="utf-8",
    )
    (site / "frame.html").write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", "--enable-logging=stderr", "--log-level=0"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,900", *flags]
    command += ["--virtual-time-budget=5000", "--dump-dom", (site / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = [match[2] for line in done.stderr.splitlines() if (match := CONSOLE.search(line))]
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1])), said


def test_in_a_browser(folder, tmp_path):
    seen, said = visit(folder, tmp_path, 1280)
    # Nothing but the word that shows that the console is heard.
    assert len(said) == 1, said
    assert said[0].startswith("canary")
    records = {record.name: record for record in zoo.list()}
    measured = [name for name, record in records.items() if record.results]
    assert sorted(seen["all"]) == sorted(records)
    assert (seen["openedAtFirst"], seen["opened"], seen["closedAgain"]) == (0, 1, 0)
    assert seen["lines"] == 4
    assert seen["picture"] > 500
    assert seen["filter"] == "none"
    assert seen["selected"] == 'model = zoo.load("vit3_rec.cifar10_jpeg")'
    assert seen["headShown"]
    assert seen["overflow"] <= 0
    assert seen["overflowOpened"] <= 0

    found = entries.read(report.FIGURES)
    parameters = {entry.record.name: entry.parameters for entry in found}
    for key, sign in (("smallestFirst", 1), ("largestFirst", -1)):
        sizes = [sign * parameters[name] for name in seen[key]]
        assert sizes == sorted(sizes)
    accuracy = {entry.record.name: entry.measured for entry in found if entry.main}
    best = seen["bestFirst"]
    assert sorted(best[: len(accuracy)]) == sorted(accuracy), "what is missing comes last"
    values = [accuracy[name] for name in best[: len(accuracy)]]
    assert values == sorted(values, reverse=True)
    assert seen["sorted"] == ["measured, %"]
    # As zoo.list() has them.
    assert seen["byName"] == [name for name in records if name in seen["byName"]]
    assert seen["unsorted"] == seen["all"]

    assert seen["searched"] == [n for n in seen["all"] if re.match(r"vit\d+_rec", n)]
    assert (seen["none"], seen["emptyShown"]) == ([], True)
    assert seen["family"] == [n for n in seen["all"] if records[n].family == "planar"]
    on_mnist = [e.record.name for e in found if e.main and e.main.dataset == "mnist"]
    assert seen["dataset"] == on_mnist
    assert seen["trained"] == measured
    assert seen["says"] == f"{len(measured)} of {len(records)} networks"


def test_on_a_phone_in_the_dark(folder, tmp_path):
    flags = ("--blink-settings=preferredColorScheme=0",)
    seen, said = visit(folder, tmp_path, 360, *flags)
    assert len(said) == 1, said
    assert seen["width"] == 360
    assert not seen["headShown"]
    assert seen["overflow"] <= 0
    assert seen["overflowOpened"] <= 0
    assert max(map(int, re.findall(r"\d+", seen["background"])[:3])) < 64
    assert "invert" in seen["filter"]
