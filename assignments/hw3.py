"""AdaDelta and units."""

from grading import P

WITHHELD = ["AdaDelta", "AdaDeltaMomentum"]


def parameters(draw):
    """Return what differs between two courses."""
    return {
        "rho_shown": draw.choice(0.55, 0.75, 0.85),
        "shown": draw.signed(3, 1.0, 5.0, 1),
        "eps_shown": draw.choice(0.5, 1.0, 2.0),
        "eps_x_shown": draw.choice(0.04, 0.1, 0.25),
        "rho": draw.choice(0.6, 0.7, 0.8),
        "rho_x": draw.choice(0.3, 0.9, 0.95),
        "table": [draw.signed(2, 0.5, 4.0) for _ in range(5)],
        "gap": draw.signed(3, 0.5, 4.0),
        "faint": draw.signed(7, 1.0, 9.0, 1),
        "long": draw.signed(30, 0.2, 3.0),
        "seed": draw.number(0.1, 0.9),
        "size": draw.number(0.2, 5.0),
        "t_shown": draw.integer(2, 4),
        "late": draw.integer(8, 15),
        "before": draw.integer(3, 7),
        "quiet": draw.integer(4, 9),
        "halves": [draw.integer(-7, 7) for _ in range(9)],
        "p": draw.choice("1/8", "1/4", "3/8", "5/8"),
        "mended": draw.signed(3, 0.5, 5.0, 1),
        "stream": draw.signed(5, 0.5, 4.0),
        "silence": draw.integer(40, 70),
    }


# %% [markdown]
r"""
# Assignment 3: AdaDelta and units

You need the chapter *AdaDelta*. The exercises `ex-adadelta-walk` and `ex-adadelta-inside` use the
slope of task 2, `ex-adadelta-units` the units of task 3, and `ex-adadelta-bugs` is a first practice
for task 4. Plan 110 minutes: 15 for task 1, 30 for task 2, 25 for task 3, and 20 each for tasks 4
and 5.
"""

# %% given imports
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

# %% teacher reference
from optimlib import AdaDelta
from optimlib.units import registry


def updates(gradients, rho, eps, eps_x):
    """Return what the package subtracts at each step."""
    opt = AdaDelta(rho=rho, eps=eps, eps_x=eps_x)
    return np.array([-opt.step(np.zeros_like(g), g) for g in np.asarray(gradients, dtype=float)])


def by_weights(gradients, rho, rho_x, eps, eps_x, first=0.0):
    """Return the steps, every mean taken from its weights, without a recursion."""
    g = np.asarray(gradients, dtype=float)
    d = np.zeros_like(g)
    for n in range(len(g)):
        ages = np.arange(n, -1, -1)
        v = np.tensordot((1 - rho) * rho**ages, g[: n + 1] ** 2, 1)
        weights = (1 - rho_x) * rho_x ** ages[1:]
        D = first * rho_x**n + np.tensordot(weights, d[:n] ** 2, 1)
        d[n] = np.sqrt((D + eps_x) / (v + eps)) * g[n]
    return d


def powers(quantity):
    """Return the powers of metre and second in a unit."""
    found = quantity.dimensionality
    return [found.get("[length]", 0), found.get("[time]", 0)]


X, F = registry("1 m"), registry("1 s")

# %% [markdown]
r"""
## 1 AdaDelta with two memories and a seed

AdaDelta keeps two means of squares and gives both the decay rate $\rho$. Let $D$ have its own,
$\rho_x$, and let it start at any $D_0 \ge 0$; $v_0 = 0$ as always:

$$
\begin{aligned}
v_t &= \rho\, v_{t-1} + (1-\rho)\, g_t^2, \\
d_t &= \frac{\sqrt{D_{t-1} + \varepsilon_x}}{\sqrt{v_t + \varepsilon}}\; g_t, \\
D_t &= \rho_x D_{t-1} + (1-\rho_x)\, d_t^2 .
\end{aligned}
$$

Write it as one function of all gradients that returns $d_1, \dots, d_T$: what is *subtracted* from
$x$ at each step, with $\eta = 1$. A gradient is a number or an array; `gradients[0]` is $g_1$.
"""


