"""Gradient descent and momentum."""

from grading import P

# The rules with a mean of gradients are momentum if their eps is large enough.
WITHHELD = [
    "Momentum",
    "Nesterov",
    "RMSProp",
    "AdaDeltaMomentum",
    "Adam",
    "AdamW",
    "AdamL2",
    "AdaMax",
    "Nadam",
    "AMSGrad",
]


def parameters(draw):
    """Return what differs between two courses."""
    return {
        "lr": draw.choice(0.1, 0.2, 0.4),
        "mu": draw.choice(0.4, 0.5, 0.6),
        "nu": draw.choice(0.6, 0.7, 0.75),
        "shown": draw.signed(3, 1.0, 5.0, 1),
        "table": [draw.signed(2, 0.5, 4.0) for _ in range(5)],
        "rates": draw.numbers(5, 0.05, 0.6),
        "long": draw.signed(40, 0.2, 3.0),
        "start": draw.signed(2, 1.0, 4.0, 1),
        "far": draw.signed(3, 1.5, 3.0),
        "slow": draw.choice(0.12, 0.16, 0.24),
        "delays": [draw.integer(2, 3), draw.integer(4, 6)],
        "ell": draw.choice(0.2, 0.3, 0.7),
        "big": draw.choice(1.5, 3.0, 8.0),
        "whole": [draw.choice(-7, -5, -4), draw.choice(3, 6, 8)],
        "decay": draw.choice(0.3, 0.4, 0.6),
        "curve": draw.choice(1.5, 2.5),
        "centre": draw.choice(3, 4, 6),
    }


# %% [markdown]
r"""
# Assignment 1: gradient descent and momentum

You need the chapters *Gradient descent* and *Momentum and Nesterov*. The exercise
`ex-momentum-dampening` is a first practice for task 1, `ex-gradient-descent-pair` for task 2, and
`ex-momentum-double` and `ex-gradient-descent-diagnose` prepare task 3. Plan 110 minutes: 25 for
task 1, 40 for task 2, 25 for task 3, and the rest for the plot.
"""

# %% given imports
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

# %% teacher reference
from optimlib import SGD, Momentum, Nesterov


def moved(opt, gradients):
    """Return what an optimizer of the package subtracts at each step."""
    return np.array([-opt.step(np.zeros_like(g), g) for g in np.asarray(gradients, dtype=float)])


def blended(gradients, lrs, mu, nu):
    """Return the updates of task 1: those of two rules of the package, mixed."""
    plain = SGD(lr=lambda t: lrs[t - 1])
    heavy = Momentum(lr=lambda t: (1 - mu) * lrs[t - 1], momentum=mu, lr_inside=True)
    return (1 - nu) * moved(plain, gradients) + nu * moved(heavy, gradients)


def late_path(gradient, x0, lr, mu, delay, steps):
    """Return the iterates of task 2: the package's momentum, fed with old gradients."""
    opt, path = Momentum(lr=lr, momentum=mu), [np.array(x0, dtype=float)]
    on_their_way = [gradient(path[0])] * delay
    for _ in range(steps):
        on_their_way.append(gradient(path[-1]))
        path.append(opt.step(path[-1], on_their_way.pop(0)))
    return np.array(path)


def edge(radius, high):
    """Return where a radius that is below 1 near 0 and above 1 at `high` crosses 1."""
    low = 1e-9
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if radius(middle) < 1 else (low, middle)
    return low


def blended_edge(mu, nu):
    """Return the largest stable rate of task 1 at curvature 1, from the matrix of (x, c)."""

    def radius(q):
        step = [[1 - (1 - nu) * q - nu * (1 - mu) * q, -nu * mu], [(1 - mu) * q, mu]]
        return np.abs(np.linalg.eigvals(step)).max()

    return edge(radius, 2 * (1 + mu) / (1 - mu) + 1)


def late_radius(q, mu):
    """Return the largest eigenvalue, in size, with a delay of one step."""
    return np.abs(np.linalg.eigvals([[1 + mu, -mu - q], [1.0, 0.0]])).max()


