"""Record what other libraries do with prescribed gradients: ``python tests/parity/record.py``.

Every library is given the same start and the same 1000 gradients, all in float64, and its
iterates are stored beside this script, one file a library. `RUNS` says which rule ran with which
settings, in optimlib's names. `CALLS` says what the library calls them. A setting that is not in
`RUNS` is the library's own default, which is how those defaults come under test.

Optax's Rprop is not recorded: in 0.2.8 it applies each update one step late.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
STEPS = 1000
# State carries an early mistake on and a late one grows, so no wrong rule fits between these.
KEPT = np.array([*range(1, 31), *range(50, STEPS + 1, 50)])


@dataclass(frozen=True)
class Halved:
    """A learning rate that is halved after ten steps: it tells inside a velocity from outside."""

    lr: float

    def __call__(self, t):
        """Return the learning rate of step t."""
        return self.lr if t <= 10 else self.lr / 2

    def __repr__(self):
        """Return what a stored run is called by."""
        return f"{self.lr} then {self.lr / 2}"


# A fast average, an epsilon that matters, and a step that can be seen.
_MOMENTS = {"lr": 0.03, "beta1": 0.7, "beta2": 0.9, "eps": 1e-3}

RUNS = {
    "torch": {
        "SGD": [{}, {"lr": 0.02, "weight_decay": 0.1}],
        "Momentum": [
            {},
            {"momentum": 0.9},
            {"lr": 0.02, "momentum": 0.8, "dampening": 0.3},
            {"lr": 0.02, "momentum": 0.5, "dampening": 1.0, "weight_decay": 0.1},
            {"lr": Halved(0.1), "momentum": 0.9},
        ],
        "Nesterov": [
            {"momentum": 0.9},
            {"lr": 0.02, "momentum": 0.7, "weight_decay": 0.1},
            {"lr": Halved(0.1), "momentum": 0.9},
        ],
        "Rprop": [
            {},
            {"lr": 0.1, "eta_minus": 0.3, "eta_plus": 1.5, "step_min": 0.01, "step_max": 0.5},
            {"lr": 0.01, "step_min": 0.05, "step_max": 2.0},
            {"lr": 9.0, "step_min": 0.05, "step_max": 2.0},
        ],
        "AdaGrad": [
            {},
            {"lr": 0.2, "eps": 1e-2},
            {"lr": 0.2, "lr_decay": 0.05, "initial": 0.3},
        ],
        "RMSProp": [
            {},
            {"lr": 0.03, "rho": 0.9, "eps": 1e-3},
            {"lr": 0.03, "rho": 0.9, "momentum": 0.7},
            {"lr": 0.03, "rho": 0.9, "centered": True},
            {"rho": 0.8, "momentum": 0.5, "centered": True, "eps": 1e-3},
            {"lr": Halved(0.1), "momentum": 0.9},
        ],
        "AdaDelta": [{}, {"lr": 0.7, "rho": 0.97, "eps": 1e-3}],
        "Adam": [{}, _MOMENTS, {"beta1": 0.0, "beta2": 0.5}],
        "AdaMax": [{}, _MOMENTS],
        "Nadam": [{}, _MOMENTS | {"momentum_decay": 0.05}, {"momentum_decay": 0.0}],
        "AMSGrad": [{}, _MOMENTS],
        "AdamW": [{}, _MOMENTS | {"weight_decay": 0.3}],
        "AdamL2": [{}, {"weight_decay": 0.01}, _MOMENTS | {"weight_decay": 0.3}],
    },
    # Optax has no default learning rate, except AdaDelta's None, with which it ascends.
    "optax": {
        "SGD": [{"lr": 0.02}],
        "Momentum": [
            {"lr": 0.02, "momentum": 0.9},
            {"lr": 0.1, "momentum": 0.6},
            {"lr": Halved(0.1), "momentum": 0.9},
        ],
        "Nesterov": [
            {"lr": 0.02, "momentum": 0.9},
            {"lr": 0.1, "momentum": 0.6},
            {"lr": Halved(0.1), "momentum": 0.9},
        ],
        "AdaGrad": [{"lr": 0.2}, {"lr": 0.2, "eps": 1e-2, "initial": 0.5}],
        "RMSProp": [
            {"lr": 0.01},
            {"lr": 0.03, "rho": 0.8, "eps": 1e-3, "initial": 0.5},
            {"lr": 0.03, "eps": 1e-3, "eps_inside": False},
            {"lr": 0.03, "momentum": 0.7},
            {"lr": 0.03, "centered": True},
            {"lr": 0.03, "centered": True, "momentum": 0.7, "eps": 1e-3, "eps_inside": False},
            {"lr": Halved(0.1), "momentum": 0.9},
        ],
        "AdaDelta": [{"lr": 1.0}, {"lr": 0.7, "rho": 0.97, "eps": 1e-3}],
        "Adam": [{"lr": 0.001}, _MOMENTS],
        "AdaMax": [{"lr": 0.002}, _MOMENTS],
        "Nadam": [{"lr": 0.002}, _MOMENTS],
        "AMSGrad": [{"lr": 0.001}, _MOMENTS, _MOMENTS | {"bias_correction": False}],
        "AdamW": [{"lr": 0.001}, _MOMENTS | {"weight_decay": 0.3}],
    },
    "keras": {
        "SGD": [{}, {"lr": 0.05}],
        "Momentum": [
            {},
            {"momentum": 0.9},
            {"lr": 0.1, "momentum": 0.6},
            {"lr": Halved(0.1), "momentum": 0.9},
        ],
        "Nesterov": [
            {},
            {"momentum": 0.9},
            {"lr": 0.1, "momentum": 0.6},
            {"lr": Halved(0.1), "momentum": 0.9},
        ],
        "AdaGrad": [{}, {"lr": 0.2, "eps": 1e-2, "initial": 0.5}],
        "RMSProp": [
            {},
            {"lr": 0.03, "rho": 0.8, "eps": 1e-3},
            {"lr": 0.03, "momentum": 0.7},
            {"lr": 0.03, "centered": True},
            {"lr": 0.03, "rho": 0.8, "momentum": 0.5, "centered": True, "eps": 1e-3},
            {"lr": Halved(0.1), "momentum": 0.9},
        ],
        "AdaDelta": [{}, {"lr": 0.7, "rho": 0.8, "eps": 1e-3}],
        "Adam": [{}, _MOMENTS],
        "AdaMax": [{}, _MOMENTS],
        "Nadam": [{}, _MOMENTS],
        "AMSGrad": [{}, _MOMENTS],
        "AdamW": [{}, _MOMENTS | {"weight_decay": 0.3}],
    },
    "sklearn": {
        "SGD": [{}, {"lr": 0.02}],
        "Momentum": [{}, {"lr": 0.02, "momentum": 0.6}, {"lr": Halved(0.1)}],
        "Nesterov": [{}, {"lr": 0.02, "momentum": 0.6}, {"lr": Halved(0.1)}],
        "Adam": [{}, _MOMENTS],
    },
    "autograd": {
        "Momentum": [{}, {"lr": 0.02, "momentum": 0.6}],
        "RMSProp": [{}, {"lr": 0.03, "rho": 0.7, "eps": 1e-3}],
        "Adam": [{}, _MOMENTS],
    },
}

# rule: (the library's name, what selects the rule there); other words are settings' names.
CALLS = {
    "torch": {
        "SGD": ("SGD", {}),
        "Momentum": ("SGD", {}),
        "Nesterov": ("SGD", {"nesterov": True}),
        "Rprop": ("Rprop", {}),
        "AdaGrad": ("Adagrad", {}),
        "RMSProp": ("RMSprop", {}),
        "AdaDelta": ("Adadelta", {}),
        "Adam": ("Adam", {}),
        "AdaMax": ("Adamax", {}),
        "Nadam": ("NAdam", {}),
        "AMSGrad": ("Adam", {"amsgrad": True}),
        "AdamW": ("AdamW", {}),
        "AdamL2": ("Adam", {}),
    },
    "optax": {
        "SGD": ("sgd", {}),
        "Momentum": ("sgd", {}),
        "Nesterov": ("sgd", {"nesterov": True}),
        "AdaGrad": ("adagrad", {}),
        "RMSProp": ("rmsprop", {}),
        "AdaDelta": ("adadelta", {}),
        "Adam": ("adam", {}),
        "AdaMax": ("adamax", {}),
        "Nadam": ("nadam", {}),
        "AMSGrad": ("amsgrad", {}),
        "AdamW": ("adamw", {}),
    },
    "keras": {
        "SGD": ("SGD", {}),
        "Momentum": ("SGD", {}),
        "Nesterov": ("SGD", {"nesterov": True}),
        "AdaGrad": ("Adagrad", {}),
        "RMSProp": ("RMSprop", {}),
        "AdaDelta": ("Adadelta", {}),
        "Adam": ("Adam", {}),
        "AdaMax": ("Adamax", {}),
        "Nadam": ("Nadam", {}),
        "AMSGrad": ("Adam", {"amsgrad": True}),
        "AdamW": ("AdamW", {}),
    },
    "sklearn": {
        "SGD": ("SGDOptimizer", {"momentum": 0.0, "nesterov": False}),
        "Momentum": ("SGDOptimizer", {"nesterov": False}),
        "Nesterov": ("SGDOptimizer", {}),
        "Adam": ("AdamOptimizer", {}),
    },
    "autograd": {
        "Momentum": ("sgd", {}),
        "RMSProp": ("rmsprop", {}),
        "Adam": ("adam", {}),
    },
}
NAMES = {
    "torch": {
        "initial": "initial_accumulator_value",
        ("beta1", "beta2"): "betas",
        ("eta_minus", "eta_plus"): "etas",
        ("step_min", "step_max"): "step_sizes",
    },
    "optax": {"lr": "learning_rate", "beta1": "b1", "beta2": "b2", "eps_inside": "eps_in_sqrt"},
    "keras": {
        "lr": "learning_rate",
        "beta1": "beta_1",
        "beta2": "beta_2",
        "eps": "epsilon",
        "initial": "initial_accumulator_value",
    },
    "sklearn": {
        "lr": "learning_rate_init",
        "beta1": "beta_1",
        "beta2": "beta_2",
        "eps": "epsilon",
    },
    "autograd": {
        "lr": "step_size",
        "momentum": "mass",
        "beta1": "b1",
        "beta2": "b2",
        "rho": "gamma",
    },
}
# Where one library gives the same thing two names.
NAMES_OF_RULE = {
    ("torch", "RMSProp"): {"rho": "alpha"},
    ("optax", "AdaGrad"): {"initial": "initial_accumulator_value"},
    ("optax", "RMSProp"): {"rho": "decay", "initial": "initial_scale"},
}
NEEDS = {
    "torch": ["torch"],
    "optax": ["optax", "jax"],
    "keras": ["keras", "jax"],
    "sklearn": ["scikit-learn"],
    "autograd": ["autograd"],
}


def label(rule, settings):
    """Return the name under which a run is stored."""
    return f"{rule}({', '.join(f'{name}={value}' for name, value in settings.items())})"


def translate(library, rule, settings):
    """Return the library's name for the rule and its keyword arguments at the first step."""
    call, arguments = CALLS[library][rule]
    left = {name: value(1) if callable(value) else value for name, value in settings.items()}
    arguments = dict(arguments)
    for ours, theirs in (NAMES[library] | NAMES_OF_RULE.get((library, rule), {})).items():
        if isinstance(ours, tuple) and ours[0] in left:
            arguments[theirs] = tuple(left.pop(one) for one in ours)
        elif ours in left:
            arguments[theirs] = left.pop(ours)
    return call, arguments | left


