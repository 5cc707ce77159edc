"""What the machine finds about units, beside what a dimensional analysis says."""

import importlib.util
import sys

import numpy as np
import pint
import pytest

from optimlib import (
    RULES,
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdamW,
    FullAdaGrad,
    Momentum,
    Nadam,
    RMSProp,
    Rprop,
)
from optimlib.units import check, registry, walk

# x is in metres and f in joules, so a gradient g is in J/m, and:
X, G, G2, X2_PER_F = "m", "J/m", "J**2/m**2", "m**2/J"

# What makes each rule consistent, and why. Every other number is pure.
CONSISTENT = [
    # lr g must be in the unit of x, so lr carries x^2/f.
    ("SGD", dict(lr=X2_PER_F)),
    # lambda x is added to g: f/x^2.
    ("SGD", dict(lr=X2_PER_F, weight_decay="J/m**2")),
    # b is a sum of gradients; with lr inside it is a sum of lr g, which has the unit of x.
    ("Momentum", dict(lr=X2_PER_F)),
    ("Momentum", dict(lr=X2_PER_F, lr_inside=True)),
    ("Momentum", dict(lr=X2_PER_F, weight_decay="J/m**2")),
    ("Nesterov", dict(lr=X2_PER_F, weight_decay="J/m**2")),
    ("Nesterov", dict(lr=X2_PER_F, lr_inside=True)),
    # Only signs of g are used; steps, their start lr and their bounds are lengths.
    ("Rprop", dict(lr=X, step_min=X, step_max=X)),
    # g / (sqrt(G) + eps) is pure if eps is in the unit of g, so lr is a length.
    ("AdaGrad", dict(lr=X, eps=G)),
    ("AdaGrad", dict(lr=X, eps=G, initial=G2)),
    # Inside the root eps is added to g^2.
    ("AdaGrad", dict(lr=X, eps=G2, eps_inside=True)),
    # The root of the matrix has the unit of g, and eps I is added to it.
    ("FullAdaGrad", dict(lr=X, eps=G)),
    ("RMSProp", dict(lr=X, eps=G)),
    ("RMSProp", dict(lr=X, eps=G2, eps_inside=True)),
    ("RMSProp", dict(lr=X, eps=G, centered=True, initial=G2)),
    # b is a sum of pure numbers, or with lr inside of lengths.
    ("RMSProp", dict(lr=X, eps=G, momentum=None)),
    ("RMSProp", dict(lr=X, eps=G, momentum=None, lr_inside=True)),
    # sqrt(D + eps_x) / sqrt(v + eps) g: the unit of x comes from D, so lr is pure.
    ("AdaDelta", dict(lr=None, eps=G2, eps_x="m**2")),
    ("AdaDeltaMomentum", dict(lr=None, eps=G2, eps_x="m**2", momentum=None)),
    # m / (sqrt(v) + eps) is pure.
    ("Adam", dict(lr=X, eps=G)),
    ("Adam", dict(lr=X, eps=G, eps_hat=True)),
    ("Adam", dict(lr=X, eps=G, bias_correction=False)),
    ("AdaMax", dict(lr=X, eps=G)),
    ("AdaMax", dict(lr=X, eps=G, eps_outside=True)),
    ("Nadam", dict(lr=X, eps=G)),
    ("AMSGrad", dict(lr=X, eps=G)),
    ("AMSGrad", dict(lr=X, eps=G, corrected=True)),
    # lr lambda x is subtracted from x: lr lambda must be pure, so lambda is 1/x.
    ("AdamW", dict(lr=X, eps=G, weight_decay="1/m")),
    # Without lr, lambda itself is pure.
    ("AdamW", dict(lr=X, eps=G, weight_decay=None, decay_times_lr=False)),
    # lambda x is added to g, as in SGD.
    ("AdamL2", dict(lr=X, eps=G, weight_decay="J/m**2")),
]
NUMBERS = dict(
    lr=0.1, eps=0.01, eps_x=0.1, weight_decay=0.2, initial=0.3, step_min=0.01, step_max=0.4,
    momentum=0.6,
)  # fmt: skip
IDS = ["-".join([name, *(f"{k}={v}" for k, v in given.items())]) for name, given in CONSISTENT]
every_case = pytest.mark.parametrize(("name", "given"), CONSISTENT, ids=IDS)


def quantities(given):
    """Return options as they are, and for a unit (None: a pure number) a quantity."""
    return {
        key: unit if isinstance(unit, bool) else registry.Quantity(NUMBERS[key], unit or "")
        for key, unit in given.items()
    }


@every_case
def test_a_consistent_rule_subtracts_a_length(name, given):
    assert check(RULES[name], "m", "J", **quantities(given)).is_compatible_with("m")


@every_case
def test_any_other_unit_raises(name, given):
    given = quantities(given)
    carrying = [key for key, value in given.items() if not isinstance(value, bool)]
    for key in carrying:
        value = given[key]
        for wrong in (value.magnitude, value * registry.Unit("m"), value / registry.Unit("J")):
            if wrong is value.magnitude and value.dimensionless:
                continue
            with pytest.raises(pint.DimensionalityError):
                check(RULES[name], "m", "J", **{**given, key: wrong})


def test_every_rule_and_every_hyperparameter_that_carries_a_unit_is_in_the_table():
    assert {name for name, _ in CONSISTENT} == RULES.keys()
    for rule, defaults in ((name, RULES[name].defaults) for name in RULES):
        named = set().union(*(given.keys() for name, given in CONSISTENT if name == rule))
        assert defaults.keys() & NUMBERS.keys() - named <= {"momentum"}, rule


