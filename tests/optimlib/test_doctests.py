"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import optimlib

MODULES = [
    module.name.removeprefix("optimlib.")
    for module in pkgutil.walk_packages(optimlib.__path__, "optimlib.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(f"optimlib.{name}")
    names = {key: getattr(optimlib, key) for key in optimlib.__all__} | {"np": np}
    result = doctest.testmod(module, globs={**names, **vars(module)})
    assert result.failed == 0


def test_most_modules_have_examples():
    counts = {
        name: sum(
            len(test.examples)
            for test in doctest.DocTestFinder().find(importlib.import_module(f"optimlib.{name}"))
        )
        for name in MODULES
    }
    assert counts["rules"] >= len(optimlib.RULES)
