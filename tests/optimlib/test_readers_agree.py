"""One rule, five readers: NumPy, SymPy, the compiled loop, JavaScript and quantities with units."""

import itertools

import numpy as np
import pytest
import sympy
from mpmath import mp

from optimlib import RULES, AdaGrad, FullAdaGrad, javascript, symbolic, units
from optimlib.compiled import compiled
from tests.optimlib import engine

STEPS, COORDINATES = 24, 8
TOLERANCE = 1e-12

# Far from the defaults and from one another.
NUMBERS = {
    "lr": 0.03,
    "momentum": 0.6,
    "dampening": 0.3,
    "weight_decay": 0.2,
    "eta_minus": 0.3,
    "eta_plus": 1.7,
    "step_min": 0.02,
    "step_max": 0.5,
    "rho": 0.7,
    "eps": 1e-3,
    "eps_x": 1e-2,
    "initial": 0.1,
    "lr_decay": 0.2,
    "beta1": 0.8,
    "beta2": 0.95,
    "momentum_decay": 0.5,
}
SPECIAL = {"Nadam": [{"momentum_decay": float("inf")}]}


def cases():
    """Yield each rule with all its options, its optional terms left out and put in."""
    for name, rule in RULES.items():
        if not rule.elementwise:
            continue
        switches = [key for key, value in rule.defaults.items() if isinstance(value, bool)]
        numbers = [key for key in rule.defaults if key not in switches]
        terms = {key: NUMBERS[key] for key in numbers if not rule.defaults[key]}
        always = {key: NUMBERS[key] for key in numbers if key not in terms}
        for values in itertools.product([False, True], repeat=len(switches)):
            options = dict(zip(switches, values, strict=True))
            for chosen in [{}, terms] if terms else [{}]:
                yield name, always | options | chosen
        for special in SPECIAL.get(name, []):
            yield name, always | special


CASES = list(cases())
IDS = [
    "-".join(
        [name, *(k for k, v in given.items() if v is True or (v and k in ("initial", "eps_x")))]
    )
    for name, given in CASES
]
every_case = pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)


def stream():
    """Return a start and gradients: scales from 1e-3 to 1e2, zeros, flips, and one always zero."""
    rng = np.random.default_rng(8)
    g = rng.normal(size=(STEPS, COORDINATES)) * np.geomspace(1e-3, 1e2, COORDINATES)
    g[rng.random(g.shape) < 0.1] = 0.0
    g[:, 0] = 0.0
    g[:, 1] = np.abs(g[:, 1])
    g[:, 2] = np.abs(g[:, 2]) * (-1.0) ** np.arange(STEPS)
    return rng.normal(size=COORDINATES), g


X0, GRADIENTS = stream()


def built(case):
    name, given = CASES[case]
    return RULES[name](**given)


def walk(opt, x=X0, gradients=GRADIENTS, **options):
    path = []
    for g in gradients:
        x = opt.step(x, g, **options)
        path.append(x.copy())
    return np.array(path)


def assert_agree(path, expected):
    error = np.abs(np.asarray(path, dtype=float) - expected)
    allowed = TOLERANCE * np.maximum(1, np.abs(expected))
    assert error.shape == expected.shape
    assert np.all(error <= allowed), f"off by {np.max(error / allowed):.3g} times the tolerance"


def test_cases_cover_every_option_and_every_optional_term():
    for name, rule in RULES.items():
        if rule.elementwise:
            given = [options for rule_name, options in CASES if rule_name == name]
            for key, default in rule.defaults.items():
                seen = {options.get(key, default) for options in given}
                assert seen >= {True, False} if isinstance(default, bool) else seen - {default}, key


# ---------------------------------------------------------------- SymPy


