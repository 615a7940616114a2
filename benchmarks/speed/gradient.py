"""Time gradient ascent beside a bare loop, foolbox and PyTorch.

Run: OMP_WAIT_POLICY=PASSIVE python -m benchmarks.speed.gradient
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.speed.clock import (
    DIM,
    attack,
    header,
    in_turn,
    load,
    network,
    peer,
    ratio,
    row,
    target,
    weights,
)
from robust import run

STEPS, RATE, RADIUS = 100, 0.02, 0.5
BOUNDS = -100, 100  # of foolbox's inputs: beyond all of them


def main() -> None:
    """Print three Markdown tables."""
    against_floor()
    checkpoints()
    against_peers()


@jax.jit
def floor(layers, x):
    """The least that a climb can be: value, gradient and update in one scan."""

    def push(x, _):
        score, pull = jax.vjp(functools.partial(network, layers), x)
        return x + RATE * pull(jnp.ones_like(score))[0], score.mean()

    return jax.lax.scan(push, x, None, length=STEPS)


def bare(layers, x):
    """What the scan ends with, on the host."""
    return jax.device_get(floor(layers, x))


def climb(goal, slots, plan=(STEPS,), **options):
    """One seed of the attack, everything that `run` does included."""
    made = attack("gradient_ascent", **options)
    return functools.partial(
        run, made, goal, jax.random.key(1), steps=plan, seeds=1, slots=slots
    )


def pgd() -> dict:
    """Options of projected gradient descent as foolbox steps it."""
    return {"learning_rate": RATE, "optimizer": SIGN, "radius": RADIUS}


SGD, SIGN = optax.sgd(1.0), optax.sign_sgd(1.0)
KINDS = {
    "sgd": {"learning_rate": RATE, "optimizer": SGD},
    "signs in a ball": pgd(),
    "Adam": {"learning_rate": RATE},
    '"auto" in a ball': {"optimizer": "auto", "radius": RADIUS},
}


def against_floor() -> None:
    """Time `run` with one checkpoint beside the bare scan."""
    print(
        f"\nGradient ascent, {STEPS} steps, one checkpoint, {DIM}-256-256-1 tanh "
        "network; medians, and the median ratio to the bare scan beside it, elapsed "
        f"(CPU); {load()}:\n"
    )
    header("slots", "optimizer", "ms", "CPU ms", "bare ms", "bare CPU ms", "ratio")
    layers = jax.tree.map(jnp.asarray, weights())
    for slots in (16, 256, 4096):
        x = jax.random.normal(jax.random.key(0), (slots, DIM))
        functions = {"": functools.partial(bare, layers, x)}
        for name, options in KINDS.items():
            if slots < 4096 or name in ("sgd", "signs in a ball"):
                functions[name] = climb(target(layers), slots, **options)
        times = in_turn(functions)
        least = times.pop("")
        for name, seconds in times.items():
            row(slots, name, *seconds.cells(), *least.cells(), ratio(seconds, least))


def checkpoints() -> None:
    """Time what looking more often costs."""
    many = 50
    print(
        f"\nThe same, sgd, of one step alone, and of {STEPS} with one checkpoint and "
        f"with {many}; {load()}:\n"
    )
    header("slots", "1 step: ms", "CPU ms", f"{STEPS} steps: ms", f"{many} looks: ms",
           "ms each further", "CPU ms each further")  # fmt: skip
    for slots in (16, 256):
        goal, options = target(weights()), KINDS["sgd"]
        plan = tuple(STEPS * (i + 1) // many for i in range(many))
        times = in_turn(
            {"step": climb(goal, slots, (1,), **options),
             "one": climb(goal, slots, **options),
             "many": climb(goal, slots, plan, **options)}, seconds=8,
        )  # fmt: skip
        one, more = times["one"], times["many"]
        each = [
            f"{np.median(b - a) / (many - 1) * 1e3:.2g}"
            for a, b in zip(one, more, strict=True)
        ]
        row(slots, *times["step"].cells(), one.cells()[0], more.cells()[0], *each)


def against_peers() -> None:
    """Time the same rule, from the same inputs, in foolbox and in PyTorch."""
    print(
        f"\nSigns of gradients in an L-infinity ball, {STEPS} steps, from the same "
        f"inputs; how many times as long as ours, elapsed (CPU); {load()}:\n"
    )
    header("", "slots", "ms", "CPU ms", "times ours", "mean score reached")
    layers = weights()
    for slots in (16, 256):
        goal, options = target(layers), pgd()
        ours = run(
            attack("gradient_ascent", **options), goal, jax.random.key(1),
            steps=(STEPS,), seeds=1, slots=slots, keep=slots,
        )  # fmt: skip
        start = ours.x[0, 0]
        functions = {"robust": climb(goal, slots, **options)}
        functions |= foolbox_jax(layers, start) | pytorch(layers, start)
        times = in_turn({k: f for k, f in functions.items() if f})
        for name, function in functions.items():
            if not function:
                row(name, slots, "absent", "", "", "")
                continue
            reached = ours.proxy[0, -1] if name == "robust" else score(function, layers)
            row(
                name, slots, *times[name].cells(),
                ratio(times[name], times["robust"]), f"{reached.mean():.4f}",
            )  # fmt: skip


def score(function, layers):
    """Scores of the inputs that a peer's attack ends with."""
    return network(layers, jnp.asarray(np.asarray(function())))


