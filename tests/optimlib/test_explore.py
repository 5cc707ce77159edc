"""Moving figures: what they compute, and that a page computes the same as `optimlib`."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from optimlib import RULES, SGD, FullAdaGrad, Momentum, minimize
from optimlib.explore import Control, Curves, Map, Plane, Walk, explore, normal
from optimlib.explore.kernel import WIDGET, controls, picture, widget
from optimlib.explore.noise import uniform
from optimlib.explore.page import ENGINE, description, html, looks, script
from optimlib.objectives import OBJECTIVES, ravine
from tests.optimlib import engine

LR = Control("lr", "step size η", 0.01, 1.2, 0.3)


def gap(x):
    return x[0] ** 2 / 20 + x[1] ** 2


def figure(**changes):
    """A figure with a panel of each kind."""
    given = dict(
        name="everything",
        question="What moves? <Everything>",
        alt="A path & a curve",
        controls=[
            LR,
            Control("beta", "momentum β", 0, 0.99, 0.5),
            Control("x0", "start x", -8, 8, -7.0),
            Control("y0", "start y", -3, 3, 2.0),
            Control("seed", "seed", 0, 9, 3, scale="whole"),
            Control("noise", "noise", choices={"none": 0, "some": 0.1}),
            Control("decay", "decay", 0, 1, 0),
        ],
        walks={
            "Momentum": Walk(
                Momentum,
                ravine,
                start=lambda c: (c.x0, c.y0),
                steps=40,
                hyper={"lr": lambda c, t: c.lr / (1 + c.decay * t), "momentum": "beta"},
                noise=lambda c: c.noise,
                seed="seed",
            ),
            "SGD": Walk(SGD, ravine, steps=30, hyper={"lr": "lr"}),
        },
        panels=[
            Plane(ravine, walks=["Momentum"], start=("x0", "y0")),
            Curves(
                {
                    "Momentum": ("Momentum", gap),
                    "SGD": ("SGD", gap),
                    "memory": ("Momentum", lambda s: s.b[0] ** 2 + s.b[1] ** 2),
                    "move": ("Momentum", lambda d, g: (d[0] + g[0]) ** 2),
                    "rate": lambda c, t: c.lr / (1 + t),
                },
                labels=("step t", "gap"),
                log="y",
            ),
            Map("lr", "beta", lambda c: c.lr - c.beta, levels=[0, 0.5], quantity="difference"),
        ],
        readout=[
            ("f is {}, and x is {}.", "Momentum", lambda x: (gap(x), x[0])),
            ("η is {}.", None, lambda c: c.lr),
        ],
    )
    return explore(**given | changes)


def in_page(fig, settings):
    """Compute a figure in JavaScript for each of some settings."""
    return engine.run(
        f"""
        {ENGINE.read_text(encoding="utf-8")}
        const functions = (() => {{ {script(fig)} }})();
        const figure = {json.dumps(description(fig))};
        const all = given.map((c) => {{
          const {{walks, curves, readout}} = SecondMoments.compute(functions, figure, c);
          return {{walks: walks.map((w) => w.x.map((p) => p.map(String))),
            curves: curves.map((k) => [k.x.map(String), k.y.map(String)]), readout}};
        }});
        answer(all);
        """,
        settings,
    )


def floats(nested):
    return np.array(nested, dtype=object).astype(str).astype(float)


# ---------------------------------------------------------------- what is described


def test_values_of_a_control():
    assert Control("a", "a", 0, 1, 0.5, steps=2).values == (0.0, 0.5, 1.0)
    assert Control("a", "a", 0, 1, 0.3, steps=2).values == (0.0, 0.3, 0.5, 1.0)
    assert Control("a", "a", 1, 3, 2, scale="whole").values == (1.0, 2.0, 3.0)
    assert Control("a", "a", 1e-4, 1, 1e-2, scale="log", steps=4).values == (
        (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    )
    choice = Control("a", "a", choices={"off": 0, "on": 1})
    assert (choice.values, choice.texts, choice.initial) == ((0.0, 1.0), ("off", "on"), 0.0)
    assert Control("a", "a", 0, 1, 0.25, steps=4).texts == ("0", "0.25", "0.5", "0.75", "1")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(name="a b"), "must be an identifier"),
        (dict(name="class"), "must be an identifier"),
        (dict(low=1, high=0), "expected low < high"),
        (dict(start=None), "low=0, high=1, start=None"),
        (dict(start=2), "one of its values, from 0.0 to 1.0"),
        (dict(scale="cubic"), "'cubic'; expected 'linear', 'log', 'whole'"),
        (dict(scale="log"), "a log scale needs low > 0"),
        (dict(steps=0), "steps=0; expected"),
        (dict(choices={"on": 1}), "give choices, or the ends of a slider"),
        (dict(low=None, high=None, choices={}), "give choices, or the ends of a slider"),
    ],
)
def test_a_bad_control_is_refused(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Control(**{**dict(name="a", label="a", low=0, high=1, start=0), **given})


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (dict(rule=FullAdaGrad), TypeError, "FullAdaGrad works on vectors"),
        (dict(hyper={"beta": "lr"}), TypeError, "SGD has no hyperparameter 'beta'; it has lr"),
        (dict(hyper={"lr": 0.1}), TypeError, "give it to the rule, SGD(lr=0.1)"),
        (dict(on=lambda x: x), TypeError, "A walk on a formula needs a start"),
        (dict(steps=0), ValueError, "steps=0; expected at least 1"),
        (dict(rule=SGD(lr=lambda t: 0.1)), TypeError, "lr of SGD is a schedule or an array"),
        (dict(rule=SGD(lr=[0.1, 0.2])), TypeError, "lr of SGD is a schedule or an array"),
    ],
)
def test_a_bad_walk_is_refused(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Walk(**{**dict(rule=SGD, on=ravine), **given})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(name="Every Thing"), "expected a slug"),
        (dict(panels=[]), "no panels"),
        (dict(controls=[LR, LR]), "two controls are called 'lr'"),
        (dict(panels=[Plane(ravine, walks=["Adam"])]), "no walk is called 'Adam'; there is Mom"),
        (dict(panels=[Plane(ravine, start=("x", "y0"))]), "no control is called 'x'"),
        (dict(panels=[Map("lr", "rho", lambda c: c.lr, [0], "q")]), "no control is called 'rho'"),
        (dict(panels=[Curves({"a": ("b", gap)}, ("", ""))]), "no walk is called 'b'"),
        (dict(readout=[("{}", "b", gap)]), "no walk is called 'b'"),
        (
            dict(walks=figure().walks | {"A": Walk(SGD, ravine, hyper={"lr": "eta"})}),
            "'eta'; there",
        ),
        (dict(walks=figure().walks | {"A": Walk(SGD, ravine, seed="dice")}), "'dice'; there is lr"),
        (dict(controls=[*figure().controls, Control("idle", "i", 0, 1, 0)]), "'idle' moves noth"),
    ],
)
def test_a_figure_that_cannot_work_is_refused(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        figure(**changes)


def test_a_formula_with_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match=r"asks for w; a formula may ask for xp, c, t, x"):
        figure(readout=[("{}", "SGD", lambda w: w)])


def test_what_is_computed_is_what_optimlib_computes():
    drawn = figure().compute(lr=0.5)
    expected = minimize(ravine, SGD(lr=0.5), steps=30)
    assert (drawn.walks["SGD"].x == expected.path).all()
    assert (drawn.curves[1]["SGD"][1] == expected.value).all()
    own = minimize(ravine, Momentum(lr=0.5, momentum=0.5), steps=40)
    assert (drawn.walks["Momentum"].x == own.path).all()
    assert drawn.readout == (
        f"f is {own.value[-1]:.3g}, and x is {own.x[0]:.3g}.".replace("-", "−"),
        "η is 0.5.",
    )
    t, moved = drawn.curves[1]["move"]
    assert t[0] == 1
    np.testing.assert_array_equal(moved, (np.diff(own.path[:, 0]) + own.path[:-1, 0] / 10) ** 2)
    memory = drawn.walks["Momentum"].s["b"]
    np.testing.assert_array_equal(drawn.curves[1]["memory"][1], (memory**2).sum(axis=1))
    assert [len(c) for c in drawn.curves] == [0, 5, 0]


def test_a_control_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="everything has no control eta; it has lr, beta"):
        figure().compute(eta=1)


def test_a_schedule_and_noise_move_the_walk():
    still = figure().compute().walks["Momentum"].x
    assert (figure().compute(decay=0.1).walks["Momentum"].x != still).any()
    noisy = figure().compute(noise=0.1).walks["Momentum"]
    assert (noisy.x != still).any()
    other = figure().compute(noise=0.1, seed=4).walks["Momentum"].x
    assert (noisy.x[1:] != other[1:]).all()
    expected = noisy.x[:-1] * [0.1, 2] + 0.1 * normal(3, np.arange(1, 41), 2)
    np.testing.assert_allclose(noisy.g, expected, rtol=1e-15)


def test_bounds_clip_each_iterate():
    walk = Walk(SGD(lr=1.0), lambda t: (-1.0,), start=(0.0,), steps=3, bounds=(-1, 2))
    fig = explore(
        "bounds",
        "?",
        alt="a",
        controls=[],
        walks={"SGD": walk},
        panels=[Curves({"SGD": ("SGD", lambda x: x[0])}, ("t", "x"))],
    )
    assert fig.compute().walks["SGD"].x.ravel().tolist() == [0, 1, 2, 2]
    assert in_page(fig, [{}])[0]["walks"][0] == [["0"], ["1"], ["2"], ["2"]]


# ---------------------------------------------------------------- the page's twin


def test_noise_is_the_same_number_for_number():
    seeds = [0, 1, 2, 12345, 2**32 - 1]
    found = engine.run(
        f"""{ENGINE.read_text(encoding="utf-8")}
        answer(given.map((seed) => Array.from({{length: 200}}, (_, n) =>
          [SecondMoments.uniform(seed, n), ...SecondMoments.normal(seed, n + 1, 2)])));""",
        seeds,
    )
    for seed, rows in zip(seeds, np.array(found), strict=True):
        assert (rows[:, 0] == uniform(seed, np.arange(200))).all()
        np.testing.assert_allclose(rows[:, 1:], normal(seed, np.arange(1, 201), 2), rtol=1e-12)


def test_noise_is_normal():
    z = normal(5, np.arange(1, 200_001), 2)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 0.01
    assert abs((z[:, 0] * z[:, 1]).mean()) < 0.01
    assert abs((z[1:] * z[:-1]).mean()) < 0.01
    assert abs((z**4).mean() - 3) < 0.05
    assert abs((normal(5, np.arange(1, 10_001), 1) * normal(6, np.arange(1, 10_001), 1)).mean()) < (
        0.04
    )


def test_the_page_draws_what_the_kernel_draws():
    fig = figure()
    rng = np.random.default_rng(0)
    settings = [{c.name: float(rng.choice(c.values[:60])) for c in fig.controls} for _ in range(8)]
    for given, found in zip(settings, in_page(fig, settings), strict=True):
        drawn = fig.compute(**given)
        for path, walk in zip(found["walks"], drawn.walks.values(), strict=True):
            np.testing.assert_allclose(floats(path), walk.x, rtol=1e-11, atol=1e-14)
        curves = [pair for panel in drawn.curves for pair in panel.values()]
        for got, expected in zip(found["curves"], curves, strict=True):
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_allclose(floats(a), b, rtol=1e-9, atol=1e-14)
        assert tuple(found["readout"]) == drawn.readout


def test_numbers_are_written_alike():
    values = [0, 1, -2, 0.125, 1 / 3, 12345, 99_999, 1e5, -1e-4, 9.9e-5, -1.005e-7, 1e300, 1e-300]
    values += [0.00010049, 100, 999.5]
    fig = explore(
        "numbers",
        "?",
        alt="a",
        controls=[Control("v", "v", choices={str(v): v for v in values})],
        panels=[Curves({"a": lambda t: t}, ("t", "a"))],
        readout=[("{} and {} and {}", None, lambda c: (c.v, -c.v, c.v - c.v))],
    )
    found = in_page(fig, [{"v": v} for v in values])
    for v, shown in zip(values, found, strict=True):
        assert tuple(shown["readout"]) == fig.compute(v=v).readout
    assert fig.compute(v=1e5).readout == ("1.00e5 and −1.00e5 and 0",)


def test_every_function_of_a_formula_means_the_same_in_both_places():
    formulas = {
        "exp": lambda xp, t: xp.exp(-t / 10),
        "log": lambda xp, t: xp.log(t + 1),
        "cos": lambda xp, t: xp.cos(t) + xp.sin(t),
        "mod": lambda xp, t: xp.mod(t, 3),
        "equal": lambda xp, t: xp.where(xp.equal(xp.mod(t, 3), 1), 5, -1),
        "less": lambda xp, t: xp.where(t < 4, xp.sqrt(t), xp.where(t < 7, xp.abs(3 - t), 0.1)),
        "max": lambda xp, t: xp.maximum(xp.minimum(t, 5), 2) * xp.sign(t - 3),
        "power": lambda c, t: c.lr**t / (1 - c.lr ** (t + 1)),
        "pair": lambda t: (t / 2, t**2),
    }
    fig = explore(
        "functions", "?", alt="a", controls=[LR], panels=[Curves(formulas, ("t", "y"), steps=12)]
    )
    drawn = fig.compute(lr=0.7).curves[0]
    (found,) = in_page(fig, [{"lr": 0.7}])
    for (x, y), (name, (u, v)) in zip(found["curves"], drawn.items(), strict=True):
        np.testing.assert_allclose(floats(x), u, rtol=1e-15, err_msg=name)
        np.testing.assert_allclose(floats(y), v, rtol=1e-14, atol=1e-16, err_msg=name)
    assert drawn["pair"][0].tolist() == [t / 2 for t in range(13)]


SCALARS = {
    "lr": (1e-3, 0.1),
    "eps": (1e-10, 1e-2),
    "momentum": (0.1, 0.95),
    "dampening": (0.0, 0.5),
    "rho": (0.5, 0.999),
    "beta1": (0.1, 0.95),
    "beta2": (0.5, 0.9999),
    "weight_decay": (0.0, 0.1),
    "eta_minus": (0.3, 0.8),
    "eta_plus": (1.05, 1.5),
    "step_min": (1e-6, 1e-4),
    "step_max": (0.5, 5.0),
    "initial": (0.0, 1.0),
    "lr_decay": (0.0, 0.1),
    "eps_x": (1e-8, 1e-2),
    "momentum_decay": (1e-3, 1e-2),
}
ELEMENTWISE = [name for name, rule in RULES.items() if rule.elementwise]


def with_every_number(name, on, steps, lr=None):
    """A figure of one walk, with a control for each number of its rule and for the start."""
    rule = RULES[name]
    numbers = {
        key: SCALARS[key] for key, value in rule.defaults.items() if not isinstance(value, bool)
    }
    if lr is not None:
        numbers["lr"] = lr
    names = [Control(key, key, low, high, high, steps=1000) for key, (low, high) in numbers.items()]
    (x_low, x_high), (y_low, y_high) = getattr(on, "view", ((-5, 5), (-5, 5)))
    names += [
        Control("x0", "x0", x_low, x_high, x_low, steps=1000),
        Control("y0", "y0", y_low, y_high, y_low, steps=1000),
    ]
    walk = Walk(
        rule,
        on,
        start=lambda c: (c.x0, c.y0),
        steps=steps,
        hyper={key: key for key in numbers},
    )
    return explore(
        f"rule-{name.lower()}",
        "?",
        alt="a",
        controls=names,
        walks={name: walk},
        panels=[Curves({name: (name, lambda x: x[0])}, ("t", "x"))],
    )


def drawn_at_random(fig, count, seed):
    rng = np.random.default_rng(seed)
    return [{c.name: float(rng.choice(c.values)) for c in fig.controls} for _ in range(count)]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_fed_the_same_gradients_500_updates_are_equal(name):
    def stream(xp, t, z):
        return (3 * z[0] * xp.cos(t / 50), 0.01 * z[1])

    fig = with_every_number(name, stream, 500)
    settings = drawn_at_random(fig, 10, 1)
    for given, found in zip(settings, in_page(fig, settings), strict=True):
        x = fig.compute(**given).walks[name].x
        moves, expected = np.diff(floats(found["walks"][0]), axis=0), np.diff(x, axis=0)
        assert np.isfinite(expected).all()
        scale = np.maximum(np.abs(expected), np.abs(x[1:]))
        assert (np.abs(moves - expected) / scale).max() < 1e-12


# The largest step size that is still a sensible one: beyond it runs explode or jump about.
SENSIBLE = {"SGD": 0.3, "Momentum": 0.05, "Nesterov": 0.05, "AdaDelta": 1, "AdaDeltaMomentum": 0.5}
STEEP = {"Rosenbrock": 1e-3, "Beale": 1e-2, "Himmelblau": 1e-2}
PLAIN = {"SGD", "Momentum", "Nesterov"}

# A rule whose steps keep their length near a minimiser amplifies rounding there: which side of it
# an iterate is on decides where the next one goes. How far a change in the last digit would be
# carried is measured: gradients are taken at points that are off by a part in 10^12, and where the
# path changes by more than 10^-7 because of that, rounding, which is 10^4 times smaller, may have
# changed it by more than 10^-11. There the comparison ends.
OFF, CARRIED = 1e-12, 1e-7
#: These never amplify: with them every path is compared to its end.
CALM = {"SGD", "Momentum", "Nesterov", "Rprop"}


def stretch(fig, name, given, path):
    """Return how many iterates of a path do not depend on rounding."""
    walk = fig.walks[name]

    def beside(xp, x, z):
        near = tuple(xi * (1 + OFF * zi) + OFF * zi for xi, zi in zip(x, z, strict=True))
        return walk.on.partials(xp, *near)

    end = len(path)
    for seed in range(3):
        other = replace(walk, on=beside, seed=seed).take(fig.values(**given)).x
        with np.errstate(invalid="ignore"):
            apart = ~(np.abs(other - path).max(axis=1) < CARRIED)
        end = min(end, int(np.argmax(apart)) if apart.any() else end)
    return end


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_running_free_the_paths_agree(name, objective):
    high = SENSIBLE.get(name, 0.3) * (STEEP.get(objective.name, 1) if name in PLAIN else 1)
    fig = with_every_number(name, objective, 500, lr=(high / 100, high))
    settings = drawn_at_random(fig, 4, 2)
    cut = []
    for given, found in zip(settings, in_page(fig, settings), strict=True):
        x = fig.compute(**given).walks[name].x
        path = floats(found["walks"][0])
        end = stretch(fig, name, given, x)
        cut += [end] if end < len(x) else []
        scale = np.maximum(np.abs(x[:end]), 1)
        assert (np.abs(path[:end] - x[:end]) / scale).max() < 1e-8, (given, end)
    assert min(cut, default=500) > 20
    assert not (cut and name in CALM)


# ---------------------------------------------------------------- what is shown


def test_the_repr_is_stable_and_tells_the_settings():
    assert repr(figure()).startswith("Explorable(everything: lr=0.3, beta=0.5, x0=-7")


def test_the_bundle_offers_widgets_and_html():
    bundle = figure()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", WIDGET}
    assert bundle["text/plain"] == repr(figure())


def test_without_ipywidgets_there_is_html(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    assert widget(figure()) == {}
    assert set(figure()._repr_mimebundle_()) == {"text/plain", "text/html"}


def test_html_has_a_field_with_a_label_for_every_control():
    text = html(figure())
    for control in figure().controls:
        assert f'for="explore-everything-{control.name}"' in text
        assert f'id="explore-everything-{control.name}"' in text
    assert "What moves? &lt;Everything&gt;" in text
    assert 'alt="A path &amp; a curve"' in text
    assert text.count("data-root-id") == 3
    assert re.findall(r"</svg>(below 0|0 to 0.5|from 0.5)<", text) == [
        "below 0",
        "0 to 0.5",
        "from 0.5",
    ]
    assert "<li>difference:</li>" in text
    assert text.count("explorable-pad") == 2
    assert '<option value="0" selected>none</option>' in text
    data = re.search(r'explorable-data">(.*?)</script>', text)[1]
    assert "<" not in data
    assert json.loads(data)["figure"] == json.loads(json.dumps(description(figure())))


def test_colours_are_the_rules_own_and_never_the_same_twice():
    drawn = looks(figure())
    assert drawn["Momentum"] == ("#D98E00", "-")
    assert len(set(drawn.values())) == len(drawn)


def test_a_picture_follows_the_controls():
    assert picture(figure()) == picture(figure())
    assert picture(figure()) != picture(figure(), lr=0.31)
    assert picture(figure()).startswith(b"\x89PNG")


def test_widgets_follow_and_reset():
    box = controls(figure())
    _, *fields, reset, image, said = box.children
    first, words = image.value, said.value
    assert 'alt="A path &amp; a curve"' in first
    for field in reversed(fields):  # the seed matters only once there is noise
        before = image.value
        field.value = next(v for _, v in list(field.options)[::-1] if v != field.value)
        assert image.value != before, field.description
    reset.click()
    assert image.value == first
    assert said.value == words
    fields[0].index += 1
    assert image.value != first


def test_a_turned_plane_and_a_map_on_log_scales():
    def turned(c, x):
        return (x[0] + c.turn * x[1]) ** 2 / 20 + x[1] ** 2

    fig = explore(
        "turned",
        "?",
        alt="a",
        controls=[
            Control("turn", "turn", -1, 1, 0),
            Control("lr", "η", 0.01, 1, 0.1, scale="log"),
            Control("tail", "1 − β", 0.01, 1, 0.1, scale="log"),
        ],
        walks={
            "slow": Walk(SGD(lr=0.01), ravine, steps=20),
            "fast": Walk(SGD(lr=0.01), ravine, steps=20, noise=0.1),
            "unseen": Walk(SGD, ravine, steps=5, hyper={"lr": "lr"}),
        },
        panels=[
            Plane(turned, walks=["slow", "fast"], view=((-8, 8), (-3, 3))),
            Map("lr", "tail", lambda c: c.lr / c.tail, levels=[0.1, 1, 10], quantity="ratio"),
        ],
        readout=[("{}", "unseen", lambda x: x[0])],
    )
    assert script(fig).count("function rule") == 4  # two walks share the first rule
    assert picture(fig) != picture(fig, turn=1)
    assert "unseen" not in re.search(r"<ul.*</ul>", html(fig))[0]
    grid = json.loads(json.dumps(description(fig)))["panels"]
    assert [panel["kind"] for panel in grid] == ["plane", "map"]
    assert not grid[0]["fixed"]


def test_axes_may_be_logarithmic_one_by_one():
    pictures = set()
    for log in ("", "x", "y", "xy"):
        curves = Curves({"a": lambda c, t: c.lr / (1 + t)}, ("t", "a"), log=log)
        pictures.add(picture(explore("log", "?", alt="a", controls=[LR], panels=[curves])))
    assert len(pictures) == 4


def test_diverging_walks_are_drawn_as_far_as_they_go():
    fig = explore(
        "explode",
        "?",
        alt="a",
        controls=[Control("lr", "η", 0.1, 50, 0.1)],
        walks={"SGD": Walk(SGD, ravine, steps=400, hyper={"lr": "lr"})},
        panels=[
            Plane(ravine),
            Curves({"SGD": ("SGD", gap)}, ("t", "f"), log="xy", x=(1, 400), y=(1e-3, 1e3)),
        ],
    )
    assert not np.isfinite(fig.compute(lr=50).walks["SGD"].x).all()
    assert picture(fig, lr=50) != picture(fig)
    x = floats(in_page(fig, [{"lr": 50}])[0]["walks"][0])
    assert (
        np.isfinite(x).all(axis=1).sum()
        == np.isfinite(fig.compute(lr=50).walks["SGD"].x).all(axis=1).sum()
    )
