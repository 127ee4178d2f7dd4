"""At the end of a run: in how many cells of the tables outputs are equal, and how many refuse."""

import collections


def pytest_terminal_summary(terminalreporter):
    passed = terminalreporter.stats.get("passed", [])
    said = [value for r in passed for name, value in r.user_properties if name == "cell"]
    if said:
        counts = collections.Counter(said)
        terminalreporter.write_line(f"cells: {counts['equal']} equal, {counts['refused']} refused")