def draw():
    """Return a start and a stream that meet every case a rule distinguishes."""
    rng = np.random.default_rng(20150507)
    scale = np.geomspace(1e-3, 1e2, 12)
    g = rng.normal(size=(STEPS, 12)) * scale
    g[:, 2] = np.abs(g[:, 2]) * (-1.0) ** np.arange(STEPS)  # a flip at every step
    g[:, 5] = np.abs(g[:, 5])  # never a flip
    g[STEPS // 3 :, 8] *= 1e-3  # what a running maximum remembers and an average forgets
    g[rng.random(g.shape) < 0.1] = 0.0
    g[:40, 10] = 0.0  # a feature that wakes late
    g[:, 0] = 0.0  # and one that never does
    return np.linspace(-1.5, 1.5, 12), g


def with_torch(rule, settings, x0, gradients):
    """Yield the iterates of one torch.optim optimizer."""
    import torch

    torch.set_default_dtype(torch.float64)  # else NAdam keeps a product of float32
    call, arguments = translate("torch", rule, settings)
    x = torch.tensor(x0, requires_grad=True)
    optimizer = getattr(torch.optim, call)([x], **arguments)
    for t, g in enumerate(gradients, 1):
        if callable(settings.get("lr")):
            optimizer.param_groups[0]["lr"] = settings["lr"](t)
        x.grad = torch.tensor(g)
        optimizer.step()
        yield x.detach().numpy().copy()


def with_optax(rule, settings, x0, gradients):
    """Yield the iterates of one Optax transformation."""
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)
    call, arguments = translate("optax", rule, settings)
    if rule == "AMSGrad" and "bias_correction" in arguments:
        both = arguments.pop("bias_correction")
        arguments |= {"bias_correction_mu": both, "bias_correction_nu": both}
    if callable(settings["lr"]):
        rates = jax.numpy.array([settings["lr"](t) for t in range(1, len(gradients) + 1)])
        arguments["learning_rate"] = lambda count: rates[count]
    optimizer = getattr(optax, call)(**arguments)
    update = jax.jit(optimizer.update)
    x = jax.numpy.asarray(x0)
    state = optimizer.init(x)
    for g in gradients:
        change, state = update(jax.numpy.asarray(g), state, x)
        x = optax.apply_updates(x, change)
        yield np.asarray(x)