# %% answer adadelta
def adadelta(gradients, rho, rho_x, eps, eps_x, D0):
    """Return the array of updates, of the shape of the array of gradients."""
    # BEGIN SOLUTION
    gradients = np.asarray(gradients, dtype=float)
    updates = np.zeros_like(gradients)
    v, D = 0.0, D0
    for t, g in enumerate(gradients):
        v = rho * v + (1 - rho) * g**2
        d = np.sqrt(D + eps_x) / np.sqrt(v + eps) * g
        D = rho_x * D + (1 - rho_x) * d**2
        updates[t] = d
    return updates
    # END SOLUTION


# %% test adadelta-three-steps
# Three steps with one parameter, one decay rate and no seed.
adadelta(P.shown, rho=P.rho_shown, rho_x=P.rho_shown, eps=P.eps_shown, eps_x=P.eps_x_shown, D0=0.0)
# expected
updates(P.shown, rho=P.rho_shown, eps=P.eps_shown, eps_x=P.eps_x_shown)

# %% hidden adadelta-arrays
# Several parameters at once, with gradients that are zero now and then, or always.
gaps = [P.gap[0], 0.0, 0.0, P.gap[1], P.gap[2]]
columns = np.column_stack([P.table, gaps, np.zeros(5)])
adadelta(columns, rho=P.rho, rho_x=P.rho_x, eps=0.02, eps_x=0.3, D0=0.0)
# expected
gaps = [P.gap[0], 0.0, 0.0, P.gap[1], P.gap[2]]
columns = np.column_stack([P.table, gaps, np.zeros(5)])
by_weights(columns, rho=P.rho, rho_x=P.rho_x, eps=0.02, eps_x=0.3)

# %% hidden adadelta-epsilons
# Gradients as small as the root of epsilon, and steps as small as the root of the other.
adadelta(1e-3 * np.array(P.faint), rho=P.rho, rho_x=P.rho, eps=3e-5, eps_x=2e-8, D0=0.0)
# expected
updates(1e-3 * np.array(P.faint), rho=P.rho, eps=3e-5, eps_x=2e-8)

# %% hidden adadelta-seed
# A seed; the last steps of a longer stream, with and without the epsilons.
[
    np.array(adadelta(P.long, P.rho, P.rho_x, eps, eps_x, D0=P.seed))[[0, 1, 2, -2, -1]]
    for eps, eps_x in ((0.0, 0.0), (0.4, 0.05))
]
# expected
[
    by_weights(P.long, P.rho, P.rho_x, eps, eps_x, P.seed)[[0, 1, 2, -2, -1]]
    for eps, eps_x in ((0.0, 0.0), (0.4, 0.05))
]

# %% [markdown]
r"""
## 2 The seed alone

The chapter takes $\varepsilon_x$ away and finds that nothing moves. Now something is left:
$\varepsilon = \varepsilon_x = 0$ and $D_0 > 0$. All gradients have the same size, $|g_t| = c > 0$,
with any signs.

### 2a Derivation (6 points, by hand)

Take two decay rates $\rho, \rho_x$ in $(0, 1)$. Find $d_1^2$, and show that

$$
\frac{d_{t+1}^2}{d_t^2} = \frac{1 - \rho_x\, \rho^t}{1 - \rho^{t+1}} .
$$

Conclude what the steps do for $\rho_x = \rho$, for $\rho_x < \rho$ and for $\rho_x > \rho$, and why
the length of the steps has a limit that is neither zero nor infinite. Compare with the growth that
the chapter finds for a seed $\varepsilon_x$.

**Rubric**

- 1 point: $d_1^2$ is right, and $c$ drops out.
- 2 points: the quotient, with the step that takes $D_t$ to a multiple of $D_{t-1}$.
- 1 point: the three cases are right.
- 1 point: a reason for the limit, such as a product or a sum that converges.
- 1 point: the comparison names both laws of growth and where the difference comes from.
"""

