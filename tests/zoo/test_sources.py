import errno
import functools
import hashlib
import http.server
import io
import json
import shutil
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

import keras_recres
from keras_recres import zoo
from keras_recres.zoo import manifest, sources

pytestmark = pytest.mark.neutral

FILE = "weights/toy_rec.small.weights.h5"


@pytest.fixture
def remote(toy_zoo, tmp_path):
    """The weights, moved out of the package to a `file://` address; returns their folder."""
    folder = tmp_path / "remote"
    (folder / "weights").mkdir(parents=True)
    shutil.move(toy_zoo / FILE, folder / FILE)
    zoo.set_base_url(folder.as_uri() + "/")
    return folder


@pytest.fixture
def cached():
    return sources.cache_folder() / FILE


def forbid_network(monkeypatch):
    def urlopen(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)


def test_bundled_file_comes_first(toy_zoo, monkeypatch):
    forbid_network(monkeypatch)
    assert sources.locate(FILE) == toy_zoo / FILE


def test_own_folder_comes_before_the_bundled(toy_zoo, tmp_path, monkeypatch):
    own = tmp_path / "own"
    (own / "weights").mkdir(parents=True)
    shutil.copy(toy_zoo / FILE, own / FILE)
    monkeypatch.setenv("KERAS_RECRES_ZOO", str(own))
    assert sources.locate(FILE) == own / FILE


def test_own_folder_with_its_own_manifest(toy_zoo, tmp_path, monkeypatch):
    own, file = tmp_path / "own", "weights/toy_rec.grey.weights.h5"
    (own / "weights").mkdir(parents=True)
    (own / file).write_bytes(b"own weights")
    monkeypatch.setenv("KERAS_RECRES_ZOO", str(own))
    assert zoo.info("toy_rec").trained_tags == ("small",)
    with pytest.raises(ValueError, match="cannot be checked: list it in"):
        sources.locate(file)
    manifest.write(own)
    assert zoo.info("toy_rec").trained_tags == ("small", "grey")
    assert sources.locate(file) == own / file


def test_own_folder_must_exist(toy_zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_RECRES_ZOO", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match="KERAS_RECRES_ZOO must name a folder, found"):
        sources.locate(FILE)


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_RECRES_CACHE", str(tmp_path / "a"))
    assert sources.cache_folder() == tmp_path / "a"
    monkeypatch.delenv("KERAS_RECRES_CACHE")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "b"))
    assert sources.cache_folder() == tmp_path / "b" / "keras_recres" / "zoo"
    monkeypatch.delenv("KERAS_HOME")
    assert sources.cache_folder().parts[-3:] == (".keras", "keras_recres", "zoo")


def test_download_then_cache(remote, cached, monkeypatch):
    assert sources.locate(FILE, progress=False) == cached
    assert cached.read_bytes() == (remote / FILE).read_bytes()
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]
    if sys.platform != "win32":
        assert stat.S_IMODE(cached.stat().st_mode) == 0o644
    forbid_network(monkeypatch)
    assert sources.locate(FILE) == cached


def test_base_url_of_the_environment(remote, cached, monkeypatch):
    zoo.set_base_url(None)
    monkeypatch.setenv("KERAS_RECRES_ZOO_URL", remote.as_uri())
    assert sources.base_url() == remote.as_uri()
    assert sources.locate(FILE) == cached


def test_base_url_order(monkeypatch):
    zoo.set_base_url(None)
    assert sources.base_url() == sources.DEFAULT_BASE_URL
    monkeypatch.setenv("KERAS_RECRES_ZOO_URL", "https://example.org/a/")
    assert sources.base_url() == "https://example.org/a"
    zoo.set_base_url("file:///b")
    assert sources.base_url() == "file:///b"