@every_case
def test_exact_expressions_in_30_digits(case):
    name, given = CASES[case]
    # Options choose the form, and zeros leave their terms out; the numbers are put in below.
    step = symbolic.expression(RULES[name](**given))
    slots = [*step.memory]
    keys = [key for key in step.symbols if key not in (*slots, "x", "g", "t")]
    arguments = [step.symbols[key] for key in ("t", "x", "g", *slots, *keys)]
    results = [step.x, *step.memory.values()]
    function = sympy.lambdify(arguments, results, modules="mpmath", cse=True)
    opt = RULES[name](**given)
    starts = opt.active_slots() | opt.scalars
    assert [*starts] == slots
    with mp.workdps(30):
        hyper = {key: mp.mpf(getattr(opt, key)) for key in keys}
        path = []
        first = [getattr(opt, s) if isinstance(s, str) else s for s in starts.values()]
        memory = [[mp.mpf(value) for value in first] for _ in X0]
        x = [mp.mpf(v) for v in X0]
        for t, g in enumerate(GRADIENTS, start=1):
            for i in range(COORDINATES):
                x[i], *memory[i] = function(t, x[i], mp.mpf(g[i]), *memory[i], *hyper.values())
            path.append([float(v) for v in x])
    assert_agree(path, walk(opt))


def test_unrolled_from_the_start_with_exact_numbers():
    opt = RULES["Nadam"](lr=0.25, beta1=0.5, beta2=0.75, eps=0.125, momentum_decay=1.0)
    g = [3.0, -0.5, 0.0, 2.0]
    exact = symbolic.unroll(
        opt, 4, [sympy.Rational(v) for v in g], x0=1,
        lr=0.25, beta1=0.5, beta2=0.75, eps=0.125, momentum_decay=1,
    )  # fmt: skip
    path = walk(opt, np.array([1.0]), np.array(g)[:, None])
    assert_agree([[float(x.evalf(30))] for x in exact.x[1:]], path)


# ---------------------------------------------------------------- compiled loop


@every_case
def test_compiled_loop(case):
    assert_agree(walk(compiled(built(case))), walk(built(case)))


# ---------------------------------------------------------------- JavaScript


RUN = """
const [x0, gradients, hypers] = given;
answer(rules.map(([step, start], i) => {
  const h = hypers[i];
  const memory = x0.map(() => start(h));
  const x = [...x0];
  return gradients.map((g, t) => {
    for (let j = 0; j < x.length; j++) {
      const next = step(t + 1, x[j], g[j], memory[j], h);
      x[j] = next.x;
      memory[j] = next.s;
    }
    return [...x];
  });
}));
"""


def in_javascript(rules, x0, gradients):
    """Return the paths of optimizers, all run in one process."""
    printed, hypers = [], []
    for opt in rules:
        step, start = javascript.source(opt, name="step"), javascript.start(opt, name="start")
        printed.append(f"(() => {{\n{step}\n{start}\nreturn [step, start];\n}})()")
        values = {key: getattr(opt, key) for key in opt.defaults}
        hypers.append({k: "Infinity" if v == np.inf else v for k, v in values.items()})
    script = f"const rules = [{', '.join(printed)}];\n{RUN}"
    return np.array(engine.run(script, [x0.tolist(), gradients.tolist(), hypers]))


@pytest.fixture(scope="module")
def javascript_paths():
    return in_javascript([built(case) for case in range(len(CASES))], X0, GRADIENTS)


@every_case
def test_javascript_in_a_real_engine(case, javascript_paths):
    path = walk(built(case))
    assert_agree(javascript_paths[case], path)
    if "Math.pow" not in javascript.source(built(case)):
        np.testing.assert_array_equal(javascript_paths[case], path)


# ---------------------------------------------------------------- quantities with units


def with_units(name, given):
    """Return the hyperparameters with the units that make the rule consistent; x in m, f in J."""
    per_x = "m**2/J" if name in ("SGD", "Momentum", "Nesterov") else "m"
    squared = given.get("eps_inside") or name.startswith("AdaDelta")
    decay = "1/m" if name == "AdamW" else "J/m**2"
    unit = {
        "lr": "" if name.startswith("AdaDelta") else per_x,
        "eps": "J**2/m**2" if squared else "J/m",
        "eps_x": "m**2",
        "initial": "J**2/m**2",
        "step_min": "m",
        "step_max": "m",
        "weight_decay": "" if given.get("decay_times_lr") is False else decay,
    }
    return {
        key: units.registry.Quantity(value, unit[key]) if key in unit else value
        for key, value in given.items()
    }