# %% [markdown] manual derivation points=6
r"""
Let $q_t = 1 - \rho^t$, so $v_t = q_t c^2$ and $d_t^2 = D_{t-1}/q_t$. In particular
$d_1^2 = D_0/(1-\rho)$: the size $c$ has cancelled. Then

$$
D_t = \rho_x D_{t-1} + (1-\rho_x)\frac{D_{t-1}}{q_t}
= \frac{1 - \rho_x (1 - q_t)}{q_t} D_{t-1} = \frac{1 - \rho_x \rho^t}{q_t} D_{t-1},
$$

and $d_{t+1}^2/d_t^2 = (D_t/q_{t+1})\,(q_t/D_{t-1}) = (1-\rho_x\rho^t)/(1-\rho^{t+1})$.

For $\rho_x = \rho$ the quotient is 1: every step has the length $\sqrt{D_0/(1-\rho)}$. For
$\rho_x < \rho$ it is above 1 and the steps grow; for $\rho_x > \rho$ they shrink. The quotient is
$1 + (\rho-\rho_x)\rho^t/(1-\rho^{t+1})$. The differences from 1 are at most a constant times
$\rho^t$, so their sum converges, and with it the product of the quotients, which are all positive:
the limit is finite and not zero.

With a seed $\varepsilon_x$ the chapter has $d_{t+1}^2 = d_t^2 + (1-\rho)\varepsilon_x/q_{t+1}$, so
the steps grow like $\sqrt t$ without bound. There $\varepsilon_x$ is added anew at every step; here
$D_0$ is given once.
"""

# %% [markdown]
r"""
### 2b Two formulas (SymPy)

Still $\varepsilon = \varepsilon_x = 0$ and $D_0 > 0$. In closed form, in the symbols below:

- `squared_step`: $d_t^2$ for $t \ge 1$ when $\rho_x = \rho^2$ and all gradients have the same size.
- `after_zeros`: now $\rho_x = \rho$. The stream has $n \ge 1$ gradients of size $c > 0$, then
  $s \ge 1$ zeros, then gradients of size $c$ again. Give the *squared* length of the first step
  after the zeros, divided by the squared length of the last step before them.
"""

# %% answer seed-formulas
rho, D0 = sp.symbols("rho D0", positive=True)
t, n, s = sp.symbols("t n s", integer=True, positive=True)
squared_step = None
after_zeros = None
# BEGIN SOLUTION
squared_step = D0 * (1 - rho ** (t + 1)) / ((1 - rho) * (1 - rho**2))
after_zeros = rho**s * (1 - rho ** (n + 1)) / (1 - rho + rho ** (s + 1) * (1 - rho**n))
# END SOLUTION

# %% test squared-step-shown
# The first formula at one point.
float(squared_step.subs({rho: sp.Rational(1, 2), D0: 3, t: P.t_shown}))
# expected
by_weights([1.0] * P.t_shown, 0.5, 0.25, 0.0, 0.0, first=3.0)[-1] ** 2

# %% hidden squared-step-points
# The first formula at other points, early and late.
rho, D0 = sp.symbols("rho D0", positive=True)  # a later cell may have used the names
t = sp.Symbol("t", integer=True, positive=True)
points = [(P.rho, P.seed, 1), (0.9, P.seed, P.late), (P.rho_x, 1e-6, 6)]
[float(squared_step.subs(dict(zip((rho, D0, t), point, strict=True)))) for point in points]
# expected
points = [(P.rho, P.seed, 1), (0.9, P.seed, P.late), (P.rho_x, 1e-6, 6)]
[
    by_weights([P.size] * last, decay, decay**2, 0.0, 0.0, seed)[-1] ** 2
    for decay, seed, last in points
]

# %% hidden after-zeros-points
# The second formula at several points.
rho = sp.Symbol("rho", positive=True)  # a later cell may have used the names
n, s = sp.symbols("n s", integer=True, positive=True)
points = [(P.rho, 1, P.quiet), (P.rho_x, P.before, P.quiet), (0.95, 40, 1), (0.5, 2, 3)]
[float(after_zeros.subs(dict(zip((rho, n, s), point, strict=True)))) for point in points]
# expected
points = [(P.rho, 1, P.quiet), (P.rho_x, P.before, P.quiet), (0.95, 40, 1), (0.5, 2, 3)]
ratios = []
for decay, many, zeros in points:
    stream = [P.size] * many + [0.0] * zeros + [-P.size]
    steps = by_weights(stream, decay, decay, 0.0, 0.0, first=P.seed)
    ratios.append((steps[-1] / steps[many - 1]) ** 2)
