"""The command on a real terminal: a pseudo-terminal of this machine, and tmux where it is there."""

import os
import re
import shutil
import subprocess
import sys
import time
import uuid

import pytest

from keras_recres.cli import terminal
from tests.cli.conftest import ROOT

pytestmark = pytest.mark.neutral
pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")


def on_a_terminal(*arguments, columns=100, without_rich=False, **env):
    """Output and exit code of the command on a terminal of so many columns."""
    import fcntl
    import struct
    import termios

    code = "import sys, keras_recres_cli; sys.argv[0] = 'keras-recres'; "
    code += "sys.modules['rich'] = None; " if without_rich else ""
    # pytest's workers say 80 columns, which would win over the terminal's own size.
    inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", code + "sys.exit(keras_recres_cli.main())", *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=ROOT,
        env={**inherited, "TERM": "xterm-256color", **env},
    )
    os.close(terminal)
    said = b""
    try:
        while part := os.read(master, 4096):
            said += part
    except OSError:  # Linux' way to say that the other end is closed.
        pass
    finally:
        os.close(master)
    return said.decode("utf-8"), process.wait(timeout=60)


def plain(text):
    """Without colours and cursor movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_table_and_no_tabs():
    pytest.importorskip("rich")
    text, code = on_a_terminal("list", "planar*")
    lines = plain(text).splitlines()
    assert code == 0
    assert "\t" not in text
    assert any(re.fullmatch(r" *name +parameters .*", line) for line in lines)
    (row,) = [line.split() for line in lines if "planar_rec" in line]
    assert row[:5] == ["planar_rec", "6", "spiral", "91.7", "97"]
    assert any("─" in line for line in lines)


def test_a_narrow_terminal_is_not_overrun():
    pytest.importorskip("rich")
    text, _ = on_a_terminal("info", "vit3_rec", columns=50)
    assert max(map(len, plain(text).replace("\r", "").split("\n"))) <= 50


def test_without_rich_the_table_is_plain():
    text, code = on_a_terminal("list", "planar*", without_rich=True)
    assert code == 0
    assert "\x1b" not in text
    assert re.search(r"^planar_rec +6 +spiral +91\.7", text, re.MULTILINE)


def test_json_stays_json():
    text, _ = on_a_terminal("list", "planar_rec", "--json")
    assert text.startswith("[\r\n  {\r\n")
    assert "\x1b" not in text


def test_no_color_turns_colours_off():
    text, _ = on_a_terminal("list", "planar*", NO_COLOR="1", TERM="dumb")
    assert "\x1b[3" not in text


@pytest.mark.parametrize(("error", "kept"), [(None, ""), (ValueError, ""), (KeyError, "noise")])
def test_what_libraries_write_is_kept_for_crashes(capfd, error, kept):
    def work():
        with terminal.quietly("working"):
            os.write(2, b"noise")
            if error:
                raise error

    if error:
        with pytest.raises(error):
            work()
    else:
        work()
    os.write(2, b", after")
    assert capfd.readouterr().err == kept + ", after"


@pytest.mark.slow
def test_in_tmux(tmp_path):
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    socket = f"recres{uuid.uuid4().hex[:8]}"

    def tmux(*arguments):
        done = subprocess.run(
            ["tmux", "-L", socket, *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout

    log = tmp_path / "code"
    line = f"'{sys.executable}' -m keras_recres_cli list 'planar*'; echo $? > '{log}'"
    tmux("new-session", "-d", "-x", "110", "-y", "40", "-c", str(ROOT), f"{line}; sleep 60")
    try:
        for _ in range(300):
            if log.exists() and log.read_text().strip():
                break
            time.sleep(0.1)
        screen = tmux("capture-pane", "-p")
    finally:
        tmux("kill-server")
    assert log.read_text().strip() == "0", screen
    assert re.search(r"planar_rec +6 +spiral +91\.7 +97", screen), screen
