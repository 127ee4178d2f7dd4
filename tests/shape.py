"""The shape of a package of this repository: how long, how tangled, how often the same.

    python -m tests.shape [training]

prints files, lines, circles of imports, passages of twelve lines and more that stand in two places
and files over 400 lines.
"""

import ast
import collections
import io
import itertools
import sys
import tokenize
from pathlib import Path

from tests.test_architecture import ROOT, circles, graph

PASSAGE, LONG = 12, 400
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def code_lines(path):
    """[(line number, its tokens)] of a file, without comments, docstrings, imports and layout."""
    text = path.read_text(encoding="utf-8")
    skipped = set()
    for node in ast.walk(ast.parse(text)):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if docstring or isinstance(node, ast.Import | ast.ImportFrom):
            skipped.update(range(node.lineno, node.end_lineno + 1))
    lines = collections.defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT and token.start[0] not in skipped:
            lines[token.start[0]].append(token.string)
    return [(number, " ".join(tokens)) for number, tokens in sorted(lines.items()) if any(tokens)]


def passages(paths):
    """[(lines, place, place)] of what stands in two places, each as long as it goes."""
    files = {path: code_lines(path) for path in paths}
    first, found = {}, []
    covered = collections.defaultdict(set)
    for path, lines in files.items():
        for i in range(len(lines) - PASSAGE + 1):
            window = tuple(text for _, text in lines[i : i + PASSAGE])
            if window not in first:
                first[window] = path, i
                continue
            other, j = first[window]
            if i in covered[path] or (other == path and i - j < PASSAGE):
                continue
            there, length = files[other], PASSAGE
            rest = zip(lines[i + PASSAGE :], there[j + PASSAGE :], strict=False)
            length += len(list(itertools.takewhile(lambda pair: pair[0][1] == pair[1][1], rest)))
            covered[path].update(range(i, i + length))
            found.append((length, (other, there[j][0]), (path, lines[i][0])))
    return found


def main(package="training"):
    """Prints the numbers."""
    paths = sorted((ROOT / package).rglob("*.py"))
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    print(f"{package}: {len(paths)} files, {sum(lengths.values()):,} lines")
    found = circles(graph(ROOT / package, top_level=False))
    print(f"{len(found)} circles of imports")
    for circle in sorted(map(sorted, found)):
        print(f"  {', '.join(circle)}")
    same = passages(paths)
    print(f"{len(same)} passages of {PASSAGE} lines and more that stand in two places")
    for length, *places in sorted(same, reverse=True):
        where = " and ".join(f"{Path(p).relative_to(ROOT)}:{line}" for p, line in places)
        print(f"  {length} lines: {where}")
    long = {path: count for path, count in lengths.items() if count > LONG}
    print(f"{len(long)} files over {LONG} lines")
    for path, count in long.items():
        print(f"  {count}: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