@pytest.mark.parametrize("url", ["ftp://example.org", "/folder", "data:,x", ""])
def test_base_url_is_checked(url):
    with pytest.raises(ValueError, match="must begin with https://, http:// or file://"):
        zoo.set_base_url(url)


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline_never_uses_the_network(remote, cached, monkeypatch, how):
    forbid_network(monkeypatch)
    offline = True if how == "argument" else None
    if how == "environment":
        monkeypatch.setenv("KERAS_RECRES_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="is not on this machine and offline"):
        sources.locate(FILE, offline=offline)
    assert not cached.parent.exists()
    with pytest.raises(FileNotFoundError, match="offline"):
        zoo.load("toy_rec", offline=offline)


def test_offline_argument_wins_over_the_environment(remote, cached, monkeypatch):
    monkeypatch.setenv("KERAS_RECRES_OFFLINE", "1")
    assert sources.locate(FILE, offline=False) == cached


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b[:-1] + b"?", lambda b: b + b"?"])
def test_corrupt_download_leaves_nothing(remote, cached, damage):
    good = (remote / FILE).read_bytes()
    bad = damage(good)
    (remote / FILE).write_bytes(bad)
    with pytest.raises(ValueError, match="is corrupt: expected") as error:
        sources.locate(FILE)
    message = str(error.value)
    assert hashlib.sha256(good).hexdigest() in message
    assert f"{len(good):,} bytes" in message
    assert f"found {len(bad):,} bytes" in message
    assert remote.as_uri() in message
    assert "nothing was kept" in message
    assert list(cached.parent.iterdir()) == []


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b[:-1] + b"?"])
def test_corrupt_cached_file_is_reported_and_left(remote, cached, damage):
    good = (remote / FILE).read_bytes()
    cached.parent.mkdir(parents=True)
    cached.write_bytes(damage(good))
    with pytest.raises(ValueError, match=r"is corrupt: expected .* found .*; delete it, and") as e:
        zoo.load("toy_rec")
    assert str(e.value).startswith(str(cached))
    assert cached.read_bytes() == damage(good)
    cached.unlink()
    assert sources.locate(FILE).read_bytes() == good


def test_corrupt_bundled_file_is_never_read(toy_zoo, monkeypatch):
    (toy_zoo / FILE).write_bytes(b"not what the manifest lists")
    monkeypatch.setattr("keras.Model.load_weights", lambda *args: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=r"is corrupt: .* install keras_recres again"):
        zoo.load("toy_rec")


def test_missing_on_the_server(remote, cached):
    (remote / FILE).unlink()
    with pytest.raises(OSError, match=r"could not be downloaded .* zoo\.set_base_url") as error:
        sources.locate(FILE)
    assert error.value.__cause__ is None
    assert list(cached.parent.iterdir()) == []


class Breaks(io.BytesIO):
    """A connection that ends with an error after its first bytes."""

    def __init__(self, error, content):
        super().__init__(content)
        self.error = error

    def read(self, size=-1):
        return super().read(10) if self.tell() < 50 else self.fail()

    def fail(self):
        raise self.error