def best_late(ell, big):
    """Return the best rate with a delay of one step, and its factor, by a search."""

    def worst(lr):
        return max(late_radius(lr * curvature, 0.0) for curvature in np.linspace(ell, big, 9))

    low, high = 0.0, 1 / big
    for _ in range(120):
        a, b = low + 0.4 * (high - low), low + 0.6 * (high - low)
        low, high = (low, b) if worst(a) < worst(b) else (a, high)
    return low, worst(low)


# %% [markdown]
r"""
## 1 Gradient and velocity, mixed

Momentum steps along a velocity, gradient descent along the gradient. Mix the two, with the learning
rate inside the velocity and a learning rate $\eta_t$ for every step:

$$
c_t = \mu\, c_{t-1} + (1 - \mu)\, \eta_t\, g_t, \qquad c_0 = 0, \qquad
x_t = x_{t-1} - \bigl( (1 - \nu)\, \eta_t\, g_t + \nu\, c_t \bigr) .
$$

### 1a The rule

Write it as one function of all gradients. It returns the updates: what is *subtracted* from $x$ at
each step. A gradient is a number or an array; `gradients[0]` is $g_1$ and `lrs[0]` is $\eta_1$.
"""


# %% answer mixed
def mixed(gradients, lrs, mu, nu):
    """Return the array of updates, of the shape of the array of gradients."""
    # BEGIN SOLUTION
    updates = []
    c = 0.0
    for g, lr in zip(np.asarray(gradients, dtype=float), lrs, strict=True):
        c = mu * c + (1 - mu) * lr * g
        updates.append((1 - nu) * lr * g + nu * c)
    return np.array(updates)
    # END SOLUTION


# %% test mixed-three-steps
# Three steps with one parameter and one learning rate.
mixed(P.shown, [P.lr] * 3, mu=P.mu, nu=P.nu)
# expected
blended(P.shown, [P.lr] * 3, mu=P.mu, nu=P.nu)

# %% hidden mixed-rates
# Several parameters, one of them never with a gradient, and rates that change.
columns = np.column_stack([P.table, np.zeros(5)])
mixed(columns, P.rates, mu=0.8, nu=P.nu)
# expected
columns = np.column_stack([P.table, np.zeros(5)])
blended(columns, P.rates, mu=0.8, nu=P.nu)

# %% hidden mixed-late
# Late steps of a long stream, with a velocity that remembers much and a rate that falls.
mixed(P.long, 0.3 / np.arange(1, 41), mu=0.95, nu=1.2)[-5:]
# expected
blended(P.long, 0.3 / np.arange(1, 41), mu=0.95, nu=1.2)[-5:]

# %% [markdown]
r"""
### 1b Where is Nesterov? (SymPy)

Let the learning rate of the mixture be constant; call it $\alpha$. With the right $\alpha$ and
$\nu$ the mixture is the chapter's Nesterov, $b_t = \mu b_{t-1} + g_t$ and
$x_t = x_{t-1} - \eta\,(g_t + \mu b_t)$, whatever the gradients. Give both in the symbols below.
"""

# %% answer nesterov
eta, mu = sp.symbols("eta mu", positive=True)
nesterov_alpha = None
nesterov_nu = None
# BEGIN SOLUTION
nesterov_alpha = eta / (1 - mu)
nesterov_nu = mu
# END SOLUTION

# %% hidden nesterov-points
# Both at two points.
eta, mu = sp.symbols("eta mu", positive=True)  # a later cell may have used the names
points = [(0.1, P.mu), (P.lr, 0.9)]
[[float(value.subs({eta: a, mu: b})) for value in (nesterov_alpha, nesterov_nu)] for a, b in points]
# expected
# the answer to one gradient at the start decides: alpha (1 - nu mu), then alpha nu mu (1 - mu)
pairs = []
for a, b in [(0.1, P.mu), (P.lr, 0.9)]:
    first, second = moved(Nesterov(lr=a, momentum=b), [1.0, 0.0])
    from_velocity = second / (b * (1 - b))
    alpha = first + from_velocity * b
    pairs.append([alpha, from_velocity / alpha])
