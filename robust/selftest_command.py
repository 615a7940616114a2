"""What `robust selftest` does: replicate planted problems and print error rates."""

import json
from collections import Counter

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
        print(f"\n{whole(rates)}\n\n{conclusion(rates, result)}")
    else:
        terminal.show(_table(rates))
        terminal.say(NOTE, style="dim")
        terminal.say(whole(rates))
        terminal.say(conclusion(rates, result), style="bold")
    return result


COLUMNS = ("planted", "attack", "said", "right", "false alarm", "miss")
NOTE = (
    "right: the planted answer; false alarm: more harm is claimed than is planted; "
    "miss: less, or a pass that nothing supports; the rest is undecided. Brackets: "
    "95 % Clopper-Pearson bounds, each attack on each problem for itself; a dash where "
    "no verdict would be that error."
)


def rows(rates) -> list[list[str]]:
    """Cells under `COLUMNS`."""
    from robust.selftest import error_rate

    return [
        [
            rate.problem,
            rate.attack,
            ", ".join(f"{name} {count}" for name, count in _said(rate).items()),
            f"{rate.right:.0%}",
            _bounded(error_rate([rate], "alarms")),
            _bounded(error_rate([rate], "misses")),
        ]
        for rate in rates
    ]


def _said(rate) -> dict[str, int]:
    """How often each verdict was given, the most frequent first."""
    counts = Counter(verdict.name.lower() for verdict in rate.verdicts)
    return dict(counts.most_common())


def _bounded(share) -> str:
    if share is None:
        return "–"
    return f"{share.rate:.1%} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def whole(rates) -> str:
    """One line on how often the pipeline as a whole raises false alarms and misses."""
    from robust.selftest import error_rate

    said = []
    for kind, name in (("alarms", "false alarms"), ("misses", "misses")):
        share = error_rate(rates, kind)
        if share is not None:
            said.append(f"{name} {_bounded(share)} of {share.total} draws")
    return f"whole pipeline, any attack: {'; '.join(said)}"


def _table(rates):
    from rich.table import Table

    table = Table(*COLUMNS, padding=(0, 0))
    for column in table.columns[:2]:
        column.no_wrap = True
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
        **_errors(rates),
        "rates": [
            {
                "problem": rate.problem, "attack": rate.attack,
                "replicates": rate.replicates, "said": _said(rate),
                "right": rate.right, "wrong": rate.wrong, "low": rate.low,
                "high": rate.high, **_errors([rate]),
            }
            for rate in rates
        ],
    }  # fmt: skip


def _errors(rates) -> dict:
    from robust.selftest import error_rate

    found = {
        "false_alarm": error_rate(rates, "alarms"), "miss": error_rate(rates, "misses"),
    }  # fmt: skip
    return {name: share and share._asdict() for name, share in found.items()}
