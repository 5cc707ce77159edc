"""Adam and bias correction."""

from grading import P

WITHHELD = ["Adam", "AdamW", "AdamL2", "AdaMax", "Nadam", "AMSGrad"]


def parameters(draw):
    """Return what differs between two courses."""
    return {
        "beta1": draw.choice(0.6, 0.7, 0.8),
        "beta2": draw.choice(0.9, 0.95, 0.98),
        "lr": draw.choice(0.05, 0.1, 0.2),
        "shown": draw.signed(3, 1.0, 5.0, 1),
        "table": [draw.signed(2, 0.5, 4.0) for _ in range(4)],
        "faint": draw.signed(4, 1.0, 9.0, 1),
        "long": draw.signed(40, 0.2, 3.0),
        "betas_shown": [draw.number(0.3, 0.9, 1) for _ in range(3)],
        "betas_hidden": [[draw.number(0.2, 0.95) for _ in range(6)] for _ in range(2)],
        "stream": draw.signed(6, 0.5, 4.0),
        "a": draw.choice(0.5, 0.6, 0.7),
        "k": draw.integer(3, 6),
        "period": draw.integer(3, 5),
        "period_hidden": draw.integer(6, 9),
        "epoch": draw.integer(4, 7),
        "from_beta2": draw.choice(0.9, 0.95),
        "jump": draw.integer(40, 80),
        "epochs_shown": draw.signed(4, 1.0, 4.0, 1),
    }


# %% [markdown]
r"""
# Assignment 4: Adam and bias correction

You need the chapters *Adam* and *Bias correction, derived*. The exercises `ex-bias-first` and
`ex-bias-shrinking` use the same sums as task 2, `ex-adam-distance` those of task 3, and
`ex-adam-bugs` is a first practice for task 4. Plan 90 minutes: 20 for task 1, 30 for task 2, and
the rest for the others.
"""

# %% given imports
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

# %% teacher reference
from optimlib import Adam


def updates(gradients, lr=1.0, beta1=0.9, beta2=0.999, eps=0.0):
    """Return what the package subtracts at each step."""
    opt = Adam(lr=lr, beta1=beta1, beta2=beta2, eps=eps)
    return np.array([-opt.step(np.zeros_like(g), g) for g in np.asarray(gradients, dtype=float)])


def averages(values, betas):
    """Return the corrected averages from their weights, without a recursion."""
    b, hats = np.array(betas), []
    for t in range(1, len(b) + 1):
        weights = [(1 - b[i]) * np.prod(b[i + 1 : t]) for i in range(t)]
        hats.append(np.average(values[:t], axis=0, weights=weights))
    return np.array(hats)


def old_run(beta1, beta2, period):
    """Return the steps of one period of a run in which transients are over."""
    gradients = np.arange(400 * period) % period == 0
    return updates(gradients, beta1=beta1, beta2=beta2)[-period:]


# %% [markdown]
r"""
## 1 Adam, a whole stream at a time

Write Adam as one function of all gradients. It returns the updates $\Delta_1, \dots, \Delta_T$:
what is *subtracted* from $x$ at each step, with both moments corrected and $\varepsilon$ added
outside the root. A gradient is a number or an array; `gradients[0]` is $g_1$.
"""


# %% answer adam
def adam(gradients, lr, beta1, beta2, eps):
    """Return the array of updates, of the shape of the array of gradients."""
    # BEGIN SOLUTION
    gradients = np.asarray(gradients, dtype=float)
    updates = np.zeros_like(gradients)
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        updates[t - 1] = lr * m_hat / (np.sqrt(v_hat) + eps)
    return updates
    # END SOLUTION


# %% test adam-three-steps
# Three steps with one parameter.
adam(P.shown, lr=P.lr, beta1=P.beta1, beta2=P.beta2, eps=1e-8)
# expected
updates(P.shown, lr=P.lr, beta1=P.beta1, beta2=P.beta2, eps=1e-8)

# %% hidden adam-arrays
# Several parameters at once, one of them never with a gradient.
columns = np.column_stack([P.table, np.zeros(4)])
adam(columns, lr=P.lr, beta1=P.beta2, beta2=P.beta1, eps=1e-3)
# expected
columns = np.column_stack([P.table, np.zeros(4)])
updates(columns, lr=P.lr, beta1=P.beta2, beta2=P.beta1, eps=1e-3)

# %% hidden adam-epsilon
# Gradients as small as epsilon.
adam(1e-6 * np.array(P.faint), lr=1.0, beta1=P.beta1, beta2=P.beta2, eps=2e-6)
# expected
updates(1e-6 * np.array(P.faint), beta1=P.beta1, beta2=P.beta2, eps=2e-6)

