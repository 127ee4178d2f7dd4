"""Tied or untied steps, with shortcuts or without: the arms of two studies, and their claims.

"Residual networks suit recurrence more than traditional ones" (Jiang, Cui and Wang, "Residual
network with recurrent structures", section 1) is a statement on an interaction: what steps that
share their weights gain with shortcuts, less what they gain without.
"""

NETS = {"residual": "with shortcuts", "plain": "without"}
TIED, UNTIED, NARROW, ONCE = "tied", "untied", "narrow", "once"
# What tied steps are compared with, in words, and by which arms.
CONTRASTS = {
    "tied against untied steps at equal parameters": (TIED, UNTIED),
    "tied against untied steps at equal width": (NARROW, UNTIED),
    "many tied steps against one, at equal parameters": (TIED, ONCE),
}
NOTE = (
    "Errors are from the spread of seeds, pooled over the networks that a sentence compares, "
    "intervals by Student's t, not paired; what is compared was fixed before it was measured."
)
WORDS = "points", "shortcuts suit tied steps more", "shortcuts suit tied steps less"


def label(arm, net):
    """What the form of an arm, tied, untied, narrow or once, is called in a kind of network."""
    return f"{arm}_{net}"


def claims(table):
    """Yields every contrast in both kinds of network, and its interaction with shortcuts.

    Errors are those of the compared networks alone: others' seeds may spread otherwise.

    Args:
        table: a `Table` with the arms, or some of them.
    """
    for what, arms in CONTRASTS.items():
        pairs = [tuple(label(arm, net) for arm in arms) for net in NETS]
        if not all(form in table for pair in pairs for form in pair):
            continue
        cells = table.cells_of(form for pair in pairs for form in pair)
        for pair, net in zip(pairs, NETS.values(), strict=True):
            yield f"{what[0].upper()}{what[1:]}, {net}", cells.difference(*pair)
        title = f"Shortcuts and {what}: the difference with shortcuts less that without"
        yield title, cells.interaction(*pairs), *WORDS
