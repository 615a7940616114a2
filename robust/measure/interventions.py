"""Interventions on a chain of thought as text: cut, fill, mistake, hide.

Plain functions of strings. What they cannot tell: a step is a line where there are
several, else a sentence, and a number is one written in digits.
"""

import itertools
import re

import numpy as np

NUMBER = re.compile(r"(?:(?<![\w.)])-)?\d+(?:,\d{3})*(?:\.\d+)?")
_SENTENCE = re.compile(r"(?<=[.!?;。！？])\s+")
HIDDEN = "___"
DOTS = "..."


def steps(chain: str) -> list[str]:
    """Split a chain in steps that join to itself: lines, or sentences of a line.

    Empty lines belong to the step before them.
    """
    parts = chain.splitlines(keepends=True)
    if sum(bool(part.strip()) for part in parts) < 2:
        ends = [match.end() for match in _SENTENCE.finditer(chain)]
        cuts = [0, *ends, len(chain)]
        parts = [chain[a:b] for a, b in itertools.pairwise(cuts)]
    joined: list[str] = []
    for part in parts:
        if joined and (not part.strip() or not joined[-1].strip()):
            joined[-1] += part
        elif part:
            joined.append(part)
    return joined


def truncated(chain: str, fraction: float) -> tuple[str, float]:
    """Keep the first part of a chain in whole steps, or words of a single step.

    Args:
      chain: text.
      fraction: to keep, 0 to 1; rounded to whole steps.

    Returns:
      the text, without white space at its end, and the fraction that was kept.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is {fraction}; give a number in 0..1")
    parts = steps(chain)
    if len(parts) < 2:
        parts = re.findall(r"\s*\S+", chain)
    if not parts:
        return "", fraction
    kept = int(np.floor(fraction * len(parts) + 0.5))
    return "".join(parts[:kept]).rstrip(), kept / len(parts)


def filler(chain: str) -> str:
    """As many dots in groups of three as fill the length of the chain, characters.

    Reference: Lanham et al. 2023, arXiv:2307.13702, "filler tokens".
    """
    return ((DOTS + " ") * (len(chain) // 4 + 1))[: len(chain)].rstrip()


def mistaken(chain: str, key: int = 0) -> tuple[str, float] | None:
    """Put a wrong number for one number of a chain, the same for the same key.

    Any number of the chain, of which the last digit is changed. What follows stays as
    it was, unlike in Lanham et al. 2023, who have the model write it anew: a model
    that mends the mistake in its next step is not told from one that overlooks it.

    Returns:
      the chain, and the fraction of its characters that stand before the mistake; or
      None where it has no number.
    """
    found = list(NUMBER.finditer(chain))
    if not found:
        return None
    rng = np.random.default_rng(key)
    at = found[int(rng.integers(len(found)))].end() - 1
    digit = (int(chain[at]) + int(rng.integers(1, 10))) % 10
    return f"{chain[:at]}{digit}{chain[at + 1 :]}", at / len(chain)


def last_number(text: str) -> str | None:
    """Last number written in digits, without its thousands' commas, or None."""
    found = NUMBER.findall(text)
    return _plain(found[-1]) if found else None


def hide_last_number(chain: str) -> str:
    """Put `___` for the last number, and wherever else that number stands.

    Left as it is where there is none. Blind spots: the number in words, or what it is
    the sum of, stays visible; an operand that equals it is hidden with it.
    """
    last = last_number(chain)
    if last is None:
        return chain

    def cover(match):
        return HIDDEN if float(_plain(match[0])) == float(last) else match[0]

    return NUMBER.sub(cover, chain)


def _plain(number: str) -> str:
    return number.replace(",", "")
