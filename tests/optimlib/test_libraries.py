"""The presets are complete, valid, and cannot be spoilt by a caller."""

import inspect

import pytest

from optimlib import RULES, like

LIBRARIES = ("torch", "optax", "keras", "sklearn", "autograd")


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_preset_builds_its_rule(library):
    for name, kwargs in like(library).items():
        rule = RULES[name](**kwargs)
        for key, value in kwargs.items():
            assert getattr(rule, key) == value


def test_pytorch_has_every_rule_but_the_two_no_library_has():
    assert RULES.keys() - like("torch").keys() == {"FullAdaGrad", "AdaDeltaMomentum"}


def test_the_defaults_of_the_package_are_those_of_pytorch():
    differ = {
        name: {key for key, value in kwargs.items() if RULES[name].defaults[key] != value}
        for name, kwargs in like("torch").items()
    }
    # Momentum without momentum, and L2 without a penalty, would not be what their names say.
    assert {name: keys for name, keys in differ.items() if keys} == {
        "Momentum": {"momentum"},
        "Nesterov": {"momentum"},
        "AdamL2": {"weight_decay"},
    }


def test_a_caller_cannot_change_the_presets():
    like("torch")["Adam"]["lr"] = 5.0
    assert like("torch")["Adam"]["lr"] == 1e-3


def test_an_unknown_library_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"library='caffe'; expected one of torch, optax, keras"):
        like("caffe")


def test_signatures_show_the_hyperparameters():
    for rule in RULES.values():
        names = list(inspect.signature(rule).parameters)
        assert names == [*rule.defaults, "check_finite"]
        for name in rule.defaults:
            assert name in inspect.getdoc(rule), f"{rule.__name__} does not document {name}"
