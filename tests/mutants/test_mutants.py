"""The tests must reject every wrong rule, above all those that converge.

The judges are the assertions of the tests themselves: the steps worked out by hand, the 50-digit
reference and the recorded libraries. A mutant that they let pass is a missing test, unless
equivalents.diff lists it with the reason why it is the same rule.
"""

import contextlib
import functools
import itertools
from collections import Counter

import numpy as np
import pytest

from optimlib import RULES, minimize
from optimlib.objectives import ravine
from tests.conftest import tally
from tests.mutants import mutate
from tests.optimlib import test_by_hand as by_hand
from tests.optimlib import test_reference as reference
from tests.parity import test_parity as parity

mutants = functools.cache(mutate.mutants)
EQUIVALENT = {
    (rule, "\n".join(lines)): reason
    for rules, reason, lines in mutate.read_diff("equivalents.diff")
    for rule in rules
}


def judges(rule):
    """Return the judges of a rule, the quickest first."""
    for name, *case in by_hand.CASES:
        if name == rule:
            yield lambda cls, case=case: by_hand.judge(cls, *case)
    yield reference.judge
    if rule == "RMSProp":
        yield reference.judge_variance
    for library, recorded in parity.record.RUNS.items():
        if rule in recorded:
            yield functools.partial(parity.judge, library)


@functools.cache
def rejection(mutant):
    """Return how the judges reject a mutant: for a wrong "value", by an "error", or None."""
    with np.errstate(all="ignore"):
        cls = mutant.build()
        for judge in judges(mutant.rule):
            try:
                judge(cls)
            except AssertionError:
                return "value"
            except Exception:  # a wrong rule may do anything
                return "error"
    return None


def is_equivalent(mutant):
    return (mutant.rule, mutant.change) in EQUIVALENT


def complaint(survivors):
    return "no test rejects:\n\n" + "\n\n".join(map(str, survivors))


def classic(rule, mistake):
    """Return the mutant of classics.diff whose name begins so."""
    return next(m for m in mutants(rule) if m.kind.startswith(f"classic: {mistake}"))


@pytest.mark.parametrize("rule", RULES)
def test_every_wrong_rule_is_rejected(pytestconfig, rule):
    wrong = [mutant for mutant in mutants(rule) if not is_equivalent(mutant)]
    survivors = [mutant for mutant in wrong if rejection(mutant) is None]
    tally(pytestconfig, "mutants", made=len(wrong), killed=len(wrong) - len(survivors))
    assert not survivors, complaint(survivors)


@pytest.mark.parametrize("rule", RULES)
def test_the_right_rule_passes_every_judge(rule):
    for judge in judges(rule):
        judge(RULES[rule])


def test_there_are_mutants_enough_of_every_rule_and_kind():
    everything = [mutant for rule in RULES for mutant in mutants(rule)]
    by_value = Counter(mutant.rule for mutant in everything if rejection(mutant) == "value")
    assert set(by_value) == set(RULES)
    assert min(by_value.values()) >= 20
    assert by_value.total() >= 1500
    kinds = Counter(mutant.kind.partition(":")[0] for mutant in everything)
    assert set(kinds) == {
        *("argument", "branch", "classic", "condition", "constant", "default", "dropped"),
        *("epsilon", "function", "hyperparameter", "index", "local value", "memory", "needs"),
        *("not stored", "operator", "sign", "start", "start or default", "used late"),
    }


def test_every_classic_mistake_is_among_the_mutants():
    for rules, mistake, _ in mutate.read_diff("classics.diff"):
        for rule in rules:
            assert f"classic: {mistake}" in {mutant.kind for mutant in mutants(rule)}, rule


@pytest.mark.parametrize("rule", RULES)
def test_every_line_of_an_update_has_mutants(rule):
    changed = {line for mutant in mutants(rule) for line in mutant.change.splitlines()}
    assert {f"- {line}" for line in mutate.update_lines(rule) if line != "else:"} <= changed


@pytest.mark.parametrize(("rule", "change"), EQUIVALENT, ids=[rule for rule, _ in EQUIVALENT])
def test_an_equivalent_mutant_is_the_same_rule(rule, change):
    same = [mutant for mutant in mutants(rule) if mutant.change == change]
    assert len(same) == 1, f"equivalents.diff: no mutant, or more than one, is\n{rule}\n{change}"
    mutant = same[0]
    cls = mutant.build()
    assert rejection(mutant) is None
    for settings, seed in itertools.product(reference.cases(rule), range(100, 103)):
        right, wrong = RULES[rule](**settings), cls(**settings)
        x, gradients = reference.stream(seed)
        y = x
        for g in gradients:
            x, y = right.step(x, g), wrong.step(y, g)
            assert np.all(np.abs(x - y) <= reference.TOLERANCE * np.maximum(1, np.abs(x)))


def test_a_survivor_is_shown_as_the_line_that_differs():
    (mutant,) = (m for m in mutants("AdamW") if is_equivalent(m))
    assert complaint([mutant]).splitlines()[2:] == [
        "AdamW (argument)",
        "- return super().update(xp, t, x, g, s, h) + decay * x",
        "+ return super().update(xp, t, g, g, s, h) + decay * x",
    ]


# Four Adams that people wrote and were content with.
BROKEN = [
    "neither is corrected",
    "correction multiplied",
    "v is of m, not of g",
    "epsilon-hat whatever the option",
]


def run(cls):
    return minimize(ravine, cls(lr=0.1), steps=1000)


def arrives(record):
    """Tell whether f has fallen to a millionth and stays there."""
    return bool(np.all(record.gap[-20:] < 1e-6 * record.gap[0]))


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_adam_converges_all_the_same_and_is_rejected(mistake):
    mutant = classic("Adam", mistake)
    assert arrives(run(mutant.build()))
    assert rejection(mutant) == "value"


def test_convergence_misses_dozens_of_wrong_adams():
    right = run(RULES["Adam"])
    assert arrives(right)
    wrong = []
    for mutant in mutants("Adam"):
        with contextlib.suppress(Exception), np.errstate(all="ignore"):
            wrong.append(run(mutant.build()))
    wrong = [record for record in wrong if not np.array_equal(record.path, right.path)]
    assert sum(map(arrives, wrong)) > 80