pairs

# %% [markdown]
r"""
### 1c How long may a step be? (SymPy)

On $\frac12\lambda x^2$ with a constant $\alpha$, $0 \le \mu < 1$ and $0 \le \nu \le 1$ the mixture
converges from every start if and only if $0 < \alpha\lambda < q^\star$. Find $q^\star$. (The lemma
*Jury's conditions* of the chapter helps. At $\nu = 0$ you must get the limit of gradient descent.)
"""

# %% answer largest
mu, nu = sp.symbols("mu nu", positive=True)
largest = None
# BEGIN SOLUTION
largest = 2 * (1 + mu) / (1 + mu - 2 * mu * nu)
# END SOLUTION

# %% test largest-shown
# The limit at one point.
float(largest.subs({mu: sp.Rational(1, 2), nu: sp.Rational(1, 2)}))
# expected
blended_edge(0.5, 0.5)

# %% hidden largest-points
# The limit at other points.
mu, nu = sp.symbols("mu nu", positive=True)  # a later cell may have used the names
[float(largest.subs({mu: a, nu: b})) for a, b in [(P.mu, P.nu), (0.9, 0.25), (0.8, 0.95)]]
# expected
[blended_edge(a, b) for a, b in [(P.mu, P.nu), (0.9, 0.25), (0.8, 0.95)]]

# %% [markdown]
r"""
## 2 Old gradients

Another machine computes the gradients. One takes so long that it arrives $d$ steps late:

$$
x_t = x_{t-1} - \eta\, \nabla f(x_{t-1-d}) + \mu\, (x_{t-1} - x_{t-2}), \qquad
x_s = x_0 \;\text{ for }\; s < 0 .
$$

With $d = 0$ this is the heavy ball.

### 2a The rule

Write it. `gradient` is a function, `x0` a number, a list or an array, `delay` is $d$.
"""


# %% answer stale
def stale(gradient, x0, lr, mu, delay, steps):
    """Return the array of the iterates x_0, ..., x_steps."""
    # BEGIN SOLUTION
    path = [np.array(x0, dtype=float)]
    for t in range(1, steps + 1):
        step = mu * (path[t - 1] - path[max(t - 2, 0)])
        path.append(path[t - 1] - lr * gradient(path[max(t - 1 - delay, 0)]) + step)
    return np.array(path)
    # END SOLUTION


# %% test stale-one-step
# Gradients that are one step late, without momentum.
stale(lambda x: np.array([0.1, 2.0]) * x, P.start, lr=P.slow, mu=0.0, delay=1, steps=4)
# expected
late_path(lambda x: np.array([0.1, 2.0]) * x, P.start, lr=P.slow, mu=0.0, delay=1, steps=4)

# %% hidden stale-longer
# Longer delays, with momentum, on another function.
[stale(np.sinh, P.far, lr=0.1, mu=P.mu, delay=d, steps=9) for d in P.delays]
# expected
[late_path(np.sinh, P.far, lr=0.1, mu=P.mu, delay=d, steps=9) for d in P.delays]

# %% [markdown]
r"""
### 2b The best rate (SymPy)

Let $d = 1$ and $\mu = 0$. On a quadratic whose curvatures fill $[\ell, L]$, $\ell < L$, every
curvature gives a polynomial of its own, with roots $z$. Find the learning rate for which the
largest $|z|$ of all is smallest, and that smallest value, the factor of one step in the long run.
"""

# %% answer best
ell, L = sp.symbols("ell L", positive=True)
best_rate = None
best_factor = None
# BEGIN SOLUTION
best_rate = L / (L + ell) ** 2
best_factor = L / (L + ell)
# END SOLUTION

