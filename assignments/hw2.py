"""AdaGrad, RMSProp and their memory."""

from grading import P

WITHHELD = [
    "AdaGrad",
    "FullAdaGrad",
    "RMSProp",
    "AdaDelta",
    "AdaDeltaMomentum",
    "Adam",
    "AdamW",
    "AdamL2",
    "Nadam",
    "AMSGrad",
]


def parameters(draw):
    """Return what differs between two courses."""
    return {
        "lr": draw.choice(0.05, 0.1, 0.2),
        "rho": draw.choice(0.8, 0.9, 0.95),
        "shown": draw.signed(4, 1.0, 5.0, 1),
        "pair": [draw.signed(2, 1.0, 5.0, 1) for _ in range(3)],
        "table": [draw.signed(2, 0.5, 4.0) for _ in range(6)],
        "k": draw.integer(3, 5),
        "quiet": [
            0.0,
            *draw.signed(2, 1.0, 9.0, 0),
            *[0.0] * draw.integer(5, 7),
            *draw.signed(3, 1.0, 9.0, 0),
        ],
        "faint": draw.signed(5, 1.0, 9.0, 1),
        "age_shown": draw.integer(3, 5),
        "age_hidden": draw.integer(12, 30),
        "w": draw.number(1.6, 3.0, 1),
        "w_shown": draw.number(0.5, 1.5, 1),
        "slow": draw.choice(0.98, 0.985, 0.99),
        "fast": draw.choice(0.4, 0.5, 0.6),
        "growth": draw.choice(1.1, 1.15, 1.2),
        "late": draw.integer(20, 40),
        "stream": draw.signed(5, 0.5, 4.0),
        "gaps": [draw.signed(2, 0.5, 4.0) for _ in range(6)],
        "many": draw.integer(5, 12),
        "spike": draw.choice(20, 30, 40),
        "at": draw.integer(150, 300),
    }


# %% [markdown]
r"""
# Assignment 2: AdaGrad, RMSProp and their memory

You need the chapters *AdaGrad* and *RMSProp*. The exercise `ex-adagrad-steps` is a first practice
for task 1, `ex-rmsprop-forget` for task 3; `ex-adagrad-bugs` and `ex-rmsprop-diagnose` prepare
task 4, and `ex-adagrad-outlier` the plot. Plan 110 minutes: 15 for task 1, 15 for task 2, 45 for
task 3, and the rest for the others.
"""

# %% given imports
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

# %% teacher reference
from optimlib import AdaGrad, RMSProp


def moved(opt, gradients):
    """Return what an optimizer of the package subtracts at each step."""
    return np.array([-opt.step(np.zeros_like(g), g) for g in np.asarray(gradients, dtype=float)])


def recent(gradients, k, lr, eps):
    """Return the updates of task 1: a fresh AdaGrad for every window, scaled by its length."""
    g, updates = np.asarray(gradients, dtype=float), []
    for t in range(1, len(g) + 1):
        window = g[max(0, t - k) : t]
        root = np.sqrt(len(window))
        updates.append(moved(AdaGrad(lr=lr * root, eps=eps * root), window)[-1])
    return np.array(updates)


def mean_age(rho, t):
    """Return the mean age of RMSProp's memory from what is left of one square."""
    opt, weights = RMSProp(rho=rho), []
    for g in [1.0] + [0.0] * (t - 1):
        opt.step(0.0, g)
        weights.append(float(opt.state_dict()["v"]))
    return np.average(np.arange(t), weights=weights)


def fading_run(rho, q, w, t):
    """Return the first t steps of RMSProp on the powers of q."""
    return moved(RMSProp(lr=1.0, rho=rho, eps=0.0, initial=w), q ** np.arange(1.0, t + 1))


# %% [markdown]
r"""
## 1 A memory with an edge

AdaGrad forgets nothing and RMSProp forgets a share at every step. A third memory keeps the last
$k$ squares and nothing else. With $n = \min(t, k)$,

$$
W_t = \frac1n \sum_{i=t-n+1}^{t} g_i^2, \qquad
x_t = x_{t-1} - \frac{\eta}{\sqrt{W_t} + \varepsilon}\, g_t .
$$

Write the rule as one function of all gradients. It returns the updates: what is *subtracted* from
$x$ at each step. A gradient is a number or an array; `gradients[0]` is $g_1$. Every coordinate is
treated alone. Where $\varepsilon = 0$ and $W_t = 0$, the step counts as zero.
"""


