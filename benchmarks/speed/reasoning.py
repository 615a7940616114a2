"""Time the writer's sampler beside sampling without a cache and a bare forward pass.

Run: python -m benchmarks.speed.reasoning
"""

import functools

import jax
import jax.numpy as jnp

from benchmarks import _reasoning_arms as arms
from benchmarks import _reasoning_model as model
from benchmarks import _reasoning_task as task
from benchmarks.speed.bank import machine
from benchmarks.speed.clock import attack, header, in_turn, load, ratio, row


def main() -> None:
    """Print the machine and two Markdown tables, by batch and by width."""
    print(f"Measured on {machine()}; {load()}.\n")
    print(
        f"{task.RESPONSE} tokens a response, random weights, elapsed (CPU); one "
        "forward pass: of all whole sequences, once:\n"
    )
    header("width", "responses", "with cache: tokens/s", "without: tokens/s",
           "without / with", "with / one forward pass", "RL step, ms",
           "of it sampling")  # fmt: skip
    for width, num in ((64, 128), (64, 256), (128, 128)):
        measure(width, num)


def measure(width: int, num: int) -> None:
    """Print one line of the table."""
    params = model.start(model.Writer(width), jax.random.key(0))
    prompts = task.prompts(jax.random.key(1), num, 0.5)
    z = jax.block_until_ready(jax.jit(model.answer)(params, jax.random.key(2), prompts))
    times = in_turn(
        {
            "cache": ready(model.answer, params, jax.random.key(2), prompts),
            "again": ready(without_cache, params, jax.random.key(2), prompts),
            "forward": ready(model.log_probs, params, z),
            "step": policy_step(params, num),
        },
        seconds=20,
    )
    tokens = num * task.RESPONSE
    rates = [
        f"{tokens / float(min(times[name].wall)):,.0f}" for name in ("cache", "again")
    ]
    row(width, num, *rates, ratio(times["again"], times["cache"]),
        ratio(times["cache"], times["forward"]), times["step"].cells()[0],
        ratio(times["cache"], times["step"]))  # fmt: skip


def without_cache(params, key, prompts):
    """Sample by a whole forward pass for each token."""
    num = len(prompts)
    start = jnp.full((num, task.LENGTH), task.PAD).at[:, : task.PROMPT].set(prompts)

    def step(z, inputs):
        at, key = inputs
        said = jnp.take(model.log_probs(params, z), at - 1, axis=1)
        drawn = jax.random.categorical(key, said)
        before = jnp.take(z, at - 1, axis=1)
        over = (before == task.END) | (before == task.PAD)
        return z.at[:, at].set(jnp.where(over, task.PAD, drawn)), None

    places = jnp.arange(task.PROMPT, task.LENGTH)
    return jax.lax.scan(step, start, (places, jax.random.split(key, len(places))))[0]


def ready(function, *arguments):
    """A call that is compiled and waits for its result."""
    return functools.partial(_wait, jax.jit(function), *arguments)


def policy_step(params, num: int):
    """One step of `policy_gradient` on answers."""
    push, arm = attack("policy_gradient", 1e-3, group=4), arms.ARMS["answer"]
    price = jax.tree.map(jnp.asarray, arm.price)
    bound = {"writer": params, "asked": {}, "price": price}
    target = arms.target_of(bound, shape=arms.shape_of(arm))
    key = jax.random.key(3)
    # Not an argument, for a policy's functions are none that jit can take.
    init, step = (functools.partial(f, target=target) for f in (push.init, push.step))
    state = jax.jit(init)(key, target.base.sample(key, num))
    return ready(step, key, state)


def _wait(function, *arguments):
    return jax.block_until_ready(function(*arguments))


if __name__ == "__main__":
    main()