# %% test best-ravine
# The best rate on the ravine.
float(best_rate.subs({ell: sp.Rational(1, 10), L: 2}))
# expected
best_late(0.1, 2.0)[0]

# %% hidden best-rate-points
# The best rate elsewhere.
ell, L = sp.symbols("ell L", positive=True)  # a later cell may have used the names
[float(best_rate.subs({ell: a, L: b})) for a, b in [(P.ell, P.big), (0.5, 20.0)]]
# expected
[best_late(a, b)[0] for a, b in [(P.ell, P.big), (0.5, 20.0)]]

# %% hidden best-factor-points
# The factor.
ell, L = sp.symbols("ell L", positive=True)  # a later cell may have used the names
[float(best_factor.subs({ell: a, L: b})) for a, b in [(P.ell, P.big), (0.5, 20.0)]]
# expected
[best_late(a, b)[1] for a, b in [(P.ell, P.big), (0.5, 20.0)]]

# %% [markdown]
r"""
### 2c Derivation (6 points, by hand)

Prove what you gave in 2b. Say first for which $\eta\lambda$ the run on $\frac12\lambda x^2$
converges from every start. At the end compare with gradient descent without a delay, at its own
best rate: how many times as many steps does the delay cost for large $\kappa = L/\ell$?

**Rubric**

- 1 point: the polynomial and the bound on $\eta\lambda$ are right, with a reason.
- 2 points: the largest $|z|$ is found for every stable $\eta\lambda$, and where it falls and grows.
- 2 points: it is shown why the two ends decide, at which rate, and both formulas follow.
- 1 point: the comparison is right.
"""

# %% [markdown] manual derivation points=6
r"""
With $q = \eta\lambda$, $x_t = x_{t-1} - q\, x_{t-2}$ has the polynomial $p(z) = z^2 - z + q$.
Jury's conditions: $p(1) = q > 0$, $p(-1) = 2 + q > 0$ and $q < 1$. So it converges if and only if
$0 < \eta\lambda < 1$.

For $q \le \frac14$ the roots are real and positive, and the larger, $\frac12 (1 + \sqrt{1 - 4q})$,
falls from 1 to $\frac12$. For $q \ge \frac14$ they are a conjugate pair with the product $q$, so
$|z| = \sqrt q$ grows from $\frac12$ to 1. Call this function $\rho(q)$. It falls, then grows, so on
$[\eta\ell, \eta L]$ it is largest at an end.

If $\eta L < \frac14$, a larger $\eta$ lowers both ends; if $\eta\ell > \frac14$, a smaller one
does. In between $\rho(\eta\ell)$ falls and $\rho(\eta L)$ grows with $\eta$, strictly, so the
larger of the two is smallest where they are equal. Call that value $r$. Then $\eta L = r^2$, and
$p(r) = 0$ at the other end: $\eta\ell = r - r^2$. Divide: $\kappa = r/(1 - r)$, hence

$$
r = \frac{\kappa}{\kappa + 1} = \frac{L}{L + \ell}, \qquad
\eta = \frac{r^2}{L} = \frac{L}{(L + \ell)^2} .
$$

As $r > \frac12$, it is the larger of the two roots at $\ell$, as it must be. For large $\kappa$,
$-\ln r = \ln(1 + \frac1\kappa) \approx \frac1\kappa$, and without a delay
$-\ln\frac{\kappa-1}{\kappa+1} \approx \frac2\kappa$: twice as many steps.
"""

# %% [markdown]
r"""
### 2d With momentum (SymPy)

Let again $d = 1$, now with $0 \le \mu < 1$. On $\frac12\lambda x^2$ the run converges from every
start if and only if $0 < \eta\lambda < q^\star$. Find $q^\star$.
"""

# %% answer late-limit
mu = sp.Symbol("mu", positive=True)
late_limit = None
# BEGIN SOLUTION
late_limit = 1 - mu
# END SOLUTION

