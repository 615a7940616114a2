"""What `robust selftest` does: replicate planted problems and print error rates."""

import json

from robust.cache import keep_compiled_programs
from robust.show import terminal
from robust.threads import use_one_blas_thread


def check_pipeline(replicates: int, key: int, format_: str) -> bool | None:
    """Print how often the verdicts on planted problems are wrong.

    Args:
      replicates: draws of each problem.
      key: seed of all randomness.
      format_: "table", "json" or "markdown".

    Returns:
      as `selftest.sound`.

    Raises:
      ValueError: `replicates` below 1.
    """
    keep_compiled_programs()
    use_one_blas_thread()
    import jax

    from robust.selftest import selftest, sound

    with terminal.progress_bar() as bar:
        rates = selftest(replicates, jax.random.key(key), bar.say)
    result = sound(rates)
    if format_ == "json":
        print(json.dumps(record(rates, result), indent=1))
    elif format_ == "markdown":
        print(markdown(rates))
        print(f"\n{conclusion(rates, result)}")
    else:
        terminal.show(_table(rates))
        terminal.say(NOTE, style="dim")
        terminal.say(conclusion(rates, result), style="bold")
    return result


COLUMNS = ("planted", "attack", "said", "right", "wrong", "at most")
NOTE = (
    "right: the planted answer; wrong: a false alarm, a missed fall, or a pass that "
    "nothing supports; the rest is undecided. At most: the upper 95 % Clopper-Pearson "
    "bound, each attack on each problem for itself."
)


def rows(rates) -> list[list[str]]:
    """Cells under `COLUMNS`."""
    return [
        [
            rate.problem,
            rate.attack,
            ", ".join(
                f"{verdict.name.lower()} {count}"
                for verdict, count in sorted(rate.said.items(), key=lambda x: -x[1])
            ),
            f"{rate.right:.0%}",
            f"{rate.wrong:.1%}",
            f"{rate.high:.1%}",
        ]
        for rate in rates
    ]


def _table(rates):
    from rich.table import Table

    table = Table(*COLUMNS, padding=(0, 0))
    for row in rows(rates):
        table.add_row(*row)
    return table


def markdown(rates) -> str:
    """The table in GitHub's Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    lines += [f"| {' | '.join(row)} |" for row in rows(rates)]
    return "\n".join([*lines, "", NOTE])


def conclusion(rates, result: bool | None) -> str:
    """One line on what the rates show."""
    from robust.selftest import TOLERATED, worst

    rate = worst(rates)
    where = (
        f"{rate.attack} on '{rate.problem}': {rate.wrong:.1%} of {rate.replicates} "
        f"verdicts wrong, at most {rate.high:.1%}"
    )
    if result is None:
        return (
            f"no error rate is shown to exceed {TOLERATED:.0%}, but {rate.replicates} "
            f"draws are too few to bound all below it (highest bound: {where}); "
            "--replicates 60 or more can"
        )
    if result:
        return f"sound: every error rate is below {TOLERATED:.0%} (highest: {where})"
    broken = [r for r in rates if r.low > TOLERATED]
    named = ", ".join(f"{r.attack} on '{r.problem}' {r.wrong:.0%}" for r in broken)
    return f"NOT sound: error rates above {TOLERATED:.0%} are shown: {named}"


def record(rates, result: bool | None) -> dict:
    """The same as plain data for JSON."""
    return {
        "schema": 1,
        "sound": result,
        "rates": [
            {
                **rate._asdict(),
                "said": {v.name.lower(): count for v, count in rate.said.items()},
            }
            for rate in rates
        ],
    }