@pytest.mark.parametrize(
    ("error", "raised"),
    [(TimeoutError("timed out"), OSError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_an_interrupted_download_is_gone_on_with(remote, cached, monkeypatch, error, raised):
    timeouts, good = [], (remote / FILE).read_bytes()

    def urlopen(url, timeout):
        timeouts.append(timeout)
        return Breaks(error, good)

    with monkeypatch.context() as broken:
        broken.setattr(urllib.request, "urlopen", urlopen)
        with pytest.raises(raised):
            sources.locate(FILE)
    assert timeouts == [sources.TIMEOUT_SECONDS]
    (kept,) = cached.parent.iterdir()
    assert kept.read_bytes() == good[:50]
    # A server that cannot send the rest, as file:// cannot, sends all of it.
    assert sources.locate(FILE).read_bytes() == good
    assert list(cached.parent.iterdir()) == [cached]


class Partly(http.server.SimpleHTTPRequestHandler):
    """Sends the rest of a file from a byte on, as servers do, and notes what it was asked for."""

    asked = ()

    def do_GET(self):
        wanted = self.headers.get("Range")
        type(self).asked = (*self.asked, wanted)
        content = Path(self.directory, self.path.lstrip("/")).read_bytes()
        rest = content[int(wanted.removeprefix("bytes=").rstrip("-")) :] if wanted else content
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("good", [True, False], ids=["good", "corrupt"])
def test_a_download_goes_on_from_where_it_was_interrupted(remote, cached, good):
    content = (remote / FILE).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    kept = cached.with_name(f"{cached.name}.{digest[:16]}.part")
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content[:70] if good else b"?" * 70)
    handler = type("Handler", (Partly,), {})
    serve = functools.partial(handler, directory=remote)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        zoo.set_base_url(f"http://127.0.0.1:{server.server_port}")
        try:
            if not good:
                with pytest.raises(ValueError, match=r"is corrupt.* nothing was kept, try again"):
                    sources.locate(FILE)
                assert list(cached.parent.iterdir()) == []
            assert sources.locate(FILE).read_bytes() == content
        finally:
            server.shutdown()
            thread.join()
    assert handler.asked == (("bytes=70-",) if good else ("bytes=70-", None))
    assert list(cached.parent.iterdir()) == [cached]


def test_the_files_of_a_release_lie_in_no_folder(monkeypatch):
    zoo.set_base_url(None)
    assert sources.address_of(FILE) == f"{sources.DEFAULT_BASE_URL}/toy_rec.small.weights.h5"
    assert sources.DEFAULT_BASE_URL.endswith(f"/releases/download/v{keras_recres.__version__}")
    monkeypatch.setenv("KERAS_RECRES_ZOO_URL", "https://example.org/zoo")
    assert sources.address_of(FILE) == f"https://example.org/zoo/{FILE}"


def test_info_says_how_large_weights_are_and_where(remote, cached):
    zoo.set_base_url("https://example.org/zoo")
    told = str(zoo.info("toy_rec"))
    assert "kB, which the first load downloads from example.org, default; Apache-2.0)" in told
    zoo.set_base_url(remote.as_uri())
    sources.locate(FILE)
    assert "kB, downloaded, default; Apache-2.0)" in str(zoo.info("toy_rec"))


def test_fetched_weights_serve_a_machine_without_network(remote, tmp_path, monkeypatch):
    there = sources.fetch(FILE, tmp_path / "packed")
    assert there == tmp_path / "packed" / FILE
    forbid_network(monkeypatch)
    assert sources.fetch(FILE, tmp_path / "packed") == there
    monkeypatch.setenv("KERAS_RECRES_ZOO", str(tmp_path / "packed"))
    assert sources.locate(FILE, offline=True) == there
    # What is on the machine is copied.
    again = sources.fetch(FILE, tmp_path / "again")
    assert again.read_bytes() == there.read_bytes()
    assert list(again.parent.iterdir()) == [again]


class Full(io.BytesIO):
    """A file on a disk that is full, which some systems say when it is closed."""

    def __init__(self, when):
        super().__init__()
        self.when = when

    def write(self, content):
        return self.fail() if self.when == "write" else super().write(content)

    def close(self):
        return self.fail() if self.when == "close" and self.tell() else super().close()

    def fail(self):
        self.when = None
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("when", ["write", "close"])
def test_a_full_disk_is_not_the_networks_fault(remote, cached, monkeypatch, when):
    monkeypatch.setattr(sources, "open", lambda path, mode: Full(when), raising=False)
    with pytest.raises(OSError, match=r"could not be written .*No space left.* make room") as error:
        sources.locate(FILE)
    assert "network" not in str(error.value)
    assert list(cached.parent.iterdir()) == []


def test_a_cache_that_cannot_be_written(remote, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_RECRES_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="set KERAS_RECRES_CACHE to another folder"):
        sources.locate(FILE)


def test_no_home_to_keep_downloads_in(remote, monkeypatch):
    def expanduser(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KERAS_RECRES_CACHE", raising=False)
    monkeypatch.setattr(Path, "expanduser", expanduser)
    with pytest.raises(OSError, match=r"no home folder .* set KERAS_RECRES_CACHE"):
        sources.locate(FILE)


def test_endless_download_stops(remote, cached, monkeypatch):
    class Endless(io.BytesIO):
        served = 0

        def read(self, size=-1):
            Endless.served += size
            return b"x" * size

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Endless())
    with pytest.raises(ValueError, match="is corrupt"):
        sources.locate(FILE)
    assert Endless.served <= (remote / FILE).stat().st_size + 2 * sources.CHUNK_BYTES


def test_progress_bar(remote, cached, capsys):
    sources.locate(FILE, progress=True)
    assert f"Downloading {cached.name}" in capsys.readouterr().out
    cached.unlink()
    sources.locate(FILE, progress=False)
    assert capsys.readouterr().out == ""
    cached.unlink()
    # Captured output is not a terminal.
    sources.locate(FILE, progress="auto")
    assert capsys.readouterr().out == ""


def test_wrong_progress(remote, cached):
    with pytest.raises(ValueError, match="progress must be True, False or 'auto', found 'yes'"):
        sources.locate(FILE, progress="yes")
    assert list(cached.parent.iterdir()) == []


def test_file_in_no_manifest(toy_zoo, monkeypatch):
    forbid_network(monkeypatch)
    with pytest.raises(ValueError, match="in no manifest of the zoo"):
        sources.locate("weights/other.weights.h5")


DOWNLOAD_MANY = """
import json, pathlib, sys
from keras_recres.zoo import manifest, sources
file, url, target, expected = sys.argv[1:]
sources.set_base_url(url)
for _ in range(50):
    sources.download(file, pathlib.Path(target), json.loads(expected), progress=False)
    manifest.check(target, json.loads(expected), "it was half-written")
"""


@pytest.mark.slow
def test_concurrent_downloads(remote, cached, toy_zoo):
    expected = json.dumps(manifest.read(toy_zoo)[FILE])
    command = [sys.executable, "-c", DOWNLOAD_MANY, FILE, remote.as_uri(), str(cached), expected]
    other = subprocess.Popen(command)
    downloads = 0
    while other.poll() is None:
        sources.download(FILE, cached, json.loads(expected), progress=False)
        manifest.check(cached, json.loads(expected), "it was half-written")
        downloads += 1
        time.sleep(0.01)
    assert other.returncode == 0
    assert downloads
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]


def test_manifest_lists_every_file(toy_zoo):
    listed = json.loads((toy_zoo / "manifest.json").read_text())["files"]
    assert sorted(listed) == ["configs/toy_rec.json", FILE]
    content = (toy_zoo / FILE).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert listed[FILE] == {"sha256": digest, "bytes": len(content)}
    (toy_zoo / "golden" / ".gitkeep").touch()
    assert manifest.describe(toy_zoo) == listed


def test_a_manifest_is_written_whole_or_not_at_all(toy_zoo, monkeypatch):
    file, write = toy_zoo / "manifest.json", Path.write_text
    before = file.read_text()

    def full(self, text, *args, **kwargs):
        write(self, text[: len(text) // 2], *args, **kwargs)
        raise OSError(errno.ENOSPC, "No space left on device")

    (toy_zoo / "golden" / "toy_rec.small.npz").write_bytes(b"one file more")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        manifest.write(toy_zoo)
    assert file.read_text() == before


def test_a_folder_without_manifest_lists_nothing(tmp_path):
    assert manifest.read(tmp_path) == {}


def test_data_folder_is_a_zoo():
    assert (sources.data_folder() / "configs").is_dir()


def test_data_folder_of_a_wheel(monkeypatch, tmp_path):
    # Beside the code, as a wheel has it; at the root, as a checkout has it.
    code = tmp_path / "keras_recres" / "zoo"
    code.mkdir(parents=True)
    monkeypatch.setattr(sources, "__file__", str(code / "sources.py"))
    assert sources.data_folder() == tmp_path / "zoo"
    (code / "configs").mkdir()
    assert sources.data_folder() == code