# %% answer windowed
def windowed(gradients, k, lr, eps):
    """Return the array of updates, of the shape of the array of gradients."""
    # BEGIN SOLUTION
    gradients = np.asarray(gradients, dtype=float)
    updates = np.zeros_like(gradients)
    for t in range(1, len(gradients) + 1):
        mean = np.mean(gradients[max(0, t - k) : t] ** 2, axis=0)
        bottom = np.sqrt(mean) + eps
        g = gradients[t - 1]
        updates[t - 1] = np.where(bottom > 0, lr * g / np.where(bottom > 0, bottom, 1.0), 0.0)
    return updates
    # END SOLUTION


# %% test windowed-four-steps
# Four steps with one parameter.
windowed(P.shown, k=2, lr=P.lr, eps=1e-10)
# expected
recent(P.shown, k=2, lr=P.lr, eps=1e-10)

# %% test windowed-pair
# Three steps with two parameters.
windowed(P.pair, k=2, lr=1.0, eps=1e-10)
# expected
recent(P.pair, k=2, lr=1.0, eps=1e-10)

# %% hidden windowed-arrays
# Several parameters at once, one of them never with a gradient.
windowed(np.column_stack([P.table, np.zeros(6)]), k=P.k, lr=P.lr, eps=1e-3)
# expected
recent(np.column_stack([P.table, np.zeros(6)]), k=P.k, lr=P.lr, eps=1e-3)

# %% hidden windowed-silence
# Long silences, and an epsilon of zero.
[windowed(P.quiet, k=k, lr=1.0, eps=0.0) for k in (1, 4)]
# expected
[recent(P.quiet, k=k, lr=1.0, eps=0.0) for k in (1, 4)]

# %% hidden windowed-epsilon
# Gradients as small as epsilon.
[windowed(1e-6 * np.array(P.faint), k=k, lr=1.0, eps=3e-6) for k in (2, 50)]
# expected
[recent(1e-6 * np.array(P.faint), k=k, lr=1.0, eps=3e-6) for k in (2, 50)]

# %% [markdown]
r"""
## 2 How old is a memory? (SymPy)

Started from $v_0 = 0$, RMSProp's $v_t$ is a weighted sum of $g_1^2, \dots, g_t^2$. Divide the
weights by their sum. At step $t$ the square $g_t^2$ has age 0, and $g_1^2$ has age $t - 1$. The
*mean age* is the mean of these ages under the weights; the chapter gives it for a memory without
a beginning only.

- `age`: the mean age at step $t$, in closed form, in the symbols below.
- `same_window`: the $k$ for which the full window of task 1 has the mean age that RMSProp's
  memory has in the long run, as an expression in $\rho$.
"""

# %% answer ages
rho = sp.Symbol("rho", positive=True)
t = sp.Symbol("t", integer=True, positive=True)
age = None
same_window = None
# BEGIN SOLUTION
age = rho / (1 - rho) - t * rho**t / (1 - rho**t)
same_window = (1 + rho) / (1 - rho)
# END SOLUTION

# %% test age-shown
# The mean age at one point.
float(age.subs({rho: 0.7, t: P.age_shown}))
# expected
mean_age(0.7, P.age_shown)

# %% hidden age-points
# The mean age at other points, early and late.
rho = sp.Symbol("rho", positive=True)  # a later cell may have used the names
t = sp.Symbol("t", integer=True, positive=True)
[float(age.subs({rho: r, t: s})) for r, s in [(P.rho, 1), (P.rho, P.age_hidden), (0.3, 60)]]
# expected
[mean_age(r, s) for r, s in [(P.rho, 1), (P.rho, P.age_hidden), (0.3, 60)]]

# %% hidden same-window-points
# The length of the window, for three memories.
rho = sp.Symbol("rho", positive=True)  # a later cell may have used the name
[float(same_window.subs(rho, r)) for r in (P.rho, 0.45, 0.985)]
# expected
# the ages in a full window are 0, ..., k - 1
[2 * mean_age(r, 3000) + 1 for r in (P.rho, 0.45, 0.985)]