ratios

# %% [markdown]
r"""
## 3 Units are linear equations

Let $x$ have the unit $X$ and $f$ the unit $F$, independent of one another. Every unit is a
$X^a F^b$: two exponents. A rule is consistent if certain products of powers are pure numbers.
Gradient descent needs $\eta\, g/x$ to be one, and $g$ has the unit $F/X$, so $\eta\, f\, x^{-2}$ is
a pure number. Written as data: `{"lr": 1, "f": 1, "x": -2}`. AdaGrad, with $\varepsilon$ outside
the root, makes three such equations:

$$
G\, f^{-2} x^2, \qquad \varepsilon\, G^{-1/2}, \qquad \eta\, f\, x^{-2} G^{-1/2} .
$$

Each says that a sum of exponents is zero, for $X$ and for $F$ separately.

### 3a The machine

Write `units_of`. It gets equations that determine all unknown units, and returns a row $[a, b]$ for
each unknown, in the order of `unknowns`. There may be more equations than unknowns. A name that an
equation lacks has the exponent 0.
"""

# %% given adagrad-example
half = sp.Rational(1, 2)
adagrad_equations = [
    {"G": 1, "f": -2, "x": 2},
    {"eps": 1, "G": -half},
    {"lr": 1, "f": 1, "x": -2, "G": -half},
]


# %% answer units-of
def units_of(equations, unknowns):
    """Return the exponents of X and F, one row for each unknown."""
    # BEGIN SOLUTION
    left = sp.Matrix([[equation.get(name, 0) for name in unknowns] for equation in equations])
    symbols = sp.symbols(f"u:{len(unknowns)}")
    columns = []
    for known in ("x", "f"):
        right = sp.Matrix([-equation.get(known, 0) for equation in equations])
        (solution,) = sp.linsolve((left, right), *symbols)
        columns.append([float(value) for value in solution])
    return np.column_stack(columns)
    # END SOLUTION


# %% test units-of-adagrad
# The three units of AdaGrad.
np.array(units_of(adagrad_equations, ["lr", "G", "eps"]), dtype=float)
# expected
G = (F / X) ** 2
[powers(X / (F / X / G**0.5)), powers(G), powers(G**0.5)]

# %% hidden units-of-system
# Another system, with more equations than unknowns.
a1, a2, b1, b2, c1, c2, d1, d2, e2 = (sp.Rational(k, 2) for k in P.halves)
equations = [
    {"a": 2, "b": -1, "x": b1 - 2 * a1, "f": b2 - 2 * a2},
    {"b": -3, "a": 6, "x": 3 * b1 - 6 * a1, "f": 3 * b2 - 6 * a2},
    {"b": 3, "x": -3 * b1, "f": -3 * b2},
    {"e": sp.Rational(1, 2), "f": -e2 / 2},
    {"c": sp.Rational(1, 2), "a": -1, "d": 1, "x": a1 - d1 - c1 / 2, "f": a2 - d2 - c2 / 2},
    {"d": 1, "b": sp.Rational(-1, 2), "x": b1 / 2 - d1, "f": b2 / 2 - d2},
    {"a": 1, "c": 1, "x": -a1 - c1, "f": -a2 - c2},
]
np.array(units_of(equations, ["d", "b", "e", "a", "c"]), dtype=float)
# expected
a1, a2, b1, b2, c1, c2, d1, d2, e2 = (k / 2 for k in P.halves)
[[d1, d2], [b1, b2], [0, e2], [a1, a2], [c1, c2]]