@every_case
def test_quantities_with_units(case):
    name, given = CASES[case]
    if name.startswith("AdaDelta"):
        given = given | {"eps_x": NUMBERS["eps_x"]}  # one shared eps is inconsistent
    hyper = with_units(name, given)
    gradients = units.registry.Quantity(GRADIENTS, "J/m")
    path = units.walk(RULES[name], units.registry.Quantity(X0, "m"), gradients, **hyper)
    assert_agree([x.m_as("m") for x in path[1:]], walk(RULES[name](**given)))


# ---------------------------------------------------------------- eps = 0


def without_eps():
    yield from (r(eps=0.0) for r in RULES.values() if r.elementwise and "eps" in r.defaults)
    yield RULES["RMSProp"](eps=0.0, momentum=0.5)
    yield RULES["AdaDelta"](eps=0.0, eps_x=0.1)


def test_without_eps_a_term_that_is_zero_over_zero_counts_as_zero():
    gradients = np.zeros((6, COORDINATES))
    gradients[2:, 1:3] = [3.0, -1.0]
    paths = [walk(opt, X0, gradients) for opt in without_eps()]
    assert np.isfinite(paths).all()
    for opt, path in zip(without_eps(), paths, strict=True):
        np.testing.assert_array_equal(walk(compiled(opt), X0, gradients), path)
    for path, expected in zip(in_javascript(without_eps(), X0, gradients), paths, strict=True):
        assert_agree(path, expected)


# ---------------------------------------------------------------- the matrix form


def test_the_closed_form_of_the_root_of_a_2x2_matrix():
    a, b, c = sympy.symbols("a b c", real=True)
    matrix = sympy.Matrix([[a, b], [b, c]])
    delta = sympy.Symbol("delta", positive=True)  # the root of the determinant
    tau = sympy.sqrt(matrix.trace() + 2 * delta)
    root = (matrix + delta * sympy.eye(2)) / tau
    difference = (root * root - matrix).subs(delta**2, matrix.det()).applyfunc(sympy.simplify)
    for entry in difference:
        numerator = sympy.expand(sympy.numer(sympy.together(entry)))
        assert sympy.expand(numerator.subs(b**2, a * c - delta**2)) == 0
    # It has no negative eigenvalue, so it is the root that the rule means: trace and determinant.
    assert sympy.simplify(root.trace() - tau) == 0
    det = sympy.expand(root.det() * tau**2).subs(b**2, a * c - delta**2)
    assert sympy.simplify(det - delta * tau**2) == 0


def test_the_matrix_form_on_symbols_solves_its_equation():
    eps = sympy.Symbol("varepsilon", positive=True)
    a, b, c = sympy.symbols("a b c", positive=True)
    v = sympy.Matrix(sympy.symbols("v_1 v_2", real=True))
    # L L^T with this L is every positive definite 2x2 matrix.
    factor = sympy.Matrix([[a, 0], [b, c]])
    matrix = factor * factor.T
    solution = symbolic.namespace.inverse_root(matrix, eps)(v)
    tau = sympy.sqrt(matrix.trace() + 2 * a * c)
    root = (matrix + a * c * sympy.eye(2)) / tau
    residual = ((root + eps * sympy.eye(2)) * solution - v).applyfunc(sympy.simplify)
    assert residual == sympy.zeros(2, 1)


@pytest.mark.parametrize("eps", [0, sympy.Symbol("varepsilon", positive=True)])
def test_the_first_step_of_the_matrix_form_is_along_the_gradient(eps):
    given = symbolic.unroll(FullAdaGrad, 1, size=2, eps=eps)
    (g,) = given.g
    norm = sympy.sqrt(g.dot(g))
    expected = given.symbols["lr"] * g / (norm + eps)
    assert (given.update[0] - expected).applyfunc(sympy.simplify) == sympy.zeros(2, 1)
    if eps:
        # The pseudo-inverse agrees with the inverse where the inverse is meant: on g itself.
        root = g * g.T / norm
        residual = (root + eps * sympy.eye(2)) * given.update[0] - given.symbols["lr"] * g
        assert residual.applyfunc(sympy.simplify) == sympy.zeros(2, 1)


