"""Rules for blocks as command lines spell them."""

import inspect

import pytest

from keras_recres.cli.block_rules import PARAMETERS, read
from keras_recres.models import rules

pytestmark = pytest.mark.neutral


def test_names_are_those_of_the_rules():
    for rule, names in PARAMETERS.items():
        assert {*names} == inspect.signature(getattr(rules, rule)).parameters.keys() - {"own"}


@pytest.mark.parametrize(
    ("rule", "text", "read_as"),
    [
        ("repeat", "a=b*=2", ("a=b*", {"steps": 2})),
        ("repeat", "*=2,residual_scale=none", ("*", {"steps": 2, "residual_scale": None})),
        ("fold", "*=0,init=last,keep=ends", ("*", {"rank": 0, "init": "last", "keep": "ends"})),
    ],
)
def test_a_pattern_a_number_and_what_follows(rule, text, read_as):
    assert read(rule, text) == read_as


@pytest.mark.parametrize("text", ["2", "=2", "*=", "*=-1", "*=2,keep=ends", "*=2,", "*=2,3"])
def test_what_is_not_spelt_so_is_told(text):
    with pytest.raises(ValueError, match=r"must be PATTERN=STEPS\[,residual_scale=…\].*found"):
        read("repeat", text)
