"""The page's HTML. Whatever comes from files is escaped here, and nowhere else."""

import math
import string
from html import escape
from pathlib import Path

from training.ledger.filing import BEST_OF, SUBSET
from training.report import curves

TEMPLATE = Path(__file__).with_name("page.html")
DASH = '<span class="none">–</span>'
NOT_TRAINED = '<span class="none">not trained</span>'
UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


def render(entries, source):
    """The whole page.

    Args:
        entries: List of `entries.Entry`.
        source: What the page was made of, for its foot.
    """
    families = sorted({entry.record.family for entry in entries})
    datasets = sorted({entry.main.dataset for entry in entries if entry.main})
    return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        families="".join(map(_option, families)),
        datasets="".join(map(_option, datasets)),
        rows="\n".join(_row(i, entry) for i, entry in enumerate(entries)),
        count=len(entries),
        trained=sum(1 for entry in entries if entry.main),
        source=escape(source),
    )


def _option(value):
    return f'<option value="{escape(value)}">{escape(value)}</option>'


def _row(i, entry):
    """One table body: the row, and below it what opens."""
    record, main = entry.record, entry.main
    data = {
        "name": record.name,
        "family": record.family,
        "dataset": main.dataset if main else "",
        "trained": "1" if main else "",
        "text": " ".join([entry.key, record.paper.title, record.paper.where]).lower(),
    }
    attributes = " ".join(f'data-{key}="{escape(value)}"' for key, value in data.items())
    cells = [
        _cell("network", record.name, _network(i, entry)),
        _cell("data", data["dataset"], escape(data["dataset"]) or NOT_TRAINED),
        _cell("measured", entry.measured, _measured(main)),
        _cell("printed", record.paper.printed, _printed(record.paper)),
        _cell("parameters", entry.parameters, _count(entry.parameters)),
        _cell("multiply-adds", entry.multiply_adds, _count(entry.multiply_adds)),
        _cell("learning curve", None, curves.sparkline(entry.log) or DASH),
    ]
    more = f'<td colspan="{len(cells)}">{_details(entry)}</td>'
    return (
        f"<tbody {attributes}><tr>{''.join(cells)}</tr>"
        f'<tr class="more" id="more{i}">{more}</tr></tbody>'
    )


def _cell(label, value, content):
    number = value if isinstance(value, int | float) and math.isfinite(value) else None
    sort = value if isinstance(value, str) else "" if number is None else repr(number)
    kind = "text" if isinstance(value, str) else "number"
    kind += " empty" if content == DASH else ""
    return f'<td class="{kind}" data-label="{label}" data-sort="{escape(sort)}">{content}</td>'


def _network(i, entry):
    return (
        f'<button class="open" aria-expanded="true" aria-controls="more{i}">'
        f"<code>{escape(entry.record.name)}</code></button>"
        f'<span class="family">{escape(entry.record.family)}</span>'
    )


def _measured(result):
    if result is None:
        return DASH
    spread = f' <span class="spread">± {escape(result.std)}</span>' if result.std else ""
    part = '<span class="on">trained on a part</span>' if result.metric.startswith(SUBSET) else ""
    return f"<b>{escape(result.value)}</b>{spread}{part}"


def _printed(paper):
    if paper.printed is None:
        return DASH
    return f'{paper.printed:g}<span class="on">{escape(paper.dataset)}</span>'


def _count(value):
    if value is None:
        return DASH
    for size, unit in UNITS:
        if value >= size:
            return f'<span title="{value:,}">{value / size:.3g} {unit}</span>'
    return str(value)


def _details(entry):
    record, paper = entry.record, entry.record.paper
    charts = curves.chart(entry.log, "accuracy", True) + curves.chart(entry.log, "loss", False)
    if entry.picture:
        charts += (
            f'<figure class="picture"><figcaption>curvature by layer</figcaption>'
            f'<a href="assets/{escape(entry.picture)}"><img src="assets/{escape(entry.picture)}" '
            f'loading="lazy" alt="Curvature by layer of the networks of the family '
            f'{escape(record.family)}"></a></figure>'
        )
    trained = entry.tag in record.trained_tags
    given = f'"{entry.key}"' if trained else f'"{record.name}", weights=None'
    load = f'<code class="line-of-code">{escape(f"model = zoo.load({given})")}</code>'
    facts = [("load", load), ("paper", f"{escape(paper.title)}, {escape(paper.where)}")]
    if paper.arxiv:
        link = f"https://arxiv.org/abs/{escape(paper.arxiv)}"
        facts.append(("arXiv", f'<a href="{link}">{escape(paper.arxiv)}</a>'))
    if paper.architecture:
        facts.append(("built as", escape(paper.architecture)))
    if paper.printed is not None:
        said = f"{paper.printed:g} % {_metric(paper.metric)} on {paper.dataset}"
        facts.append(("printed", escape(said)))
    facts.append(("parameters", f"{entry.parameters:,}"))
    if entry.multiply_adds is not None:
        facts.append(("multiply-adds", f"{entry.multiply_adds:,} per example"))
    facts += [("measured", _result(result)) for result in entry.results]
    if entry.log:
        facts.append(("curves", "of the seed whose weights the zoo has"))
    if not entry.results:
        facts.append(("measured", "nothing yet"))
    terms = "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in facts)
    figures = f'<div class="figures">{charts}</div>' if charts else ""
    return f"{figures}<dl>{terms}</dl>"


def _result(r):
    spread = f" ± {escape(r.std)}" if r.std else ""
    seeds = "1 seed" if r.seeds == "1" else f"{escape(r.seeds or '?')} seeds"
    text = (
        f"<b>{escape(r.value)}{spread} %</b> {escape(_metric(r.metric))} on {escape(r.dataset)}, "
        f"{escape(r.split)}"
    )
    facts = [r.budget, f"steps {r.steps}" if r.steps not in ("", "1") else "", r.note]
    facts += [r.backend, r.hardware, f"commit {r.commit}" if r.commit else "", r.date]
    small = "; ".join(escape(fact) for fact in facts if fact)
    return f'{text} <span class="small">{seeds}; {small}</span>'


def _metric(name):
    """A metric in words: top-1, best of 20 epochs."""
    best, _, rest = name.removeprefix(BEST_OF).partition("_") if BEST_OF in name else ("", "", name)
    words = rest.removesuffix("_percent").replace("top1", "top-1").replace("_", " ")
    return f"{words}, best of {best} epochs" if best else words