# %% [markdown]
r"""
## 3 Gradients that fade away

Near a minimum gradients shrink, often by the same factor at every step. Let $g_t = q^t$ with
$q > 0$ and $q^2 \ne \rho$, and let RMSProp run with $\varepsilon = 0$ from a memory
$v_0 = w \ge 0$, which one library lets you choose.

### 3a Three formulas (SymPy)

In the symbols below, all in units of $\eta$ and in closed form:

- `fading`: the length of step $t$.
- `level`: the limit of that length for $t \to \infty$ if $q^2 > \rho$.
- `tail`: if $q^2 < \rho$, step $t$ is for large $t$ about a constant times $(q/\sqrt\rho)^t$. Give
  the constant: the limit of the quotient.
"""

# %% answer fading-steps
rho, q = sp.symbols("rho q", positive=True)
w = sp.Symbol("w", nonnegative=True)
t = sp.Symbol("t", integer=True, positive=True)
fading = None
level = None
tail = None
# BEGIN SOLUTION
v = rho**t * w + (1 - rho) * q**2 * (q ** (2 * t) - rho**t) / (q**2 - rho)
fading = q**t / sp.sqrt(v)
level = sp.sqrt((q**2 - rho) / ((1 - rho) * q**2))
tail = 1 / sp.sqrt(w + (1 - rho) * q**2 / (rho - q**2))
# END SOLUTION

# %% test fading-shown
# A third step.
float(fading.subs({rho: 0.6, q: 0.7, w: P.w_shown, t: 3}))
# expected
fading_run(0.6, 0.7, P.w_shown, 3)[-1]

# %% hidden fading-points
# Other steps: fading and growing gradients, with and without a memory at the start.
rho, q = sp.symbols("rho q", positive=True)  # a later cell may have used the names
w = sp.Symbol("w", nonnegative=True)
t = sp.Symbol("t", integer=True, positive=True)
points = [(P.rho, P.slow, P.w, 12), (P.rho, P.fast, P.w, P.late), (0.5, P.growth, 0, 5)]
[float(fading.subs(dict(zip((rho, q, w, t), point, strict=True)))) for point in points]
# expected
points = [(P.rho, P.slow, P.w, 12), (P.rho, P.fast, P.w, P.late), (0.5, P.growth, 0, 5)]
[fading_run(*point)[-1] for point in points]

# %% hidden level-points
# The limit of the steps.
rho, q = sp.symbols("rho q", positive=True)  # a later cell may have used the names
w = sp.Symbol("w", nonnegative=True)
points = [(P.rho, P.slow, P.w), (0.7, 0.9, 2), (0.5, P.growth, P.w)]
[float(level.subs(dict(zip((rho, q, w), point, strict=True)))) for point in points]
# expected
points = [(P.rho, P.slow, P.w), (0.7, 0.9, 2), (0.5, P.growth, P.w)]
[fading_run(*point, steps)[-1] for point, steps in zip(points, (3000, 200, 200), strict=True)]

# %% hidden tail-points
# The constant of the last formula.
rho, q = sp.symbols("rho q", positive=True)  # a later cell may have used the names
w = sp.Symbol("w", nonnegative=True)
points = [(P.rho, P.fast, P.w), (0.9, 0.7, 0), (0.99, P.fast, 1)]
[float(tail.subs(dict(zip((rho, q, w), point, strict=True)))) for point in points]
# expected
points = [(P.rho, P.fast, P.w), (0.9, 0.7, 0), (0.99, P.fast, 1)]
[fading_run(*point, 60)[-1] / (point[1] / point[0] ** 0.5) ** 60 for point in points]

# %% [markdown]
r"""
### 3b Derivation (7 points, by hand)

AdaGrad runs on one coordinate with $\varepsilon = 0$ and any gradients with $g_1 \ne 0$. Its *path*
is the sum of the lengths of all its steps, $\eta \sum_t |g_t|/\sqrt{G_t}$, which may be infinite.
Prove:

> The path is finite exactly when $\sum_t |g_t|$ is finite.

Then say for which $q \ne \sqrt\rho$ the path of RMSProp on the stream of 3a is finite, and whether
the same sentence holds for RMSProp.

*Hint.* When $\sum_t |g_t| = \infty$, $G_t$ may stay bounded or not. If it does not, compare a step
with its square, and look at the squares from step $m+1$ to step $n$ for a fixed $m$.

**Rubric**

- 1 point: if the sum is finite so is the path, with a bound.
- 2 points: the sum is infinite and $G_t$ stays bounded: the path is infinite, and it is said why.
- 3 points: $G_t$ grows without bound: a lower bound for a stretch of the path (2), and why it
  follows that the whole is infinite (1).
- 1 point: the right $q$ for RMSProp, from 3a, and a verdict on the sentence with its reason.
"""