# %% [markdown]
r"""
### 3b Three rules of other make

Which units do the constants need? Give each as a pair $[a, b]$ of exponents of $X$ and $F$, such as
`[-1, half]`. $v_t$ is a mean of squared gradients, $f''$ the second derivative.

- *A power*: $x_t = x_{t-1} - \eta\, g_t / (v_t + \varepsilon)^p$ with $p = P.p$.
  `power_units` lists the pairs of $\eta$ and $\varepsilon$.
- *A rule with noise*: $x_t = x_{t-1} - \eta\, g_t + \sqrt{2 \eta \tau}\; \xi_t$, where $\xi_t$ is a
  standard normal number, without a unit. `noise_units` lists the pairs of $\eta$ and $\tau$.
- *A damped Newton step*: $x_t = x_{t-1} - g_t / \bigl(f''(x_{t-1}) + \sqrt{L\, |g_t|}\bigr)$.
  `damped_units` is the pair of $L$.
"""

# %% answer three-rules
power_units = None
noise_units = None
damped_units = None
# BEGIN SOLUTION
p = sp.Rational(P.p)
power_units = [[2 - 2 * p, 2 * p - 1], [-2, 2]]
noise_units = [[2, -1], [0, 1]]
damped_units = [-3, 1]
# END SOLUTION

# %% hidden power-rule
# The two constants of the power.
np.array(power_units, dtype=float)
# expected
g = 3 * F / X
v = 2 * g**2
eps = registry.Quantity(1, (v + g**2).units)
p = float(sp.Rational(P.p))
lr = registry.Quantity(0.1, (X / (g / (v + eps) ** p)).units)
X - lr * g / (v + eps) ** p  # raises if the units were wrong
[powers(lr), powers(eps)]

# %% hidden other-rules
# The constants of the other two rules.
np.vstack([np.array(noise_units, dtype=float), np.array(damped_units, dtype=float)])
# expected
g, curvature = 3 * F / X, 2 * F / X**2
lr = X / g
tau = X**2 / lr
L = curvature**2 / g
X - lr * g + (2 * lr * tau) ** 0.5  # raise if the units were wrong
X - g / (curvature + (L * g) ** 0.5)
[powers(lr), powers(tau), powers(L)]

# %% [markdown]
r"""
## 4 Diagnosis

On gradients of equal size and with $\varepsilon = 0$, all steps of this function are
$\sqrt{\varepsilon_x}$ long, and its author finds that convincing. It adds $\varepsilon$ to what it
stores as $v$, instead of under the root. It makes two more mistakes.
"""


# %% given suspect
def suspect(gradients, rho, eps, eps_x):
    """Return the updates of an AdaDelta that is not one."""
    updates = []
    v, D = 0.0, eps_x
    for t, g in enumerate(gradients, start=1):
        v = rho * v + (1 - rho) * g**2 + eps
        d = np.sqrt(D) / np.sqrt(v / (1 - rho**t)) * g
        D = rho * D + (1 - rho) * d**2
        updates.append(d)
    return np.array(updates)


# %% [markdown]
r"""
Repair it, in the author's own lines: the arguments stay, $\eta = 1$, and both means have the decay
rate $\rho$.
"""


# %% answer repaired
def repaired(gradients, rho, eps, eps_x):
    """Return the updates of AdaDelta."""
    # BEGIN SOLUTION
    updates = []
    v = D = 0.0
    for g in gradients:
        v = rho * v + (1 - rho) * g**2
        d = np.sqrt(D + eps_x) / np.sqrt(v + eps) * g
        D = rho * D + (1 - rho) * d**2
        updates.append(d)
    return np.array(updates)
    # END SOLUTION


# %% test repaired-three-steps
# Three steps, the epsilon of the denominator negligible.
repaired(P.mended, rho=P.rho_shown, eps=1e-16, eps_x=P.eps_x_shown)
# expected
updates(P.mended, rho=P.rho_shown, eps=1e-16, eps_x=P.eps_x_shown)

# %% hidden repaired-stream
# Other streams, both epsilons large, and a zero on the way.
[
    repaired([*P.stream[:3], 0.0, *P.stream[3:]], rho=decay, eps=0.6, eps_x=0.07)
    for decay in (0.0, P.rho)
]
# expected
[
    updates([*P.stream[:3], 0.0, *P.stream[3:]], rho=decay, eps=0.6, eps_x=0.07)
    for decay in (0.0, P.rho)
]