# %% hidden late-limit-points
# The limit at three points.
mu = sp.Symbol("mu", positive=True)  # a later cell may have used the name
[float(late_limit.subs({mu: value})) for value in (0.3, P.mu, 0.9)]
# expected
[edge(lambda q, mu=value: late_radius(q, mu), 3.0) for value in (0.3, P.mu, 0.9)]

# %% [markdown]
r"""
## 3 Diagnosis

A colleague wrote momentum with the velocity $b_t = \mu b_{t-1} + g_t$ and an L2 penalty: a share
$w$ of $x$ (`decay` in code) is added to the gradient, which then enters the velocity. It lowers the
loss on all of the colleague's problems, and it is wrong in three places.
"""


# %% given suspect
def suspect(gradient, x0, lr, mu, decay, steps):
    """Return the iterates of a momentum that is not one."""
    x = np.array(x0, dtype=float)
    b = np.zeros_like(x0)
    path = [x]
    for _ in range(steps):
        g = gradient(x)
        x = x - lr * (b + decay * x)
        b[...] = mu * b + g
        path.append(x)
    return np.array(path)


# %% [markdown]
r"""
Repair it: the arguments stay, and `x0` is again a number, a list or an array.
"""


# %% answer repaired
def repaired(gradient, x0, lr, mu, decay, steps):
    """Return the iterates x_0, ..., x_steps of momentum with an L2 penalty."""
    # BEGIN SOLUTION
    x = np.array(x0, dtype=float)
    b = np.zeros_like(x)
    path = [x]
    for _ in range(steps):
        g = gradient(x) + decay * x
        b = mu * b + g
        x = x - lr * b
        path.append(x)
    return np.array(path)
    # END SOLUTION


# %% test repaired-shown
# The ravine, four steps, no penalty.
repaired(lambda x: np.array([0.1, 2.0]) * x, P.start, lr=P.lr, mu=P.mu, decay=0.0, steps=4)
# expected
opt = Momentum(lr=P.lr, momentum=P.mu)
opt.run(lambda x: np.array([0.1, 2.0]) * x, np.array(P.start), 4).path

# %% hidden repaired-penalty
# Another function, with a penalty.
repaired(np.sinh, P.far, lr=0.05, mu=0.8, decay=P.decay, steps=8)
# expected
Momentum(lr=0.05, momentum=0.8, weight_decay=P.decay).run(np.sinh, np.array(P.far), 8).path

# %% hidden repaired-starts
# Other starts.
[
    repaired(lambda x: 0.3 * x - 1.0, start, lr=0.25, mu=0.7, decay=0.1, steps=6)
    for start in (P.whole, [0, 2], [-1.5, 0.5])
]
# expected
[
    Momentum(lr=0.25, momentum=0.7, weight_decay=0.1)
    .run(lambda x: 0.3 * x - 1.0, np.array(start, dtype=float), 6)
    .path
    for start in (P.whole, [0, 2], [-1.5, 0.5])
]

# %% [markdown]
r"""
Suppose that only the penalty were in the wrong place. The function is
$\frac12 \cdot P.curve\, (x - P.centre)^2$, $\mu = P.mu$, $w = P.decay$, and $\eta$ is small. Where
does the run come to rest? Give the number to at least four digits.
"""

# %% answer resting-point
resting_point = None
# BEGIN SOLUTION
resting_point = P.curve * P.centre / (P.curve + (1 - P.mu) * P.decay)
# END SOLUTION

# %% hidden resting-point-value rtol=1e-3
# The number of task 3.
resting_point
# expected
opt, x = Momentum(lr=0.02, momentum=P.mu), 0.0
for _ in range(4000):
    x = opt.step(x, P.curve * (x - P.centre)) - 0.02 * P.decay * x
x

# %% [markdown]
r"""
### Explanation (4 points, by hand)

Name the three mistakes. For each, suppose that the other two are repaired, and say what it does:
give a number, a formula, or a run that shows it. (Task 2 knows one of them.) Then say why a loss
that falls shows none of the three.

**Rubric**

- 3 points: one for each mistake: it is named, and its effect is right and shown.
- 1 point: a reason why a falling loss proves nothing here.
"""