def foolbox_jax(layers, start) -> dict:
    """Foolbox on JAX as its guide shows it, and with the model compiled."""
    names = "foolbox, JAX", "foolbox, JAX, the model in jax.jit"
    foolbox = peer("foolbox")
    if not foolbox:
        return dict.fromkeys(names)
    layers, start = jax.tree.map(jnp.asarray, (layers, start))
    labels = jnp.zeros(len(start), int)

    def logits(x):
        return jnp.stack([-network(layers, x) / 2, network(layers, x) / 2], 1)

    models = (foolbox.JAXModel(f, bounds=BOUNDS) for f in (logits, jax.jit(logits)))
    made = [fooled(foolbox, model, start, labels) for model in models]
    return dict(zip(names, made, strict=True))


def fooled(foolbox, model, start, labels):
    """Foolbox's projected gradient descent: gives the inputs it ends with."""
    made = foolbox.attacks.LinfPGD(abs_stepsize=RATE, steps=STEPS, random_start=False)

    def call():
        _, found, _ = made(model, start, labels, epsilons=RADIUS)
        return jax.block_until_ready(found)

    return call


def pytorch(layers, start) -> dict:
    """Foolbox on PyTorch, and a plain loop."""
    names = "foolbox, PyTorch", "PyTorch loop", "PyTorch loop, one thread"
    found = dict.fromkeys(names)
    foolbox, torch = peer("foolbox"), peer("torch")
    if not torch:
        return found
    model = torch.nn.Sequential()
    for matrix, bias in layers:
        layer = torch.nn.Linear(*matrix.shape)
        state = {"weight": torch.tensor(matrix.T), "bias": torch.tensor(bias)}
        layer.load_state_dict(state)
        model.extend([layer, torch.nn.Tanh()])
    model = model[:-1].requires_grad_(False)
    start = torch.tensor(start)

    class Logits(torch.nn.Module):
        def forward(self, x):
            score = model(x)[:, 0]
            return torch.stack([-score / 2, score / 2], 1)

    def loop():
        x = start
        for _ in range(STEPS):
            x = x.detach().requires_grad_()
            (grad,) = torch.autograd.grad(model(x).sum(), x)
            moved = x.detach() + RATE * grad.sign()
            x = torch.clamp(moved, start - RADIUS, start + RADIUS)
        return x

    def alone():
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        x = loop()
        torch.set_num_threads(threads)
        return x

    if foolbox:
        wrapped = foolbox.PyTorchModel(Logits().eval(), BOUNDS, device="cpu")
        labels = torch.zeros(len(start), dtype=torch.long)
        found[names[0]] = fooled(foolbox, wrapped, start, labels)
    return found | {names[1]: loop, names[2]: alone}


if __name__ == "__main__":
    main()
