"""How far a study has got, and the order to stop."""

import threading
from concurrent.futures import Future
from typing import Any, NamedTuple

import jax

from robust.attack import Attack
from robust.trace import Checkpoint, checkpoints


class Phase(NamedTuple):
    """Progress: what goes on, and how much of the whole is done, 0 to 1."""

    name: str
    done: float


class Job(NamedTuple):
    """One attack to run, on one handle's features alone if there is one."""

    attack: Attack
    key: jax.Array
    target: Any
    handle: Any = None


class Stopped(Exception):
    """An attack was told to stop, since the judge or another attack failed."""


class Progress:
    """Weigh jobs by their cost, so that the time left is worth reading."""

    def __init__(self, jobs: dict[str, Job], on_phase):
        self._on_phase = on_phase or (lambda phase: None)
        self._weight = {name: _weight(job.attack) for name, job in jobs.items()}
        self._share = dict.fromkeys(jobs, 0.0)
        self._probed = 0.0
        self._lock = threading.Lock()
        self.stop = threading.Event()

    def stop_if_failed(self, future: Future) -> None:
        """End attacks at their next checkpoint when the judge has failed."""
        if not future.cancelled() and future.exception() is not None:
            self.stop.set()

    def watch(self, name: str, on_checkpoint):
        """What the driver calls after each checkpoint of one job."""

        def call(checkpoint: Checkpoint) -> None:
            if on_checkpoint:
                on_checkpoint(name, checkpoint)
            if self.stop.is_set():
                raise Stopped
            # The first checkpoint comes after a compilation, which weighs 1.
            steps, weight = checkpoint.steps, self._weight[name]
            pushed = steps[checkpoint.done - 1] / steps[-1]
            with self._lock:
                self._share[name] = (1 + (weight - 1) * pushed) / weight
                running = [n for n, share in self._share.items() if 0 < share < 1]
            self.say(", ".join(running) or name)

        return call

    def probed(self, share: float) -> None:
        """Take note of how far the probe has got, 0 to 1."""
        self._probed = share
        self.say("probing")

    def say(self, phase: str, done: float | None = None) -> None:
        with self._lock:
            if done is None:
                spent = sum(self._weight[n] * share for n, share in self._share.items())
                # What comes after the attacks weighs as much as a compilation.
                done = (spent + 0.9 * self._probed) / (sum(self._weight.values()) + 1)
            self._on_phase(Phase(phase, done))


def _weight(attack: Attack) -> float:
    last = checkpoints(attack)[-1]
    cost = attack.cost.queries + 2 * attack.cost.grads
    # About how many evaluations take as long as a compilation: 1e6.
    return 1.0 + attack.slots * cost * last / 1e6