# %% [markdown] manual explanation points=4
r"""
- *The step comes before the velocity is renewed.* It uses $b_{t-1}$, so
  $x_t = x_{t-1} - \eta g_{t-1} + \mu (x_{t-1} - x_{t-2})$: the old gradients of task 2, $d = 1$.
  The first step does nothing, and the run bears only $\eta\lambda < 1 - \mu$, not $2 + 2\mu$.
- *The penalty does not go through the velocity.* The velocity of a steady gradient is
  $g/(1 - \mu)$, the penalty stays $w x$. So the run rests where $g + (1-\mu)\, w x = 0$: the
  penalty is weaker than asked for, by the factor $1 - \mu$.
- *The velocity has the type of the start.* From a list of whole numbers `np.zeros_like` makes
  integers, and `b[...] =` cuts off the fraction at every step. From rest, gradients below 1 in size
  move nothing: on $\frac12 \cdot 0.1\, x^2$ the run from $x_0 = 4$ never leaves it. From `4.0` all
  is well.

A loss falls whenever small enough steps point roughly downhill. From starts with a decimal point
all three leave that as it is: they change which rates are stable, where the run ends, and from
which starts it moves. Only a comparison of iterates, with a penalty and from several starts, can
tell.
"""

# %% [markdown]
r"""
## 4 Plot (5 points, by hand)

For the delays $d = 0, 1, \dots, 12$ of task 2 find the largest $\eta\lambda$ at which the run still
converges on $\frac12\lambda x^2$, for $\mu = 0$, P.mu and 0.9: by the roots of a polynomial, or by
runs. Plot the three limits against $d$. Write below the plot, as a comment, what momentum does to
the limit without and with a delay, why, and what becomes of the comparison if $\eta/(1-\mu)$ takes
the place of $\eta$.

**Rubric**

- 2 points: the three curves are right; those at $d = 0$ and $d = 1$ agree with formulas.
- 1 point: axes are labelled, curves are told apart without colour, all limits can be read.
- 2 points: the comment tells the two cases apart and gives a reason (1); the comparison at equal
  $\eta/(1-\mu)$ is right (1).
"""


# %% manual plot points=5
def stable_limit(mu, delay):
    """Return the largest stable product of learning rate and curvature, by bisection."""
    low, high = 0.0, 4.0
    while high - low > 1e-9:
        q = (low + high) / 2
        polynomial = np.zeros(max(delay + 1, 2) + 1)
        polynomial[:3] = 1, -1 - mu, mu
        polynomial[1 + delay] += q
        inside = np.abs(np.roots(polynomial)).max() < 1
        low, high = (q, high) if inside else (low, q)
    return low


for momentum, line in ((0.0, "-o"), (P.mu, "--s"), (0.9, ":^")):
    limits = [stable_limit(momentum, delay) for delay in range(13)]
    plt.plot(limits, line, label=rf"$\mu = {momentum}$")
    print(momentum, np.round(limits[:4], 4), "by 1 - mu:", np.round(limits[1] / (1 - momentum), 4))
plt.yscale("log")
plt.xlabel("delay $d$ in steps")
plt.ylabel(r"largest stable $\eta\lambda$")
plt.legend()
plt.show()
# Without a delay the limit is 2 + 2 mu: momentum bears more. With a delay it bears less, 1 - mu at
# d = 1, and the longer the delay the less. A gradient moves x by eta/(1 - mu) times itself in all,
# through the velocity. If the news of having crossed the minimum comes late, all that goes too far.
# In eta/(1 - mu) the limits at d = 1 are the same, 1 for every mu. For longer delays they differ by
# a small factor only, and momentum, which answers later still, has the lower one; all fall about
# like 1/d. At d = 0 they lie far apart: 2, and 2 (1 + mu)/(1 - mu) with momentum.