def with_keras(rule, settings, x0, gradients):
    """Yield the iterates of one Keras optimizer."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras

    jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")  # else the learning rate is a float32 variable
    call, arguments = translate("keras", rule, settings)
    optimizer = getattr(keras.optimizers, call)(**arguments)
    x = keras.Variable(x0, dtype="float64")
    optimizer.build([x])
    for t, g in enumerate(gradients, 1):
        if callable(settings.get("lr")):
            optimizer.learning_rate = settings["lr"](t)
        optimizer.apply([keras.ops.convert_to_tensor(g, dtype="float64")])
        yield np.array(x.value)


def with_sklearn(rule, settings, x0, gradients):
    """Yield the iterates of one of the optimizers inside scikit-learn's networks."""
    from sklearn.neural_network import MLPClassifier, _stochastic_optimizers

    call, arguments = translate("sklearn", rule, settings)
    x = x0.copy()
    optimizer = getattr(_stochastic_optimizers, call)
    # Their own defaults are never used: a network hands them its own.
    public = MLPClassifier().get_params()
    takes = public.keys() & inspect.signature(optimizer).parameters
    optimizer = optimizer([x], **{name: public[name] for name in takes} | arguments)
    for t, g in enumerate(gradients, 1):
        if callable(settings.get("lr")):
            optimizer.learning_rate = settings["lr"](t)
        optimizer.update_params([x], [g])
        yield x.copy()


