"""A study whose networks are trained or measured within its own process."""

import contextlib
import io
import json
import re
import sys

from training.errors import UserError, output_folder
from training.files import write_aside
from training.studies.study import Study, tell_missing

# What does not change what is measured.
NOT_SETTINGS = ("report", "page", "out", "command", "data_dir")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class MeasuredStudy(Study):
    """What it said is kept in --out, said.json, which --report tells again."""

    common = ("report", "out")

    def measure(self, a):
        """Measures, prints and draws."""
        raise NotImplementedError

    def main(self, argv=None):
        a = self.parse(argv)
        asked = {key: value for key, value in vars(a).items() if key not in NOT_SETTINGS}
        kept = a.out / "said.json"
        if a.report:
            if not kept.exists():
                tell_missing(1, 1, a)
            found = json.loads(kept.read_text(encoding="utf-8"))
            differ = [key for key, value in asked.items() if found["settings"].get(key) != value]
            if differ:
                told = " and ".join(f"{key} {found['settings'].get(key)!r}" for key in differ)
                raise UserError(f"{a.out} holds what was measured with {told}: give the same.")
            print(found["said"], end="")
            self.fill(a, sorted(path.name for path in a.out.iterdir()))
            return 0
        output_folder(a.out)
        with contextlib.redirect_stdout(_Both(sys.stdout)) as both:
            self.measure(a)
        said = {"settings": asked, "said": COLOURS.sub("", both.getvalue())}
        write_aside(kept, json.dumps(said, ensure_ascii=False, indent=1) + "\n")
        return 0


class _Both(io.StringIO):
    """Keeps what it passes on."""

    def __init__(self, stream):
        super().__init__()
        self.stream = stream

    def write(self, text):
        self.stream.write(text)
        return super().write(text)

    def flush(self):
        self.stream.flush()

    def isatty(self):
        return self.stream.isatty()

    def fileno(self):
        return self.stream.fileno()
