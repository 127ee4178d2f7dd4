"""Ensembles beside one network: as many parameters, and members of different seeds."""

import pytest

from keras_recres import models
from training.ledger.summary import FINAL, Summary
from training.studies import __main__ as reproduce
from training.studies import ensembles
from training.studies.forms import Table


@pytest.mark.neutral
def test_the_wider_network_has_as_many_parameters_as_three():
    one, wide = (ensembles.network(n).count_params() for n in (ensembles.UNITS, ensembles.WIDE))
    assert wide == pytest.approx(ensembles.MEMBERS * one, rel=1e-3)


def test_members_differ_by_their_seeds(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(ensembles, "DEPTH", 2)
    seen, ensemble = [], models.ensemble

    def watched(members, *arguments):
        seen.append([member.get_weights()[0] for member in members])
        return ensemble(members, *arguments)

    monkeypatch.setattr(models, "ensemble", watched)
    command = ["ensembles", "--arms=apart", "--seeds=2", "--epochs=1", "--limit=200"]
    assert reproduce.main([*command, f"--out={tmp_path}"]) == 0
    probabilities, logits, *_ = seen
    assert all((a == b).all() for a, b in zip(probabilities, logits, strict=True))
    kernels = [kernel for members in seen[::2] for kernel in members]
    assert len({kernel.tobytes() for kernel in kernels}) == 6
    one = ensembles.network(ensembles.UNITS).count_params()
    assert f"| 3 seeds of it, averaged | {3 * one:,} |" in (tmp_path / "ensembles.md").read_text()


@pytest.mark.neutral
def test_claims_are_of_the_ensemble_against_each_rival():
    forms = ensembles.STUDY.forms(None)
    points = (0.95, 0.97, 0.96, 0.965)
    measured = [
        Summary(form.label, {seed: {FINAL: y + 0.001 * seed} for seed in range(2)})
        for form, y in zip(forms, points, strict=True)
    ]
    claims = ensembles.STUDY.claims(Table(forms, measured), None)
    assert [round(effect.mean, 1) for _, effect in claims] == [2, 0.5, 1]