def with_autograd(rule, settings, x0, gradients):
    """Yield the iterates of one of autograd's optimizers."""
    from autograd.misc import optimizers

    call, arguments = translate("autograd", rule, settings)
    if rule == "Momentum" and "step_size" in arguments:
        arguments["step_size"] /= 1 - arguments["mass"]  # its velocity is an average
    seen = []
    last = getattr(optimizers, call)(
        lambda x, i: gradients[i],
        x0,
        lambda x, i, g: seen.append(x.copy()),
        num_iters=len(gradients),
        **arguments,
    )
    yield from seen[1:]
    yield last


WITH = {
    "torch": with_torch,
    "optax": with_optax,
    "keras": with_keras,
    "sklearn": with_sklearn,
    "autograd": with_autograd,
}


def versions(library):
    """Return the installed versions a recording depends on, without their build's name."""
    return {
        name: importlib.metadata.version(name).partition("+")[0]
        for name in [*NEEDS[library], "numpy"]
    }


def load(name):
    """Return the arrays of a stored file."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def main():
    """Record every run of every library, or nothing."""
    missing = sorted(
        {
            name
            for names in NEEDS.values()
            for name in names
            if not importlib.util.find_spec({"scikit-learn": "sklearn"}.get(name, name))
        }
    )
    if missing:
        sys.exit(
            f"Nothing recorded: {', '.join(missing)} not installed in this Python. Install with\n"
            f"    {Path(sys.executable).name} -m pip install -r "
            f"{os.path.relpath(FOLDER / 'requirements.txt')}"
        )
    files = {}
    if (FOLDER / "gradients.npz").exists():
        files["gradients"] = load("gradients")
        x0, gradients = files["gradients"].values()
    else:  # NumPy promises the same stream for the same build only, so it is drawn once
        x0, gradients = draw()
        files["gradients"] = {"x0": x0, "gradients": gradients}
    for library, rules in RUNS.items():
        files[library] = {"versions": json.dumps(versions(library)), "kept": KEPT}
        for rule, runs in rules.items():
            for settings in runs:
                print(f"{library}: {label(rule, settings)}", flush=True)
                path = np.array([*WITH[library](rule, settings, x0.copy(), gradients.copy())])
                if path.shape != gradients.shape or path.dtype != np.float64:
                    raise ValueError(
                        f"{library} gave {path.dtype} of shape {path.shape}, not float64 of "
                        f"shape {gradients.shape}."
                    )
                if not np.isfinite(path).all():
                    raise ValueError(f"{library} gave a number that is not finite.")
                files[library][label(rule, settings)] = path[KEPT - 1]
    for name, arrays in files.items():
        np.savez_compressed(FOLDER / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()