def test_a_matrix_form_that_saw_no_gradient_stays():
    zero = sympy.zeros(2, 1)
    assert (
        symbolic.unroll(FullAdaGrad, 2, [zero, zero], size=2, eps=0).x[2]
        == (symbolic.unroll(FullAdaGrad, 0, size=2).x[0])
    )


@pytest.mark.parametrize("size", [1, 2])
def test_exact_matrix_form_equals_numpy(size):
    rng = np.random.default_rng(5)
    g = rng.integers(-8, 9, size=(20, size)) / 8
    g[3] = 0.0
    given = dict(lr=0.25, eps=0.125)
    exact = symbolic.unroll(
        FullAdaGrad, 20, [sympy.Matrix(row.tolist()) for row in g],
        x0=sympy.zeros(size, 1), size=size, **given,
    )  # fmt: skip
    path = walk(FullAdaGrad(**given), np.zeros(size), g)
    assert_agree([[float(v) for v in x.evalf(30)] for x in exact.x[1:]], path)


def test_the_matrix_form_on_larger_matrices_by_singular_values():
    g = np.random.default_rng(6).normal(size=(20, 7)) * np.geomspace(1e-1, 10, 7)
    opt, x, expected = FullAdaGrad(lr=0.3, eps=1e-2), np.zeros(7), []
    for t in range(1, 21):
        # G = A A^T with the gradients as columns of A = U S V^T, so its root is U S U^T.
        u, s, _ = np.linalg.svd(g[:t].T, full_matrices=False)
        x = x - 0.3 * u @ ((u.T @ g[t - 1]) / (s + 1e-2))
        expected.append(x)
    assert_agree(walk(opt, np.zeros(7), g), np.array(expected))


def test_the_matrix_form_on_larger_matrices_by_the_schur_root():
    from scipy.linalg import solve, sqrtm

    g = np.random.default_rng(7).normal(size=(30, 6))
    opt, x, total = FullAdaGrad(lr=0.3, eps=0.1), np.zeros(6), np.zeros((6, 6))
    for t, row in enumerate(g, start=1):
        before, x, total = x, opt.step(x, row), total + np.outer(row, row)
        if t > 6:  # until then the matrix is singular, and its root by this method inexact
            move = 0.3 * solve(sqrtm(total) + 0.1 * np.eye(6), row, assume_a="pos")
            assert_agree(before - x, move)


def test_the_matrix_form_is_adagrad_where_gradients_lie_along_the_axes():
    rng = np.random.default_rng(8)
    g = np.zeros((40, 5))
    g[np.arange(40), rng.integers(0, 5, 40)] = rng.normal(size=40) * 10.0 ** rng.integers(-3, 3, 40)
    matrix, diagonal = (rule(lr=0.3, eps=1e-3) for rule in (FullAdaGrad, AdaGrad))
    assert_agree(walk(matrix, np.ones(5), g), walk(diagonal, np.ones(5), g))


def test_the_matrix_form_turns_with_the_axes_and_the_diagonal_form_does_not():
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    g = np.random.default_rng(9).normal(size=(20, 2)) * [1, 10]
    straight, turned = (walk(FullAdaGrad(lr=0.3), np.zeros(2), h) for h in (g, g @ turn.T))
    assert_agree(turned, straight @ turn.T)
    straight, turned = (walk(AdaGrad(lr=0.3), np.zeros(2), h) for h in (g, g @ turn.T))
    assert np.abs(turned - straight @ turn.T).max() > 0.1


def test_the_matrix_form_with_units():
    hyper = dict(lr="0.3 m", eps="0.01 J/m")
    g = np.random.default_rng(10).normal(size=(20, 4))
    path = units.walk(
        FullAdaGrad,
        units.registry.Quantity(np.ones(4), "m"),
        units.registry.Quantity(g, "J/m"),
        **hyper,
    )
    assert_agree(
        [x.m_as("m") for x in path[1:]], walk(FullAdaGrad(lr=0.3, eps=0.01), np.ones(4), g)
    )
