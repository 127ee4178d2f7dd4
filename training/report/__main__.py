"""Writes the page of what the zoo has measured: one HTML file and its assets, for any browser.

    python -m training.report --out report

It needs no server and no network: open report/index.html.
"""

import argparse
import datetime
import shutil
import sys
from pathlib import Path

from training import errors
from training.errors import UserError
from training.files import write_aside
from training.provenance import commit
from training.report import entries, page

HERE = Path(__file__).resolve().parent
FIGURES = HERE.parent / "figures"
STYLE = ("page.css", "page.js")


def write(out, figures=FIGURES):
    """Writes `out/index.html` and `out/assets/`.

    Args:
        out: The folder, made if it is not there.
        figures: Where the pictures are.

    Returns:
        The page's path, and its entries.
    """
    out = Path(out)
    found = entries.read(Path(figures))
    assets = out / "assets"
    try:
        assets.mkdir(parents=True, exist_ok=True)
        for name in STYLE:
            shutil.copyfile(HERE / name, assets / name)
        for picture in sorted({entry.picture for entry in found if entry.picture}):
            shutil.copyfile(Path(figures) / picture, assets / picture)
        revision = f" at commit {commit()}" if commit() else ""
        made = f"Made on {datetime.date.today().isoformat()} from the files of zoo/{revision}."
        write_aside(out / "index.html", page.render(found, made))
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}).") from None
    return out / "index.html", found


def main(argv=None):
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.report",
        description="Write a page of what the zoo has measured.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python -m training.report --out report",
    )
    p.add_argument("--out", type=Path, default=Path("runs/report"), help="default runs/report")
    a = p.parse_args(argv)
    path, found = write(a.out)
    measured = sum(1 for entry in found if entry.main)
    print(f"{path}: {len(found)} networks, {measured} measured")


if __name__ == "__main__":
    sys.exit(errors.run(main))
