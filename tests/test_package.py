"""What importing the package costs and needs."""

import compileall
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import keras
import pytest

import keras_recres

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(code, **env):
    """Runs code in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **env},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_import_pulls_in_nothing_heavy():
    code = (
        "import keras, sys; before = set(sys.modules); import keras_recres;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}));"
        "import keras_recres.serve as serve; print(serve.export.__name__);"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    first, export, second = run(code).splitlines()
    added, with_serve = set(first.split()), set(second.split())
    assert "keras_recres" in added
    assert not added & {"tensorflow_datasets", "matplotlib", "PIL", "rich", "keras_cv", "h5py"}
    other = {"tensorflow", "jax", "torch"} - {keras.backend.backend()}
    assert not added & other
    assert export == "export"
    assert not with_serve & {*other, "tensorflow_serving", "grpc", "PIL", "h5py"}


@pytest.mark.slow
def test_import_adds_little_to_that_of_keras():
    # As pip installs it, and without the garbage that a backend's own import leaves to collect.
    compileall.compile_dir(ROOT / "keras_recres", quiet=1)
    code = (
        "import gc, keras, time; gc.collect(); start = time.process_time(); import keras_recres;"
        "print(time.process_time() - start)"
    )
    # Processor time, and once of three times is enough: this machine may be busy.
    assert any(float(run(code)) < 0.05 for _ in range(3))


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.slow
def test_works_without_tensorflow(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        # The library first: its layers are registered all the same.
        "import keras_recres, keras, numpy as np\n"
        "print(keras.saving.get_registered_object('keras_recres>RecurrentResidual').__name__)\n"
        "model = keras_recres.zoo.load('planar_rec', weights=None)\n"
        "print(model.predict(np.zeros((3, 2)), verbose=0).shape, 'tensorflow' in sys.modules)\n"
        "print(sys.modules['tensorflow'])"
    )
    wanted = ["RecurrentResidual", "(3, 2) True", "None"]
    assert run(code, KERAS_BACKEND=backend).splitlines()[-3:] == wanted


@pytest.mark.slow
def test_an_unknown_backend_is_named():
    code = (
        "import keras; keras.backend.backend = lambda: 'numpy'\n"
        "try: import keras_recres\n"
        "except ImportError as error: print(error)"
    )
    assert "tensorflow, jax and torch, but this one is 'numpy'" in run(code)


@pytest.mark.neutral
def test_version_comes_from_one_place():
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    assert project["project"]["dynamic"] == ["version"]
    source = ROOT / project["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{keras_recres.__version__}"' in source.read_text(encoding="utf-8")
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {keras_recres.__version__}\n" in cited
    assert (ROOT / "keras_recres" / "py.typed").exists()


@pytest.mark.neutral
def test_only_the_backend_folder_imports_backends():
    allowed = {"backend", "serve"}
    pattern = re.compile(r"^\s*(import|from) (tensorflow|jax|torch)\b", re.MULTILINE)
    for path in (ROOT / "keras_recres").rglob("*.py"):
        parts = path.relative_to(ROOT / "keras_recres").parts
        if parts[0] in allowed or parts[0] == "distribute.py":
            continue
        found = pattern.findall(path.read_text(encoding="utf-8"))
        # The converter reads PyTorch's file format: no backend code.
        assert not found or "convert" in path.as_posix(), path


@pytest.mark.neutral
@pytest.mark.parametrize("file", ["README.md", "RESULTS.md"])
def test_a_page_names_no_missing_file(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
def test_the_readme_snippet_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    snippet = re.search(r"```python\n(import keras\n.*?)```", text, re.DOTALL).group(1)
    out = run(snippet + "\nprint(tuple(logits.shape), model.output_shape)")
    assert "vit3_rec" in out
    assert out.endswith("(2, 10) (None, 1000)")
