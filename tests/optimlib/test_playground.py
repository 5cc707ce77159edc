"""The playground: its races, and that a page races as `optimlib` does."""

import json
import re
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread

from optimlib import RULES, symbolic
from optimlib.explore import Playground, Walk, normal, playground
from optimlib.explore.kernel import WIDGET
from optimlib.explore.page import ENGINE, looks
from optimlib.explore.playground import LAST, MOST_STEPS, NOISES, RACING, TRIAL, TRIED, tuned
from optimlib.explore.playground_kernel import controls, picture, table, widget
from optimlib.explore.playground_page import SCRIPT, _symbol, _text, description, html, script
from optimlib.hyper import within
from optimlib.objectives import OBJECTIVES
from tests.optimlib import engine
from tests.optimlib.test_explore import SCALARS, floats, stretch

GROUND = playground()
SPEC = description(GROUND)
EVERY = tuple(RACING)
NUMBERS = {
    name: {key: v for key, v in rule.defaults.items() if not isinstance(v, bool)}
    for name, rule in RACING.items()
}


def in_page(body, given=None):
    """Run the body of a function of one of the things given; ``play`` is the page's own part."""
    return engine.run(
        f"""{ENGINE.read_text(encoding="utf-8")}
        {SCRIPT.read_text(encoding="utf-8")}
        const functions = (() => {{ {script(GROUND)} }})();
        const spec = {json.dumps(SPEC, allow_nan=False)};
        const play = SecondMoments.playground;
        const complaint = (f) => {{ try {{ return f(); }} catch (e) {{ return e.message; }} }};
        answer(given.map((one) => {{ {body} }}));""",
        given,
    )


def state(race, at=None):
    """Return the page's state of a race."""
    (name,) = (name for name, on in OBJECTIVES.items() if on is race.objective)
    hyper = {rule: {**NUMBERS[rule], "lr": GROUND.rates[name][rule]} for rule in EVERY}
    for rule, opt in race.rules.items():
        hyper[rule] = {key: getattr(opt, key) for key in NUMBERS[rule]}
    return {
        "objective": name,
        "rules": list(race.rules),
        "start": list(race.start),
        "noise": race.noise,
        "seed": race.seed,
        "steps": race.steps,
        "at": race.steps if at is None else at,
        "hyper": hyper,
    }


RUN = """
const ran = play.race(functions, spec, one);
return {code: play.python(spec, one, ran), hash: play.toHash(spec, one),
  runs: Object.entries(ran).map(([rule, taken]) => [rule, taken.x.map((p) => p.map(String)),
    taken.f.map(String), taken.gap.map(String)])};
"""


def agree(race, found):
    """Compare a page's race with `optimlib`'s as far as no rule amplifies rounding."""
    ran = race.run()
    assert [rule for rule, *_ in found["runs"]] == list(race.rules)
    figure = SimpleNamespace(walks=race.walks, values=lambda: None)
    ends = {}
    for rule, x, f, gap in found["runs"]:
        end = stretch(figure, rule, {}, ran[rule].x) if race.noise == 0 else race.steps + 1
        ends[rule] = end
        for mine, other in ((x, ran[rule].x), (f, ran[rule].f), (gap, ran[rule].gap)):
            other = other[:end]
            scale = np.maximum(np.abs(other), 1)
            assert (np.abs(floats(mine)[:end] - other) / scale).max() < 1e-8, (rule, end)
    return ends


# ---------------------------------------------------------------- races


