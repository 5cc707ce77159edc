"""Answers are found whatever was done to the notebook; everything else is put back."""

import copy
import json

import pytest

from grading.marks import agrees, passes, sent
from grading.normalise import Refused, normalise, suspicions
from tests.assignments.conftest import NAMES
from tests.assignments.fabricate import (
    GRADED,
    REFUSED,
    REVIEW,
    add,
    colab,
    drop,
    encoded,
    find,
    kinds,
    put,
    right,
    vscode,
)


@pytest.fixture(scope="module")
def key(course):
    return json.loads((course / "keys" / "hw4.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def perfect(course):
    return right(course, "hw4")


def code(nb):
    """Return the code of a notebook, cell by cell, without copies."""
    return [(c["id"], c["source"]) for c in nb["cells"] if c["cell_type"] == "code"]


ALIKE = [
    "deleted hidden test",
    "points by hand",
    "reversed",
    "crlf inside",
    "utf-16",
    "colab doubled",
    "format 3",
    "junk cells",
    "junk metadata",
    "unknown kernel",
]


@pytest.mark.parametrize("name", ALIKE)
def test_kinds_that_need_not_be_run(key, perfect, name):
    (kind,) = (kind for kind in kinds(perfect) if kind.name == name)
    assert kind.alike
    made = normalise(kind.files["hw4.ipynb"], key)
    assert code(made.nb) == code(normalise(encoded(perfect), key).nb)
    assert bool(made.flags) == (kind.status == REVIEW)


def test_the_perfect_hand_in_needs_no_repair(key, perfect):
    made = normalise(encoded(perfect), key)
    assert made.repairs == []
    assert made.flags == []
    assert made.nb == {**key["release"], "cells": made.nb["cells"]}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strip", [colab, vscode])
def test_stripped_metadata(course, name, strip):
    key = json.loads((course / "keys" / f"{name}.json").read_text(encoding="utf-8"))
    whole = right(course, name)
    expected = normalise(encoded(whole), key)
    made = normalise(encoded(strip(copy.deepcopy(whole))), key)
    assert [(c["id"], c["source"]) for c in made.nb["cells"]] == [
        (c["id"], c["source"]) for c in expected.nb["cells"]
    ]
    assert made.flags == []
    assert any("for want of an id" in repair for repair in made.repairs)


def test_refusals_give_the_reason(perfect, key):
    reasons = set()
    for kind in kinds(perfect):
        if kind.status == REFUSED and "hw4.ipynb" in kind.files:
            with pytest.raises(Refused) as refused:
                normalise(kind.files["hw4.ipynb"], key)
            reasons.add(str(refused.value))
    assert len(reasons) >= 8


def test_an_answer_without_id_is_found_by_name_then_by_place(perfect, key):
    nb = vscode(copy.deepcopy(perfect))
    sources = {c["source"]: n for n, c in enumerate(nb["cells"])}
    answer = nb["cells"][sources[find(perfect, "adam")["source"]]]
    answer["source"] = "# my Adam\n" + answer["source"]
    text = nb["cells"][sources[find(perfect, "derivation")["source"]]]
    text["source"] = "By induction."
    made = normalise(encoded(nb), key)
    assert find(made.nb, "adam")["source"] == answer["source"]
    assert find(made.nb, "derivation")["source"] == "By induction."


def test_a_text_written_into_the_question_is_kept(perfect, key):
    nb = copy.deepcopy(perfect)
    question = find(nb, "text-3")
    question["source"] += "\n\nMY ANSWER"
    made = normalise(encoded(nb), key)
    shown = [c["source"] for c in made.nb["cells"]]
    assert find(made.nb, "text-3")["source"] in shown
    assert "MY ANSWER" not in find(made.nb, "text-3")["source"]
    assert sum("MY ANSWER" in source for source in shown) == 1
    assert any("both texts are kept" in repair for repair in made.repairs)


def test_pictures_stay_and_nothing_else_is_attached(perfect, key):
    nb = copy.deepcopy(perfect)
    find(nb, "derivation")["attachments"] = {
        "photo.png": {"image/png": "aGk="},
        "page.html": {"text/html": "<script>"},
        "bad": 3,
        "evil.png": {"image/png": 'x"><script>alert(1)</script>'},
        'evil"><script>': {"image/png": "aGk="},
    }
    made = normalise(encoded(nb), key)
    assert find(made.nb, "derivation")["attachments"] == {"photo.png": {"image/png": "aGk="}}


def test_added_cells_keep_their_place(perfect, key):
    nb = add(add(copy.deepcopy(perfect), "first = 1", "text-1"), "second = 2", "scheduled")
    ids = [c["id"] for c in normalise(encoded(nb), key).nb["cells"]]
    assert ids[0].startswith("added")
    assert ids[ids.index("scheduled") - 1].startswith("added")


def test_what_is_not_an_answer_is_put_back(perfect, key):
    nb = put(drop(copy.deepcopy(perfect), "scheduled-both"), "adam-late", "print('passed')")
    made = normalise(encoded(nb), key)
    pristine = {c["id"]: c for c in key["release"]["cells"]}
    for name in ("scheduled-both", "adam-late"):
        assert find(made.nb, name) == pristine[name]


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "from urllib import request",
        "open('x')",
        "eval('1')",
        "import os\nos.system('ls')",
        "np.testing.assert_allclose = None",
        "sys.modules['numpy'] = None",
        "from optimlib import Adam",
        "from optimlib import *",
        "import optimlib\noptimlib.Adam()",
        "get_ipython()",
        "from os import walk",
        "from os import *",
        "next(os.walk('.'))",
    ],
)
def test_suspicious_code_is_flagged(source):
    assert suspicions(source, ["Adam"], 3)


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.compile('x')",
        "from optimlib import Momentum",
        "x = [np.sqrt(v) for v in y]\nself.m = 0\nm_hat = m / (1 - b**t)",
        "not python (",
        "plt.plot(x)\nplt.show()",
        "def walk(rule): ...\nwalk(SGD)",
    ],
)
def test_ordinary_code_is_not(source):
    assert suspicions(source, ["Adam"], 3) == []


# --- marks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ([1.0, 2.0], True),
        ([1.0, 2.0 * (1 + 9e-7)], True),
        ([1.0, 2.0 * (1 + 2e-6)], False),
        ([[1.0, 2.0]], False),
        ([1.0], False),
        (1.0, False),
        ([1.0, float("nan")], False),
        ([1.0, float("inf")], False),
        ([], False),
    ],
)
def test_agreement(answer, right):
    assert agrees(answer, [1.0, 2.0], rtol=1e-6, atol=1e-12) is right


def test_infinity_is_never_right():
    assert not agrees([float("inf")], [1.0], rtol=1.0, atol=float("inf"))


@pytest.mark.parametrize(
    "text",
    [
        *(None, 3, "", "x", "[1,", '{"a": 1}', "[[1], [1, 2]]", '"x"', f"{10**400}"),
        *("[" * 10_000, "1" * 300_000),
    ],
)
def test_what_is_no_array_of_numbers_is_nothing(text):
    assert sent(text) is None
    assert not passes({"expected": [1.0], "tolerance": {"rtol": 1, "atol": 1}}, text)


def test_sample_covers_the_three_verdicts(perfect):
    found = kinds(perfect)
    assert len({kind.name for kind in found}) == len(found) > 100
    assert {kind.status for kind in found} == {GRADED, REVIEW, REFUSED}
    alike = {kind.name for kind in found if kind.alike}
    assert alike - set(ALIKE) == {"zipped", "more files", "two notebooks"}