# %% hidden adam-late
# Late steps of a long stream, at the default betas.
adam(P.long, lr=0.01, beta1=0.9, beta2=0.999, eps=1e-8)[-5:]
# expected
updates(P.long, lr=0.01, eps=1e-8)[-5:]

# %% [markdown]
r"""
## 2 Betas that change

Some training recipes change $\beta_1$ while they run. With a beta for every step,

$$
m_t = b_t\, m_{t-1} + (1 - b_t)\, g_t, \qquad m_0 = 0, \qquad 0 \le b_t < 1,
$$

and the same for $v_t$ with its own betas. The book's factor $1 - \beta^t$ no longer applies.

### 2a Derivation (6 points, by hand)

Find the factor $c_t$ for which $\mathbb E[m_t] = c_t\, \mu$ whenever all gradients have the mean
$\mu$, in closed form. Prove it. Then say in one sentence what a single $b_s = 0$ does to $c_t$ for
$t \ge s$, and why that is right.

**Rubric**

- 2 points: $m_t$ is a weighted sum of the gradients, or an induction is set up correctly.
- 2 points: the factor is right, and the step that gives it is shown.
- 1 point: it is said where equal means are used, and that independence is not needed.
- 1 point: the case $b_s = 0$ is right and explained by what the average then holds.
"""

# %% [markdown] manual derivation points=6
r"""
The weights of the gradients in $m_t$ and the weight of the starting zero add up to one, because
each step forms a convex combination of $m_{t-1}$ and $g_t$. The weight of the zero is multiplied by
$b_t$ at every step, so after $t$ steps it is $\prod_{i=1}^t b_i$, and the gradients' weights add up
to $c_t = 1 - \prod_{i=1}^t b_i$. By induction: $c_0 = 0$, and
$c_t = b_t c_{t-1} + (1 - b_t) = 1 - b_t (1 - c_{t-1})$. Only the linearity of the expectation and
equal means are used; the gradients may depend on one another.

If $b_s = 0$ then $c_t = 1$ from $s$ on: the old memory, the zero included, has been thrown away.
"""

# %% [markdown]
r"""
### 2b The rule

Write Adam with a beta of either kind for every step, and the right correction of both moments.
"""


# %% answer scheduled
def scheduled(gradients, betas1, betas2, lr, eps):
    """Return the array of updates; betas1[0] and betas2[0] belong to the first step."""
    # BEGIN SOLUTION
    updates = []
    m = v = 0.0
    kept1 = kept2 = 1.0
    for g, b1, b2 in zip(gradients, betas1, betas2, strict=True):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        kept1, kept2 = kept1 * b1, kept2 * b2
        updates.append(lr * m / (1 - kept1) / (np.sqrt(v / (1 - kept2)) + eps))
    return np.array(updates)
    # END SOLUTION


# %% test scheduled-three-steps
# Three steps in which only the first beta changes.
scheduled(P.shown, P.betas_shown, [P.beta2] * 3, lr=P.lr, eps=1e-8)
# expected
m_hat = averages(P.shown, P.betas_shown)
v_hat = averages(np.square(P.shown), [P.beta2] * 3)
P.lr * m_hat / (np.sqrt(v_hat) + 1e-8)

# %% hidden scheduled-both
# Both betas change at every step.
scheduled(P.stream, *P.betas_hidden, lr=0.3, eps=1e-7)
# expected
m_hat = averages(P.stream, P.betas_hidden[0])
v_hat = averages(np.square(P.stream), P.betas_hidden[1])
0.3 * m_hat / (np.sqrt(v_hat) + 1e-7)

# %% hidden scheduled-forgets
# A first beta of zero in the middle, and constant betas before it.
betas = [P.beta1] * 3 + [0.0] + [P.beta1] * 2
scheduled(P.stream, betas, [P.beta2] * 6, lr=1.0, eps=0.0)
# expected
whole = updates(P.stream, beta1=P.beta1, beta2=P.beta2)
# from the fourth step on, m is the plain average that starts at g_4
average, after = P.stream[3], [P.stream[3]]
for g in P.stream[4:]:
    average = P.beta1 * average + (1 - P.beta1) * g
    after.append(average)
v_hat = averages(np.square(P.stream), [P.beta2] * 6)
[*whole[:3], *(np.array(after) / np.sqrt(v_hat[3:]))]

# %% [markdown]
r"""
### 2c What the usual code does (SymPy)

A library keeps dividing by $1 - b_t^t$, with the beta of the present step. Let the beta be $a$ in
steps 1 to $k$ and $b$ in all later ones, and let every gradient have the mean $\mu \ne 0$. Give
$\mathbb E[\hat m_t]/\mu$ for $t > k$ as a SymPy expression in the four symbols below.
"""

