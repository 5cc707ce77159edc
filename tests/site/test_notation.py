"""The notation page names everything that the rules name."""

import re

import numpy as np
import pytest

import optimlib
from tools.frontdoor import ROOT

PAGE = (ROOT / "notation.md").read_text(encoding="utf-8")
CODE = set(re.findall(r"`([^`]+)`", PAGE))


@pytest.mark.parametrize("rule", optimlib.RULES)
def test_every_hyperparameter_and_memory_is_explained(rule):
    kind = optimlib.RULES[rule]
    assert {*kind.defaults, *kind.slots, *kind.scalars} - CODE == set()


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.999])
def test_half_life_window_and_mean_age(beta):
    """The three numbers of the page, from the weights of an exponential mean."""
    ages = np.arange(60_000)
    weights = (1 - beta) * beta**ages
    half_life = np.log(2) / -np.log(beta)
    np.testing.assert_allclose(weights[0] * beta**half_life, weights[0] / 2, rtol=1e-12)
    np.testing.assert_allclose(1 / (1 - beta) * weights[0], 1, rtol=1e-12)
    np.testing.assert_allclose(ages @ weights, beta / (1 - beta), rtol=1e-9)
    np.testing.assert_allclose((ages + 1) @ weights, 1 / (1 - beta), rtol=1e-9)


def test_window_and_half_life_differ_by_the_factor_of_the_page():
    beta = 1 - 1e-8
    ratio = (1 / (1 - beta)) / (np.log(2) / -np.log(beta))
    assert ratio == pytest.approx(1 / np.log(2), rel=1e-6)