@pytest.mark.parametrize("name", [name for name in RULES if name not in ("AdaDelta",)])
def test_with_plain_numbers_only_no_rule_is_consistent(name):
    with pytest.raises(pint.DimensionalityError):
        check(RULES[name], "m", "J")


@pytest.mark.parametrize("name", RULES)
def test_where_everything_is_pure_every_rule_is_consistent(name):
    assert check(RULES[name], "", "") == registry.Unit("")


def test_one_eps_cannot_serve_both_roots_of_adadelta():
    for shared in (1e-6, f"1e-6 {G2}", "1e-6 m**2"):
        with pytest.raises(pint.DimensionalityError):
            check(AdaDelta, "m", "J", eps=shared)
    assert check(AdaDelta, "m", "J", eps=f"1e-6 {G2}", eps_x="1e-6 m**2") == registry.Unit("m")
    # It can if f is in the unit of x^2, where a gradient is in the unit of x.
    assert check(AdaDelta, "m", "m**2", eps="1e-6 m**2") == registry.Unit("m")


def test_zero_has_every_unit():
    assert check(Adam, "m", "J", lr="0.1 m", eps=0) == registry.Unit("m")
    with pytest.raises(pint.DimensionalityError):  # but lr times 0 is 0 metres, and times x 0 m^2
        check(AdamW, "m", "J", lr="0.1 m", eps=0, weight_decay=0)
    assert check(AdamW, "m", "J", lr="0.1 m", eps=0, weight_decay="0/m") == registry.Unit("m")
    assert check(SGD(weight_decay=0.0), "m", "J", lr=f"1 {X2_PER_F}") == registry.Unit("m")


def test_units_that_convert_are_the_same():
    assert check(Adam, "m", "J", lr="10 cm", eps=f"1e-5 {G}") == registry.Unit("cm")
    assert check(Adam, "m", "J", lr="10 cm", eps="1e-5 N").is_compatible_with("m")
    x, g = registry.Quantity([1.0], "m"), registry.Quantity([2.0], "N")
    moved = walk(Adam, x, [g], lr="10 cm", eps=0)[1]
    assert moved.m_as("m") == pytest.approx([0.9])


def test_pure_quantities_and_strings_count_as_numbers():
    given = dict(lr="0.1 m", eps=f"1e-8 {G}")
    assert check(Adam, "m", "J", beta1="0.8", beta2=registry.Quantity(50, "percent"), **given)
    with pytest.raises(ValueError, match="out of range"):
        check(Adam, "m", "J", beta2=registry.Quantity(500, "percent"), **given)


def test_the_memory_gets_its_units_at_the_first_step():
    x = registry.Quantity(np.ones(2), "m")
    g = registry.Quantity(np.array([3.0, -1.0]), G)
    path = walk(Nadam, x, [g, g, -g], lr="0.1 m", eps=f"1e-8 {G}")
    assert [p.units for p in path] == [registry.Unit("m")] * 4
    assert path[0] is x
    np.testing.assert_array_equal(x.magnitude, 1.0)


def test_an_instance_brings_options_numbers_and_schedules():
    opt = AdaGrad(eps_inside=True)
    assert check(opt, "m", "J", lr="1 m", eps=f"1e-8 {G2}") == registry.Unit("m")
    lr = registry.Quantity(1.0, X2_PER_F)
    g = registry.Quantity([1.0], G)
    path = walk(Momentum(momentum=lambda t: 0.5 / t), registry.Quantity([0.0], "m"), [g, g], lr=lr)
    np.testing.assert_allclose(path[2].m_as("m"), [-1.0 - 1.25])


def test_the_matrix_form_divides_by_a_root_with_the_unit_of_g():
    x, g = registry.Quantity([1.0, 1.0], "m"), registry.Quantity([3.0, 4.0], G)
    moved = walk(FullAdaGrad, x, [g], lr="0.5 m", eps=0)[1]
    np.testing.assert_allclose(moved.m_as("m"), [0.7, 0.6])


@pytest.mark.parametrize(
    ("rule", "given", "error", "said"),
    [
        (3, {}, TypeError, "expected an optimizer or its class"),
        (int, {}, TypeError, "expected an optimizer or its class"),
        (Adam, dict(learning_rate=1), TypeError, "Did you mean lr"),
        (Adam, dict(eps_hat="1"), TypeError, "expected True or False"),
        (Adam, dict(lr="-0.1 m"), ValueError, "out of range"),
        (Adam, dict(beta1=1.5), ValueError, "out of range"),
        (Rprop, dict(lr="0.1 furlonks"), pint.UndefinedUnitError, "furlonks"),
    ],
)
def test_wrong_input(rule, given, error, said):
    with pytest.raises(error, match=said):
        check(rule, "m", "J", **given)


def test_none_is_the_shared_eps():
    with pytest.raises(pint.DimensionalityError):
        check(AdaDelta, "m", "J", eps=f"1e-6 {G2}", eps_x=None)
    with pytest.raises(TypeError):
        check(RMSProp, "m", "J", lr=None)


def test_without_pint_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pint", None)
    spec = importlib.util.find_spec("optimlib.units")
    with pytest.raises(ImportError, match=r"pip install 'optimlib\[units\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