# %% answer usual-ratio
a, b = sp.symbols("a b", positive=True)
k, t = sp.symbols("k t", integer=True, positive=True)
usual_ratio = None
# BEGIN SOLUTION
usual_ratio = (1 - a**k * b ** (t - k)) / (1 - b**t)
# END SOLUTION

# %% test usual-ratio-shown
# The value at one point.
float(usual_ratio.subs({a: sp.Rational(1, 2), b: sp.Rational(9, 10), k: 2, t: 3}))
# expected
m = 0.0
for beta in (0.5, 0.5, 0.9):
    m = beta * m + (1 - beta)
m / (1 - 0.9**3)

# %% hidden usual-ratio-points
# The values at other points, soon and long after the change.
a, b = sp.symbols("a b", positive=True)  # a later cell may have used the names
k, t = sp.symbols("k t", integer=True, positive=True)
points = [(P.a, 0.95, P.k, P.k + 1), (0.9, P.a, P.k, 12), (0.9, 0.99, 8, 90)]
[float(usual_ratio.subs(dict(zip((a, b, k, t), point, strict=True)))) for point in points]
# expected
points = [(P.a, 0.95, P.k, P.k + 1), (0.9, P.a, P.k, 12), (0.9, 0.99, 8, 90)]
values = []
for first, second, change, steps in points:
    m = 0.0
    for step in range(1, steps + 1):
        beta = first if step <= change else second
        m = beta * m + (1 - beta)
    values.append(m / (1 - second**steps))
values

# %% [markdown]
r"""
## 3 A feature that is seldom there

A word occurs in every $p$-th mini-batch and its gradient is then always the same $g \ne 0$; in
between it is 0. Let $\varepsilon = 0$, $\beta_1 < \sqrt{\beta_2}$, and let the run be so old that
both corrections are over and the steps repeat with period $p$. (SymPy, in the symbols below.)

- `arrival`: the length of the step at which the gradient arrives, in units of $\eta$.
- `travelled`: the distance that the parameter moves in one whole period, in units of $\eta$.
"""

# %% answer seldom
beta1, beta2 = sp.symbols("beta1 beta2", positive=True)
p = sp.Symbol("p", integer=True, positive=True)
arrival = None
travelled = None
# BEGIN SOLUTION
arrival = (1 - beta1) / (1 - beta1**p) * sp.sqrt((1 - beta2**p) / (1 - beta2))
quotient = beta1 / sp.sqrt(beta2)
travelled = arrival * (1 - quotient**p) / (1 - quotient)
# END SOLUTION

# %% test arrival-shown
# The step at which the gradient arrives, at one point.
float(arrival.subs({beta1: 0.5, beta2: 0.8, p: P.period}))
# expected
old_run(0.5, 0.8, P.period)[0]

# %% hidden arrival-points
# The same at other points.
beta1, beta2 = sp.symbols("beta1 beta2", positive=True)  # a later cell may have used the names
p = sp.Symbol("p", integer=True, positive=True)
points = [(P.beta1, 0.9, P.period), (0.3, 0.95, P.period_hidden), (0.5, 0.7, 1)]
[float(arrival.subs(dict(zip((beta1, beta2, p), point, strict=True)))) for point in points]
# expected
points = [(P.beta1, 0.9, P.period), (0.3, 0.95, P.period_hidden), (0.5, 0.7, 1)]
[old_run(*point)[0] for point in points]

# %% hidden travelled-points
# The distance in one period.
beta1, beta2 = sp.symbols("beta1 beta2", positive=True)  # a later cell may have used the names
p = sp.Symbol("p", integer=True, positive=True)
points = [(P.beta1, 0.9, P.period), (0.3, 0.95, P.period_hidden), (0.5, 0.7, 1)]
[float(travelled.subs(dict(zip((beta1, beta2, p), point, strict=True)))) for point in points]
# expected
points = [(P.beta1, 0.9, P.period), (0.3, 0.95, P.period_hidden), (0.5, 0.7, 1)]
[old_run(*point).sum() for point in points]

# %% [markdown]
r"""
## 4 Diagnosis

A colleague's Adam counts its steps anew in every epoch, and departs from Adam in two more places.
"""


# %% given suspect
def suspect(gradients, epoch, lr, beta1, beta2, eps):
    """Return the updates of an Adam that is not one; an epoch has `epoch` steps."""
    updates = []
    m = v = 0.0
    for n, g in enumerate(gradients):
        t = n % epoch + 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g - m) ** 2
        m = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        updates.append(lr * m / (np.sqrt(v_hat) + eps))
    return np.array(updates)


# %% [markdown]
r"""
Repair it, in the colleague's own lines: the arguments stay, and `epoch` is no longer needed.
"""


