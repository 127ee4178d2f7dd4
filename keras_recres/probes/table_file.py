"""Tables of the probes, as files."""

import csv


def write_csv(path, rows):
    """Writes dicts with the same keys, of numbers, strings and None, a line each.

    Args:
        path: Where; a file that is there is replaced.
        rows: A list of at least one.
    """
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(rows[0])
        for row in rows:
            cells = (f"{v:.9g}" if isinstance(v, float) else v for v in row.values())
            writer.writerow(cells)