# %% [markdown] manual derivation points=7
r"""
In units of $\eta$. If $S = \sum |g_t|$ is finite: $G_t \ge g_1^2$, so the path is at most
$S/|g_1|$.

If $S = \infty$ and $G_t \le C^2$ for all $t$: each step is at least $|g_t|/C$, so the path is at
least $S/C = \infty$.

If $G_t \to \infty$: $|g_t| \le \sqrt{G_t}$, so a step, at most 1 long, is at least its square:
$|g_t|/\sqrt{G_t} \ge g_t^2/G_t$. For fixed $m$ and $n > m$, because $G$ only grows,

$$
\sum_{t=m+1}^{n} \frac{g_t^2}{G_t} \ge \frac{1}{G_n} \sum_{t=m+1}^{n} g_t^2 = 1 - \frac{G_m}{G_n},
$$

which tends to 1 as $n \to \infty$. So after every $m$ there is a stretch of length at least
$\tfrac12$; infinitely many such stretches follow one another, and the path is infinite. (Here
$S = \infty$ by itself, for a convergent sum of $|g_t|$ has a convergent sum of squares.)

RMSProp: for $q < \sqrt\rho$ the steps fall like $(q/\sqrt\rho)^t$ and the path is finite. For
$q > \sqrt\rho$ they tend to a positive level and the path is infinite. For $\sqrt\rho < q < 1$ the
sum of the gradients is finite nevertheless, so the sentence is false for RMSProp: it can walk for
ever on gradients that fade.
"""

# %% [markdown]
r"""
## 4 Diagnosis

A colleague likes this RMSProp: on a steady gradient every step has the length $\eta$. It departs
from the rule in three places.
"""


# %% given suspect
def suspect(gradients, lr, rho, eps):
    """Return the updates of an RMSProp that is not one."""
    size = np.abs(gradients[0])
    updates = []
    for g in gradients:
        fresh = rho * size + (1 - rho) * np.abs(g)
        size = np.where(np.equal(g, 0), size, fresh)
        updates.append(lr * g / (size + eps))
    return np.array(updates)


# %% [markdown]
r"""
Repair it: the arguments stay, and the result is RMSProp from $v_0 = 0$, with $\varepsilon$ outside
the root. The gradients are numbers or arrays.
"""


# %% answer repaired
def repaired(gradients, lr, rho, eps):
    """Return the updates of RMSProp."""
    # BEGIN SOLUTION
    v = 0.0
    updates = []
    for g in np.asarray(gradients, dtype=float):
        v = rho * v + (1 - rho) * g**2
        updates.append(lr * g / (np.sqrt(v) + eps))
    return np.array(updates)
    # END SOLUTION


# %% test repaired-five-steps
# Five steps with one parameter.
repaired(P.stream, lr=P.lr, rho=P.rho, eps=1e-8)
# expected
moved(RMSProp(lr=P.lr, rho=P.rho, eps=1e-8), P.stream)

# %% hidden repaired-gaps
# Arrays in which some gradients are zero, with an epsilon that matters.
gaps = np.array(P.gaps) * [[0, 1], [1, 1], [0, 1], [0, 0], [1, 0], [1, 1]]
repaired(gaps, lr=0.5, rho=0.85, eps=0.1)
# expected
gaps = np.array(P.gaps) * [[0, 1], [1, 1], [0, 1], [0, 0], [1, 0], [1, 1]]
moved(RMSProp(lr=0.5, rho=0.85, eps=0.1), gaps)

# %% [markdown]
r"""
Suppose that `abs` were the only mistake: the mean of the sizes stands in place of the root of the
mean of squares. A stream like that of `ex-rmsprop-rare` repeats P.many times $+a$ and once
$-P.many\,a$; $\varepsilon = 0$, the run is old, and $\rho$ is so near to 1 that the memory hardly
changes within a cycle. How many times as long as RMSProp's are the steps? Give the number to at
least four digits, for the limit $\rho \to 1$.
"""

# %% answer stretch
stretch = None
# BEGIN SOLUTION
stretch = (P.many + 1) / (2 * np.sqrt(P.many))
# END SOLUTION

