"""Trained networks made recurrent in depth and trained on, against what costs as much.

Deeper: vit3's blocks run twice (`--deepen`), against vit3 trained on for as many multiply-adds.
Folded: blocks 2 to 6 of vit7 become one (`--fold`), its steps alike or differing by rank 16,
against the first of the five blocks alone, and low rank without a shared kernel; all of them are
taught by vit7 in the same way, in half of the epochs. Recipes: `deepen` and `fold`.
"""

import dataclasses

from training import recipes
from training.studies.forms import Form, columns
from training.studies.study import Study

# Epochs of the plain network for one of the deeper: 4 x 44.5 and 2 x (44.5 + 71.7) million
# multiply-adds of an image.
LONGER = 1.305


def _trained(row):
    """How many parameters its trainings had; those of the zoo's network are others."""
    counts = {m["trainable_parameters"] for m in row.measured.metrics.values()}
    return f"{counts.pop():,}" if counts else ""


class InDepth(Study):
    examples = ("--data-dir DIR", "--data-dir DIR --arms once twice --seeds 2")
    recipe, choose, seeds, precision = "deepen", "arms", 2, "auto"
    columns = columns(
        "network",
        ("trained parameters", _trained),
        ("epochs", lambda row: str(row.epochs)),
        *("top-1, %", "seeds"),
    )

    def title(self, a):
        return "Recurrent in depth, trained on"

    def forms(self, a):
        half, longer = {"epochs": max(1, a.epochs // 2)}, {"epochs": round(LONGER * a.epochs)}
        rank_0 = {"fold": recipes.load("fold").settings["fold"].replace("=16", "=0")}
        once = {"deepen": "*=1", "steps": "progressive(1,1)"}
        return [
            Form(
                "dropped", "vit7", "vit7, 4 of 5 blocks dropped", how={"control": "dropped"} | half
            ),
            Form("rank_0", "vit7", "vit7 folded, rank 0", how=rank_0 | half),
            Form("rank_16", "vit7", "vit7 folded, rank 16", how=half),
            Form("low_rank", "vit7", "vit7, low rank alone", how={"control": "low_rank"} | half),
            Form("once", "vit3", "vit3 trained on", how=once | longer),
            # Asked for by name: no seed of the row of vit3.
            Form("twice", "vit3", "vit3 twice as deep", how={"epochs": a.epochs}),
        ]

    def run(self, form, seed, a):
        recipe = "fold" if form.name == "vit7" else self.recipe
        return dataclasses.replace(super().run(form, seed, a), recipe=recipe)

    def claims(self, table, a):
        for what, one, other in (
            ("vit3 twice as deep against vit3 trained on for as much computation", "twice", "once"),
            ("vit7 folded at rank 16 against low rank alone", "rank_16", "low_rank"),
            ("vit7 folded at rank 16 against blocks dropped", "rank_16", "dropped"),
            ("vit7 folded at rank 0 against blocks dropped", "rank_0", "dropped"),
        ):
            if one in table and other in table:
                yield what, table.difference(one, other)


STUDY = InDepth()
