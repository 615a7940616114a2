"""Writers as policies that can be tuned: plain, cut short, or paraphrased."""

import jax
import jax.numpy as jnp

from benchmarks import _reasoning_model as model
from benchmarks import _reasoning_task as task
from robust import Base, Policy, bind, tunable

GROUP = 4  # responses to each prompt, next to each other


def base_of(params, *, hinted: float, modulus: int, cut: int | None = None) -> Base:
    """Responses of a writer to fresh prompts, each prompt `GROUP` times.

    Args:
      params: of the writer.
      hinted: the probability that a prompt has a hint.
      cut: tokens after which a chain is closed; None: never.
    """
    options = {"hinted": hinted, "modulus": modulus, "cut": cut}
    return tunable(
        Policy(
            params,
            bind(_sample, **options),
            bind(_log_prob, cut=cut),
            bind(_kl, cut=cut),
        )
    )


def grouped(key, num: int, hinted: float, modulus: int):
    """Prompts `[num, PROMPT]`, each `GROUP` times."""
    few = task.prompts(key, -(-num // GROUP), hinted, modulus)
    return jnp.repeat(few, GROUP, axis=0)[:num]


def _sample(params, key, num, *, hinted, modulus, cut):
    key_prompt, key_answer = jax.random.split(key)
    prompts = grouped(key_prompt, num, hinted, modulus)
    return model.answer(params, key_answer, prompts, cut)


def _log_prob(params, z, *, cut):
    return model.log_prob(params, z, task.chosen(z, cut))


def _kl(params, base, z, *, cut):
    return model.kl(params, base, z, task.chosen(z, cut))


def paraphrased(params, *, hinted: float, modulus: int) -> Base:
    """A writer whose chain is put in other words before it reads it and answers.

    Latents are `[num, 2, LENGTH]`: what was written, and what was read with the answer
    to it. Inputs are the chain as written with that answer.
    """
    options = {"hinted": hinted, "modulus": modulus}
    policy = Policy(
        params, bind(_sample_read, **options), bind(_log_prob_read), bind(_kl_read)
    )
    return tunable(policy)._replace(decode=bind(with_answer))


def _sample_read(params, key, num, *, hinted, modulus):
    key_prompt, key_written, key_read = jax.random.split(key, 3)
    prompts = grouped(key_prompt, num, hinted, modulus)
    written = model.answer(params, key_written, prompts)
    return jnp.stack([written, reread(params, key_read, written)], axis=1)


def reread(params, key, written):
    """Answer after the paraphrase of what was written: `[num, LENGTH]`."""
    return model.complete(params, key, closed_after(paraphrase(written)))


def closed_after(z):
    """The chain of z, then `#`, then all free: what `complete` takes."""
    length = task.chain_length(z)[:, None]
    place = jnp.arange(task.RESPONSE)[None]
    response = jnp.where(place < length, z[:, task.PROMPT :], -1)
    response = jnp.where(place == length, task.ANSWER, response)
    return jnp.concatenate([z[:, : task.PROMPT], response], axis=1)


def paraphrase(z):
    """Rewrite chains in one wording: steps only, the smaller operand first.

    What reads `a+b=c` is kept as `b+a=c;` or as it is, true or not; `H=d` as `H=d;`;
    all else is left away. What else a chain may carry, in order of operands, in
    malformed steps, in their number of tokens, is gone.
    """
    response = jnp.pad(z[:, task.PROMPT :], ((0, 0), (0, 4)), constant_values=task.PAD)
    inside = jnp.arange(task.RESPONSE)[None] < task.chain_length(z)[:, None]
    a, plus, b, equals, c = (response[:, i : i + task.RESPONSE] for i in range(5))
    ends = jnp.pad(inside[:, 4:], ((0, 0), (0, 4)))
    step = (a < 10) & (plus == task.PLUS) & (b < 10) & (equals == task.EQUALS)
    step &= (c < 10) & ends
    ends = jnp.pad(inside[:, 2:], ((0, 0), (0, 2)))
    hint = (a == task.HINT) & (plus == task.EQUALS) & (b < 10) & ends
    semicolon, nothing = (jnp.full_like(a, t) for t in (task.STEP, -1))
    as_step = [jnp.minimum(a, b), plus, jnp.maximum(a, b), equals, c, semicolon]
    as_hint = [a, plus, b, semicolon, nothing, nothing]
    words = jnp.where(
        step[..., None], jnp.stack(as_step, 2),
        jnp.where(hint[..., None], jnp.stack(as_hint, 2), -1),
    ).reshape(len(z), -1)  # fmt: skip
    order = jnp.argsort(words < 0, axis=1, stable=True)
    words = jnp.take_along_axis(words, order, axis=1)[:, : task.RESPONSE - 4]
    # Of what is too long the end goes, so that "#d$" has room.
    words = jnp.where(words < 0, task.PAD, words)
    words = jnp.pad(words, ((0, 0), (0, 4)), constant_values=task.PAD)
    return jnp.concatenate([z[:, : task.PROMPT], words], axis=1)


def with_answer(z):
    """Written chains `[num, 2, LENGTH]` with the answers that were read off them."""
    forced = closed_after(z[:, 0])
    mark, answer = task.chain_length(z[:, 0]), task.stated(z[:, 1])
    place = jnp.arange(task.RESPONSE)[None] - mark[:, None]
    said = jnp.where(answer < 0, task.PAD, answer)[:, None]
    tail = jnp.where(place == 1, said, jnp.where(place == 2, task.END, task.PAD))
    response = forced[:, task.PROMPT :]
    response = jnp.where(response < 0, tail, response)
    return jnp.concatenate([z[:, 0, : task.PROMPT], response], axis=1)


def _chosen(z):
    """Chains and their `#` of what was written, answers of what was read."""
    place = jnp.arange(task.LENGTH)[None] - task.PROMPT
    chain = (place >= 0) & (place <= task.chain_length(z[:, 0])[:, None])
    read = task.chosen(z[:, 1]) & (place > task.chain_length(z[:, 1])[:, None])
    return chain, read


def _log_prob_read(params, z):
    parts = zip((z[:, 0], z[:, 1]), _chosen(z), strict=True)
    return sum(model.log_prob(params, *part) for part in parts)


def _kl_read(params, base, z):
    parts = zip((z[:, 0], z[:, 1]), _chosen(z), strict=True)
    return sum(model.kl(params, base, *part) for part in parts)