# %% hidden stretch-value rtol=1e-3
# The number of task 4.
stretch
# expected
cycle = np.array([1.0] * P.many + [-P.many])
settled = RMSProp(lr=1.0, rho=1 - 1e-7, eps=0.0, initial=np.mean(cycle**2))
cycle[0] / np.mean(np.abs(cycle)) / moved(settled, cycle)[0]

# %% [markdown]
r"""
### Explanation (4 points, by hand)

Name the three mistakes. For each, suppose that the other two are repaired: give a stream of
gradients that shows it, and say how the length of the steps there compares with RMSProp's
($\varepsilon = 0$). Which of the three, each alone, can be seen on a steady gradient?

**Rubric**

- 3 points: one for each mistake: named, with a stream that shows it and the right comparison.
- 1 point: it is right which of them a steady gradient shows and which not, with the reason.
"""

# %% [markdown] manual explanation points=4
r"""
- *The memory starts full*, at the first gradient, not at 0. A steady gradient shows it: RMSProp's
  step $t$ is $\eta/\sqrt{1-\rho^t}$, the colleague's $\eta$, so the early steps are too short.
- *It averages sizes, not squares.* Gradients of two sizes show it, 1 and 3 in turn: for $\rho$ near
  1 the mean of the sizes is soon about 2, the root of the mean of squares about $\sqrt5$. The first
  is never larger, so the steps are too long, here by the factor $\sqrt5/2 \approx 1.12$.
- *It does not fade when the gradient is zero.* A long silence after many gradients of 1, then a 1
  again: RMSProp's memory is empty and its step nearly $\eta/\sqrt{1-\rho}$, the colleague's still
  $\eta$.

A steady gradient shows the first two, each alone, in the early steps. RMSProp's are
$\eta/\sqrt{1-\rho^t}$. A full memory makes them $\eta$; sizes, averaged from 0, make them
$\eta/(1-\rho^t)$. It cannot show the third, for nothing is ever zero. (Together the first hides the
second: in a memory that starts full both means are the size of the gradient.)
"""

# %% [markdown]
r"""
## 5 Plot (5 points, by hand)

All gradients are 1 but one: at $t = P.at$ it is P.spike. For AdaGrad, for RMSProp with
$\rho = P.rho$ from $v_0 = 0$, and for the window of task 1 with the $k$ of task 2, divide the
length of each step by its length in a run without the spike ($\varepsilon = 0$). Plot this quotient
for the 2000 steps *after* the spike against the number of steps since then. Write below the plot,
as a comment, how each memory forgets, and after how many steps the quotient is back at
$1/\sqrt2$ or more. Use your own functions, not `optimlib`.

**Rubric**

- 2 points: the three curves are right, and $k$ is the one of task 2.
- 1 point: axes are labelled, curves are told apart without colour, all three returns are visible.
- 2 points: the three numbers (1), and for each memory what in it decides the return (1).
"""

# %% manual plot points=5
k = round((1 + P.rho) / (1 - P.rho))
steps = np.arange(1, P.at + 2001)
plain = np.ones(steps.size)
spiked = np.where(steps == P.at, float(P.spike), 1.0)
rules = {
    "AdaGrad": (lambda g: g / np.sqrt(np.cumsum(g**2)), "-"),
    "RMSProp": (lambda g: repaired(g, lr=1.0, rho=P.rho, eps=0.0), "--"),
    f"window, k = {k}": (lambda g: windowed(g, k=k, lr=1.0, eps=0.0), ":"),
}
for name, (rule, line) in rules.items():
    quotient = (rule(spiked) / rule(plain))[P.at :]
    plt.plot(np.arange(1, 2001), quotient, line, label=name)
    print(name, 1 + np.argmax(quotient >= 0.7071))
plt.axhline(1 / np.sqrt(2), color="gray", linewidth=0.7)
plt.xscale("log")
plt.yscale("log")
plt.xlabel("steps since the spike")
plt.ylabel("step with the spike / step without")
plt.legend()
plt.show()
# With K the spike: AdaGrad never drops the square, others pile up beside it. Its quotient is
# sqrt(t / (t + K**2 - 1)), back at 1/sqrt(2) when t = K**2 - 1. RMSProp loses a fixed share at
# every step: back after about ln((1 - rho) * K**2) / -ln(rho) steps. The window stays low until
# the spike leaves it, then is back at once, after k steps whatever K is. RMSProp has the same mean
# age and takes longer, for the spike outweighs the little weight that is left to it.