def test_every_rule_that_works_by_coordinates_races_on_every_planar_objective():
    assert len(EVERY) == 14
    assert set(RULES) - set(EVERY) == {"FullAdaGrad"}
    assert GROUND.objectives == OBJECTIVES
    assert {on: set(rates) for on, rates in GROUND.rates.items()} == {
        on: set(EVERY) for on in OBJECTIVES
    }


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
@pytest.mark.parametrize("name", ["Momentum", "Nesterov", "AMSGrad"])
def test_a_step_size_is_the_best_of_those_that_stay_on_the_map(name, objective):
    low, high = np.transpose(objective.view)
    worst = {}
    for lr in TRIED:
        opt, x, path = RACING[name](lr=lr), np.array(objective.start), []
        with np.errstate(all="ignore"):
            for _ in range(TRIAL):
                path.append(x)
                x = opt.step(x, objective.gradient(x), check_finite=False)
            path = np.array([*path, x])
            if ((path >= low) & (path <= high)).all():
                worst[lr] = objective.value(path[-LAST:]).max()
    assert min(worst, key=worst.get) == tuned()[objective.name][name]


def test_a_race_runs_what_it_says():
    race = GROUND.race(
        "ravine", ["Adam", "SGD"], start=(1, 2), hyper={"Adam": {"beta1": 0.5}}, lr=0.5, steps=9
    )
    assert list(race.rules) == ["SGD", "Adam"]
    assert race.rules["SGD"].lr == 0.5 * GROUND.rates["ravine"]["SGD"]
    assert race.rules["Adam"].beta1 == 0.5
    taken = race.run()["Adam"]
    expected = race.rules["Adam"].fresh().run(race.objective.gradient, np.array([1.0, 2.0]), 9)
    np.testing.assert_array_equal(taken.x, expected.path)
    np.testing.assert_array_equal(taken.f, race.objective.value(taken.x))
    saddle = GROUND.race("saddle", ["SGD"]).run()["SGD"]
    np.testing.assert_array_equal(saddle.gap, saddle.f + 0.25)


def test_noise_is_the_same_for_every_rule():
    race = GROUND.race("ravine", ["SGD", "Adam"], noise=0.5, seed=3, steps=4)
    z = normal(3, np.arange(1, 5), 2)
    for name, walk in race.walks.items():
        taken = walk.take()
        exact = race.objective.gradient(taken.x[:-1])
        np.testing.assert_allclose(taken.g, exact + 0.5 * z, err_msg=name)


