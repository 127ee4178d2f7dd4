"""Files with which `tensorflow_model_server` serves every model of a folder."""

import pathlib

from keras_recres.zoo.files import write_aside

BATCHING = """\
# Requests that come within batch_timeout_micros are computed together. In a batch of
# serving_bytes one broken file fails the requests that it was put together with.
max_batch_size { value: 32 }
batch_timeout_micros { value: 2000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 128 }
"""


def write(directory, models="/models"):
    """Writes `config/models.config` and, unless there is one, `config/batching_parameters.txt`.

    Args:
        directory: The folder with `NAME/VERSION/`; each name with a version is listed.
        models: Where the server finds that folder, `/models` in its Docker image.
    """
    folder = pathlib.Path(directory) / "config"
    folder.mkdir(exist_ok=True)
    entries = [
        f'  config {{\n    name: "{name}"\n    base_path: "{models}/{name}"\n'
        '    model_platform: "tensorflow"\n  }\n'
        for name in names(directory)
    ]
    write_aside(folder / "models.config", f"model_config_list {{\n{''.join(entries)}}}\n")
    if not (folder / "batching_parameters.txt").exists():
        write_aside(folder / "batching_parameters.txt", BATCHING)


def names(directory):
    """Names of the models in a folder that have a version."""
    folders = (path for path in pathlib.Path(directory).iterdir() if path.is_dir())
    return sorted(path.name for path in folders if versions(path))


def versions(folder):
    """Versions of a model, sorted: its sub-folders whose names are numbers."""
    if not pathlib.Path(folder).is_dir():
        return []
    return sorted(int(p.name) for p in pathlib.Path(folder).iterdir() if p.name.isdecimal())