# %% answer repaired
def repaired(gradients, epoch, lr, beta1, beta2, eps):
    """Return the updates of Adam."""
    # BEGIN SOLUTION
    updates = []
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        updates.append(lr * m_hat / (np.sqrt(v_hat) + eps))
    return np.array(updates)
    # END SOLUTION


# %% test repaired-two-epochs
# Two epochs of two steps.
repaired(P.epochs_shown, epoch=2, lr=1.0, beta1=P.beta1, beta2=P.beta2, eps=1e-8)
# expected
updates(P.epochs_shown, beta1=P.beta1, beta2=P.beta2, eps=1e-8)

# %% hidden repaired-stream
# Other streams and epochs, with an epsilon that matters.
[repaired(P.stream, epoch, lr=0.5, beta1=P.beta1, beta2=P.beta2, eps=0.1) for epoch in (1, 4)]
# expected
[updates(P.stream, lr=0.5, beta1=P.beta1, beta2=P.beta2, eps=0.1)] * 2

# %% [markdown]
r"""
Suppose that the counter were the only mistake. All gradients are equal, $\beta_1 = P.beta1$,
$\beta_2 = P.beta2$, $\varepsilon = 0$, and an epoch has P.epoch steps. How many times as long as
Adam's is the first step of the second epoch? Give the number to at least four digits.
"""

# %% answer restart-factor
restart_factor = None
# BEGIN SOLUTION
restart_factor = (
    (1 - P.beta1 ** (P.epoch + 1))
    / (1 - P.beta1)
    * np.sqrt((1 - P.beta2) / (1 - P.beta2 ** (P.epoch + 1)))
)
# END SOLUTION

# %% hidden restart-factor-value rtol=1e-3
# The number of task 4.
restart_factor
# expected
m = v = 0.0
for _ in range(P.epoch + 1):
    m = P.beta1 * m + 1 - P.beta1
    v = P.beta2 * v + 1 - P.beta2
m / (1 - P.beta1) / np.sqrt(v / (1 - P.beta2))

# %% [markdown]
r"""
### Explanation (4 points, by hand)

Name the two other mistakes. For each, taken alone, say what it does to the length of the steps when
all gradients are equal. Why may a plot of the loss show neither?

**Rubric**

- 1 point: both mistakes are named.
- 2 points: one for each effect: a number, a formula, or a run that shows it.
- 1 point: a reason why a falling loss proves nothing here.
"""

# %% [markdown] manual explanation points=4
r"""
The squares are taken of $g - m$, which estimates a variance and not $\mathbb E[g^2]$. With equal
gradients $g - m_t = \beta_1^t g$, so the first step is $\eta/\beta_1$ long instead of $\eta$; then
$v$ decays to 0, and the steps grow like $\beta_2^{-t/2}$. The corrected $m$ is written back into
the memory, so the correction is applied again and again: the first step is right, the second is
$1/(1 - \beta_1^2)$ times as long as it should be, the next ones up to 1.7, 2.7 and 10.1 times for
$\beta_1 = 0.6$, 0.7 and 0.8, and the factor falls back to 1 as $\beta_1^t$ fades. Both change the
length of the steps, hardly their sign. A loss falls with steps of many lengths, and a tuned
learning rate hides what is left.
"""

# %% [markdown]
r"""
## 5 Plot (5 points, by hand)

All gradients are 1, $\varepsilon = 0$, and $\beta_2$ is P.from_beta2 for the first P.jump steps and
0.999 afterwards; $\beta_1 = 0.9$ throughout. Plot against $t = 1, \dots, 2000$ the length of the
step, in units of $\eta$, with the right correction and with the usual one of task 2c. Write below
the plot, as a comment, what the usual correction does to the run and how long it lasts.

**Rubric**

- 2 points: both curves are right (one is constant).
- 1 point: axes are labelled, curves are told apart without colour, the scales show the effect.
- 2 points: the comment gives the size of the effect, its duration, and its cause in a sentence.
"""

# %% manual plot points=5
steps = np.arange(1, 2001)
m = v = 0.0
kept = 1.0
right, usual = [], []
for step in steps:
    beta = P.from_beta2 if step <= P.jump else 0.999
    v = beta * v + 1 - beta
    kept *= beta
    right.append(1 / np.sqrt(v / (1 - kept)))
    usual.append(1 / np.sqrt(v / (1 - beta**step)))
plt.plot(steps, right, "-", label="product of the betas")
plt.plot(steps, usual, "--", label="power of the last beta")
plt.xlabel("step $t$")
plt.ylabel(r"step length / $\eta$")
plt.legend()
plt.show()
# The usual correction divides an average that is nearly full by 1 - 0.999**t, which is small: the
# steps are too short, by a factor of 3.5 to 5 at the change, depending on when it comes. They
# recover only as 0.999**t fades: they are 10 % too short at some 1600 steps, and 1 % at 3900,
# beyond the end of the plot.