def test_a_walk_without_controls_needs_none():
    walk = Walk(RULES["SGD"], OBJECTIVES["ravine"], steps=3)
    np.testing.assert_array_equal(walk.take().x, walk.take(SimpleNamespace()).x)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(objective="bowl"), "no objective 'bowl'; it has ravine, Rosenbrock"),
        (dict(rules=["Adam", "FullAdaGrad"]), "no rule 'FullAdaGrad'; it has SGD"),
        (dict(hyper={"adam": {}}), "no rule 'adam'"),
        (dict(start=(1, 2, 3)), "start=(1, 2, 3); expected two finite numbers"),
        (dict(start=(1, np.nan)), "expected two finite numbers"),
        (dict(steps=0), "steps=0; expected a whole number from 1 to 500"),
        (dict(steps=MOST_STEPS + 1), "steps=501"),
        (dict(steps=1.5), "steps=1.5"),
        (dict(steps=True), "steps=True"),
        (dict(seed=-1), "seed=-1; expected a whole number from 0 to 4294967295"),
        (dict(noise=-1), "noise=-1; expected a finite standard deviation >= 0"),
        (dict(noise=np.inf), "noise=inf"),
        (dict(hyper={"Adam": {"beta1": 2}}), "Adam: beta1=2 is out of range"),
    ],
)
def test_a_race_that_cannot_be_is_refused(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        GROUND.race(**given)


def test_words_rank_the_rules_and_put_those_that_diverged_last():
    race = GROUND.race(start=(1.5, -0.5))
    words = race.alt()
    assert words.startswith(
        "Paths on Rosenbrock and their losses. Loss after 200 steps, best first"
    )
    assert re.findall(r"(\w+) [\d.na]+[,.]", words.split(":")[1])[:2] == ["AdaGrad", "Adam"]
    assert words.count("nan") == 2


# ---------------------------------------------------------------- the page's twin


def numbers(rng, name, lr):
    """Return the hyperparameters of a rule at random."""
    drawn = {key: float(rng.uniform(*SCALARS[key])) for key in NUMBERS[name]}
    return drawn | {"lr": lr * float(rng.uniform(0.1, 0.7))}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_page_races_every_rule_as_optimlib_does(objective):
    rng = np.random.default_rng(0)
    lows, highs = np.transpose(OBJECTIVES[objective].view)
    races = [GROUND.race(objective, EVERY)]
    for _ in range(2):
        start = rng.uniform(lows, highs) * 0.6 + np.array(OBJECTIVES[objective].start) * 0.4
        races.append(
            GROUND.race(
                objective,
                EVERY,
                start=start,
                hyper={n: numbers(rng, n, GROUND.rates[objective][n]) for n in EVERY},
            )
        )
    for race, found in zip(races, in_page(RUN, [state(r) for r in races]), strict=True):
        ends = agree(race, found)
        # Whoever lands on a kink goes on from the side on which rounding puts it.
        assert min(ends.values()) > 5 or objective == "absolute"
        assert ends["Momentum"] == race.steps + 1


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_page_adds_the_same_noise(objective):
    races = [
        GROUND.race(objective, EVERY, noise=noise, seed=seed, steps=40, lr=0.1)
        for noise, seed in ((0.5, 0), (2, 77))
    ]
    for race, found in zip(races, in_page(RUN, [state(r) for r in races]), strict=True):
        agree(race, found)
    assert in_page(RUN, [state(races[0])])[0]["runs"] != in_page(RUN, [state(races[1])])[0]["runs"]


def test_a_blank_number_and_a_zero_mean_the_same_in_both_places():
    hypers = [
        {"AdaDelta": {"eps_x": None}, "AdaDeltaMomentum": {"eps_x": 1e-3, "momentum": 0}},
        {"AdaDelta": {"eps_x": 1e-3}, "AdaDeltaMomentum": {"eps_x": None}},
        {"Adam": {"eps": 0, "beta1": 0}, "RMSProp": {"rho": 0}, "AdamW": {"weight_decay": 0}},
        {"Momentum": {"lr": 0, "dampening": 1}, "AdaGrad": {"eps": 0, "initial": 0}},
    ]
    races = [GROUND.race("ravine", tuple(h), hyper=h, start=(-3, 0), steps=30) for h in hypers]
    found = in_page(RUN, [state(r) for r in races])
    for race, one in zip(races, found, strict=True):
        agree(race, one)
    paths = [{rule: x for rule, x, *_ in one["runs"]} for one in found]
    assert paths[0]["AdaDelta"] != paths[1]["AdaDelta"]


def test_the_first_race_of_the_page_ends_where_optimlib_does():
    (found,) = in_page("return play.race(functions, spec, play.first(spec));", [0])
    assert {name: taken["x"][-1] for name, taken in found.items()} == {
        name: pytest.approx(end, rel=1e-6) for name, end in SPEC["ends"].items()
    }
    assert set(found) == set(GROUND.race().rules)


# ---------------------------------------------------------------- the lines of Python


def paths_of(code):
    """Run the lines that a page shows."""
    names = {}
    exec(compile(code, "<shown>", "exec"), names)
    return names["paths"]


RACES = {
    "plain": GROUND.race(),
    "every rule": GROUND.race("Beale", EVERY, steps=60),
    "noise": GROUND.race("saddle", ("SGD", "RMSProp"), noise=0.1, seed=9, steps=300),
    "noise and every rule": GROUND.race("absolute", EVERY, noise=2, seed=2**32 - 1, steps=40),
    "numbers": GROUND.race(
        "Himmelblau",
        ("AdaDelta", "Rprop", "AdaGrad"),
        start=(1e-7, -2),
        hyper={"AdaDelta": {"eps_x": 1e-9, "rho": 0.5}, "Rprop": {"step_max": 1e21}},
    ),
    "explosion": GROUND.race(start=(1.5, -0.5)),
    "nobody": GROUND.race("ravine", ()),
}


@pytest.mark.parametrize("kind", RACES)
def test_the_lines_of_python_compute_the_paths_of_the_page(kind):
    race = RACES[kind]
    (found,) = in_page(RUN, [state(race)])
    code = found["code"]
    assert max(map(len, code.splitlines())) <= 88
    if kind == "nobody":
        assert code == "# No rule is chosen."
        return
    assert ("check_finite=False" in code) == (kind == "explosion")
    assert ("optimlib.explore" in code) == ("noise" in kind)
    ran, shown = race.run(), paths_of(code)
    assert len(shown) == len(race.rules)
    figure = SimpleNamespace(walks=race.walks, values=lambda: None)
    for (rule, x, *_), path in zip(found["runs"], shown, strict=True):
        np.testing.assert_array_equal(path, ran[rule].x)
        end = len(path) if race.noise else stretch(figure, rule, {}, path)
        assert end > 20 or kind == "explosion"
        np.testing.assert_allclose(floats(x)[:end], path[:end], rtol=1e-8, atol=1e-8)


# ---------------------------------------------------------------- ranges and links


def test_a_page_refuses_what_optimlib_refuses_in_the_same_words():
    values = [-1.5, -0.5, 0.0, 0.5, 1.0, 1.5, 60.5, 1e300]
    asked = [(n, key, v) for n in EVERY for key in NUMBERS[n] for v in values]
    found = in_page(
        """const [rule, name, text] = one;
        const h = {...play.first(spec).hyper[rule], [name]: Number(text)};
        return play.wrong(spec.rules[rule].numbers.find((n) => n.name === name), text, rule)
          || play.together(rule, h);""",
        [(n, key, repr(v)) for n, key, v in asked],
    )
    refused = 0
    for (name, key, value), message in zip(asked, found, strict=True):
        given = {"lr": GROUND.rates["Rosenbrock"][name], key: value}
        if message == "":
            RACING[name](**given)
            continue
        refused += 1
        with pytest.raises(ValueError, match=r"out of range|is above") as caught:
            RACING[name](**given)
        # Numbers are JavaScript's where two of them are compared: 50, not 50.0.
        assert message == re.sub(r"(\d)\.0\b(?! is out)", r"\1", str(caught.value))
    assert 100 < refused < len(asked)


def test_what_is_no_number_is_refused_and_the_range_is_named():
    beta1 = {**SPEC["rules"]["Adam"]["numbers"][1]}
    blank = next(n for n in SPEC["rules"]["AdaDelta"]["numbers"] if n["name"] == "eps_x")
    asked = [
        (beta1, "", "Adam: beta1 is empty; expected 0 <= beta1 < 1."),
        (beta1, "half", "Adam: beta1=half is not a number; expected 0 <= beta1 < 1."),
        (beta1, " 0.5 ", ""),
        (blank, "", ""),
        (blank, "-1", "Adam: eps_x=-1 is out of range; expected 0 <= eps_x < inf."),
        (SPEC["seed"], "1.5", "expected a whole number, 0 <= seed <= 4294967295."),
        (SPEC["steps"], "501", "steps=501 is out of range; expected a whole number, 1 <= steps"),
        (SPEC["objectives"]["Beale"]["x"], "9", "x=9 is out of range; expected -1 <= x <= 4.5."),
    ]
    found = in_page(
        "return play.wrong(one[0], one[1], one[2]);",
        [(field, text, "Adam" if "Adam" in why or not why else "") for field, text, why in asked],
    )
    for (_, _, why), message in zip(asked, found, strict=True):
        assert (why in message) if why else message == ""


def test_a_link_gives_the_state_back():
    rng = np.random.default_rng(1)
    states = []
    for objective in [*OBJECTIVES, *OBJECTIVES]:
        chosen = tuple(n for n in EVERY if rng.random() < 0.4)
        race = GROUND.race(
            objective,
            chosen,
            start=np.round(OBJECTIVES[objective].start, 3),
            hyper={n: numbers(rng, n, 1.0) for n in chosen},
            noise=float(rng.choice(NOISES)),
            seed=int(rng.integers(2**32)),
            steps=int(rng.integers(1, 501)),
        )
        states.append(state(race, int(rng.integers(race.steps + 1))))
    states[0]["hyper"]["AdaDelta"]["eps_x"] = 0.25  # of a rule that may not be chosen
    found = in_page(
        "const hash = play.toHash(spec, one); return [hash, play.fromHash(spec, hash)];", states
    )
    for given, (link, back) in zip(states, found, strict=True):
        assert back == given, link
        assert re.fullmatch(r"#race=[\w=&.,%-]+", link)


def test_a_short_link_means_the_usual_rest():
    (found,) = in_page("return play.fromHash(spec, one);", ["#race=ravine"])
    usual = state(GROUND.race("ravine"))
    assert found == usual


BROKEN = {
    "#race=bowl": "no objective is called bowl; there is ravine, Rosenbrock",
    "#race=toString": "no objective is called toString",
    "#race=ravine&rules=Adam,Eve": "no rule is called Eve; there is SGD",
    "#race=ravine&start=1": "start has two numbers, x and y.",
    "#race=ravine&start=1,9": "y=9 is out of range; expected -3 <= y <= 3.",
    "#race=ravine&start=1,": "y is empty; expected -3 <= y <= 3.",
    "#race=ravine&noise=0.3": "noise=0.3; expected one of 0, 0.01",
    "#race=ravine&seed=-1": "seed=-1 is out of range; expected a whole number, 0 <= seed",
    "#race=ravine&steps=9999": "steps=9999 is out of range; expected a whole number, 1 <= steps",
    "#race=ravine&steps=9&at=10": "at=10 is out of range; expected a whole number, 0 <= at <= 9.",
    "#race=ravine&Adam.beta1=1": "Adam: beta1=1 is out of range; expected 0 <= beta1 < 1.",
    "#race=ravine&Adam.rho=1": "Adam has no number rho.",
    "#race=ravine&colour=red": "no rule is called colour",
    "#race=ravine&Rprop.step_min=99": "Rprop: step_min=99 is above step_max=50; swap them.",
    "#race=ravine&seed=1&seed=2": "seed stands in it twice.",
    "#race=ravine&rules=%E0%A4%A": "rules=%E0%A4%A cannot be decoded.",
}


def test_a_broken_link_is_refused_with_a_reason():
    found = in_page("return complaint(() => play.fromHash(spec, one));", list(BROKEN))
    for message, why in zip(found, BROKEN.values(), strict=True):
        assert message.startswith(why)


# ---------------------------------------------------------------- what is shown


def test_the_repr_and_the_bundle():
    assert repr(GROUND) == "Playground(playground: 14 rules, 6 objectives)"
    assert isinstance(GROUND, Playground)
    bundle = GROUND._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", WIDGET}
    assert bundle["text/plain"] == repr(GROUND)


def test_html_has_a_labelled_field_for_everything():
    text = html(GROUND)
    labels = re.findall(r'<label for="([^"]+)"', text)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(labels) <= set(ids)
    fields = re.findall(r'<(?:input type="(?:number|range)"|select) id="([^"]+)"', text)
    wanted = {f"race-{rule}-{key}" for rule in EVERY for key in NUMBERS[rule]}
    wanted |= {f"race-{key}" for key in ("objective", "x", "y", "noise", "seed", "steps")}
    assert set(fields) | {"race-at"} == set(labels) == wanted | {"race-at"}
    assert len(re.findall('type="checkbox" name="rule"', text)) == 14
    assert text.count("as eps") == 2
    assert f'alt="{GROUND.race().alt()}"' in text
    data = re.search(r'playground-data">(.*?)</script>', text)[1]
    assert "<" not in data
    payload = json.loads(data)
    assert payload["figure"] == json.loads(json.dumps(SPEC))
    assert set(payload["roots"].values()) == {"race-0", "race-1"}


def test_the_page_has_the_ranges_of_optimlib_and_the_colours_of_the_book():
    drawn = looks(GROUND.race(rules=EVERY).figure())
    for name, rule in SPEC["rules"].items():
        assert rule["colour"] == drawn[name][0]
        assert {n["name"]: n["value"] for n in rule["numbers"]} == NUMBERS[name]
        assert all(n["within"] == within(n["name"]) for n in rule["numbers"])
    assert len(set(drawn.values())) == 14


def test_letters_are_those_of_the_notation():
    assert [_symbol(RULES["Adam"], key) for key in NUMBERS["Adam"]] == ["η", "β₁", "β₂", "ε"]
    assert [_symbol(RULES["Rprop"], key) for key in NUMBERS["Rprop"]][:3] == ["Δ₀", "η₋", "η₊"]
    assert _symbol(RULES["AdaGrad"], "initial") == "G₀"
    for rule in RACING.values():
        for key in NUMBERS[rule.__name__]:
            assert key in {*symbolic._LETTERS, "rho", "initial"}


def test_formulas_are_written_in_plain_letters():
    texts = {name: _text(on) for name, on in OBJECTIVES.items()}
    assert texts["ravine"] == "x²/20 + y²"
    assert texts["absolute"] == "|x|/4 + |y|"
    for name, text in texts.items():
        code = re.sub(r"\|(\w)\|", r"abs(\1)", text.replace("·", "*").replace("−", "-"))
        code = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹]", lambda d: f"**{'⁰¹²³⁴⁵⁶⁷⁸⁹'.index(d[0])}", code)
        at = eval(code, {"x": 0.7, "y": -1.3})
        assert at == pytest.approx(OBJECTIVES[name].value([0.7, -1.3]))