# %% [markdown]
r"""
### Explanation (4 points, by hand)

Name the two other mistakes, and say for each alone what it does to the length of the steps when all
gradients have the same size and $\varepsilon = 0$. Then: which of the three mistakes would a check
of the units find, with $\varepsilon$ in $F^2/X^2$ and $\varepsilon_x$ in $X^2$? Why?

**Rubric**

- 1 point: both mistakes are named.
- 2 points: one for each effect: a formula, or a number with its derivation or run.
- 1 point: the right verdict on the units, with a reason that covers all three.
"""

# %% [markdown] manual explanation points=4
r"""
$\varepsilon_x$ is the start of $D$ and no longer stands beside it: the seed is planted once. By 2a
all steps then have the length $\sqrt{\varepsilon_x/(1-\rho)}$: the first is AdaDelta's, and they do
not grow. The denominator is corrected for its start at zero and the numerator is not. With that
mistake alone $d_t^2 = D_{t-1} + \varepsilon_x$ and $D_t = D_{t-1} + (1-\rho)\varepsilon_x$, so
$d_t^2 = \varepsilon_x (1 + (1-\rho)(t-1))$: the first step is $\sqrt{1-\rho}$ times AdaDelta's, and
the growth is of the same kind.

The units find none. Each constant is added to, or stands for, a quantity of its own unit:
$\varepsilon$ beside $g^2$, $\varepsilon_x$ as a mean of squared steps; and $1-\rho^t$ is a pure
number. A check of units does not see numbers, nor the place of a term among its like.
"""

# %% [markdown]
r"""
## 5 Plot (5 points, by hand)

A feature comes and goes: five blocks of 100 gradients of size 1, with P.silence zeros between each
two. Let $\rho = \rho_x = 0.9$ and $\varepsilon = 0$. Plot against $t$ the lengths of the steps
whose gradient is not zero, once with $\varepsilon_x = 10^{-6}$ and $D_0 = 0$, once with
$\varepsilon_x = 0$ and $D_0 = 10^{-6}$. Write below the plot, as a comment, what one silence does
to each run, by which factor, and why $\varepsilon_x$ stands beside $D$ at every step.

**Rubric**

- 2 points: both curves are right; the steps at zeros leave gaps or are left out.
- 1 point: axes are labelled, curves are told apart without colour, the scales show both curves.
- 2 points: the comment gives the effect of a silence on each run with its factor, and the reason.
"""

# %% manual plot points=5
block, silence = [1.0] * 100, [0.0] * P.silence
stream = np.array([*(block + silence) * 4, *block])
steps = np.arange(1, len(stream) + 1)
for label, dashes, seeds in (
    (r"$\varepsilon_x = 10^{-6}$ at every step", "-", {"eps_x": 1e-6, "D0": 0.0}),
    (r"$D_0 = 10^{-6}$ once", "--", {"eps_x": 0.0, "D0": 1e-6}),
):
    length = np.abs(adadelta(stream, rho=0.9, rho_x=0.9, eps=0.0, **seeds))
    plt.plot(steps, np.where(stream == 0, np.nan, length), dashes, label=label)
    print("factor of the first silence:", length[100 + P.silence] / length[99])
plt.yscale("log")
plt.xlabel("step $t$")
plt.ylabel("$|d_t|$")
plt.legend()
plt.show()
one_silence = after_zeros.subs({rho: sp.Rational(9, 10), n: 100, s: P.silence})
print("by the formula, without eps_x:", float(sp.sqrt(one_silence)))
# With the seed in the memory all steps of a block are equally long. A silence lets D decay, and the
# steps are shorter by the printed factor, about sqrt(0.9**s / 0.1), for good: on gradients of equal
# size nothing makes them grow. With eps_x a silence takes the run back to about its first step,
# sqrt(eps_x / 0.1), which is 0.7 of its last, and it grows again. At every step eps_x keeps the
# numerator from falling lower.
