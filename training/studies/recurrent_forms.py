"""T2T-ViT's recurrence in other forms: what makes it worth more to run a block again.

Jiang, Cui, Wang, "Residual network with recurrent structures", run each block several times and
share all of its weights (table 2). Here, beside the network whose blocks run once and theirs: norms
of their own for every step; a learned vector for every step (Universal Transformers, arXiv
1807.03819); both; a learned factor of what every step adds; a number of steps that is drawn for
each batch; every step supervised; and the network whose blocks run once as the teacher. What is
added in parameters is half a percent at most, and evaluated all run as often as theirs.
"""

from training.studies.forms import Form, columns
from training.studies.study import Study
from training.studies.vits import RECIPES

# Steps drawn, on average 2.5 and 2; of its own a network has 2, 4, 2 and 2 everywhere.
SAMPLED = {3: "uniform(1,4)", 7: "uniform(1,3)"}
ONCE, PLAIN = "once", "recurrent"
AGAINST = "against all shared, points", lambda row: str(row.against(PLAIN))


class RecurrentForms(Study):
    examples = ("--data-dir DIR", "--blocks 7 --forms norms both", "--report --adopt cifar10_jpeg")
    recipe, precision, choose, always = RECIPES, "auto", "forms", (ONCE, PLAIN)
    columns = columns("form", "parameters", "multiply-adds", "top-1, %", AGAINST, "seeds")
    note = "Top-1 after the last epoch, mean ± sample standard deviation over the seeds."

    def options(self, p):
        p.add_argument("--blocks", type=int, choices=SAMPLED, default=3, help="default 3")

    def folder(self, a):
        return f"vit{a.blocks}.{a.dataset}"

    def title(self, a):
        return f"vit{a.blocks}_rec on {a.dataset}, {a.epochs} epochs"

    def forms(self, a):
        once, rec, steps = f"vit{a.blocks}", f"vit{a.blocks}_rec", SAMPLED[a.blocks]
        norms, embedding = {"unshare": ["norm"]}, {"step_embedding": True}
        return [
            Form(ONCE, once, "each block once"),
            Form(PLAIN, rec, "several times, all shared"),
            Form("norms", rec, "norms of every step's own", norms),
            Form("embedding", rec, "a learned vector a step", embedding),
            Form("both", rec, "norms and a vector", norms | embedding),
            Form("scaled", rec, "a learned factor a step", {"residual_scale": "learned"}),
            Form("sampled", rec, f"trained with {steps} steps", how={"steps": steps}),
            Form("supervised", rec, "every step supervised", how={"deep-supervision": 0.5}),
            # The zoo's, where it has weights for the data set.
            Form("distilled", rec, f"taught by {once}", how={"teacher": once}),
        ]

    def claims(self, table, a):
        yield "Blocks that run several times against once, all shared", table[PLAIN].against(ONCE)
        for row in list(table.values())[2:]:
            added = f"{row.parameters / table[PLAIN].parameters - 1:+.2%} parameters"
            yield f"{row.form.what.capitalize()} ({added}) against all shared", row.against(PLAIN)


STUDY = RecurrentForms()