def test_a_picture_is_drawn_up_to_its_step():
    race = GROUND.race("ravine", ["SGD"], steps=20)
    assert picture(race) == picture(race, 20)
    drawn = [imread(BytesIO(picture(race, at))) for at in (0, 5, 20)]
    half = drawn[0].shape[1] // 2
    for side in (slice(0, half), slice(half, None)):  # the map, the losses
        assert len({image[:, side].tobytes() for image in drawn}) == 3
    nothing = [GROUND.race("ravine", ()), GROUND.race("ravine", ["SGD"], start=(0, 0))]
    assert len({picture(race) for race in nothing}) == 2


def test_a_standing_is_a_table():
    rows = table(GROUND.race("ravine", ["SGD", "Adam"], start=(1, -2), steps=5), 0)
    assert rows.count("<tr>") == 3
    assert "<th>SGD</th><td>0.7</td><td>4.05</td><td>(1, −2)</td>" in rows


def test_widgets_follow():
    box = controls(GROUND)
    objective, chosen, factor, x, y, noise, seed, at, reset, image, standing = box.children
    first = image.value
    assert 'alt="Paths on Rosenbrock' in image.value
    assert "<th>Momentum</th>" in standing.value

    def moves(field, value):
        before = image.value
        field.value = value
        assert image.value != before, field.description

    moves(chosen, ("Adam", "Rprop"))
    assert "<th>Momentum</th>" not in standing.value
    moves(factor, 0.1)
    moves(x, -1.0)
    moves(y, 0.5)
    moves(noise, 1)
    moves(seed, 5)
    moves(at, 17)
    moves(at, 350)
    moves(objective, "Beale")
    assert (x.value, y.value) == OBJECTIVES["Beale"].start
    before = image.value
    x.value = float("nan")
    assert "expected two finite numbers" in standing.value
    assert image.value == before
    moves(x, 2.0)
    assert "<table>" in standing.value
    reset.click()
    assert image.value == first
    assert (objective.value, seed.value, at.value) == ("Rosenbrock", 0, TRIAL)
    moves(x, 0.0)


def test_without_ipywidgets_there_is_html(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    assert widget(GROUND) == {}
    assert set(GROUND._repr_mimebundle_()) == {"text/plain", "text/html"}
