"""What a whole study shows, beyond each attack's verdict."""

import numpy as np

from robust.measure.bootstrap import t_interval
from robust.measure.hackable import discordant_pairs, top_correlation
from robust.measure.strongest import strongest
from robust.show.sentence import triple

_TOPS = (1.0, 0.1, 0.01)  # shares of the base


def lines(study) -> list[str]:
    """Say what all attacks together show, one line each."""
    return [
        line
        for line in (_strongest_line(study), _pairs_line(study), _base_line(study))
        if line
    ]


def _gains(study) -> list[np.ndarray]:
    return [result.curve.true for result in study.results]


def _strongest_line(study) -> str:
    gains = _gains(study)
    if len(gains) < 2 or len(gains[0]) < 2:
        return ""
    found = strongest(gains)
    name, unit = study.results[found.index].name, study.results[0].curve.names["unit"]
    half = len(gains[0]) - found.units
    return (
        f"strongest of {len(gains)} attacks: {name}, picked on {half} {unit}; on the "
        f"other {found.units} the true value drops by {triple(found.drop)} sd and ends "
        f"at {triple(found.end)}"
    )


def _pairs(study):
    proxy = np.concatenate([result.curve.proxy for result in study.results], axis=1)
    return discordant_pairs(proxy, np.concatenate(_gains(study), axis=1))


def _places(study) -> list[str]:
    return [
        f"{result.name} step {step}"
        for result in study.results
        for step in result.curve.steps
    ]


def _pairs_line(study) -> str:
    pairs, places = _pairs(study), _places(study)
    text = f"of all pairs of checkpoints the proxy prefers the worse in {_share(pairs)}"
    if min(pairs.worst) >= 0:
        low, high = (places[i] for i in pairs.worst)
        return f"{text}; the worst such pair: {high} over {low}"
    if np.isfinite(pairs.visible):
        return f"{text}; a fall of {pairs.visible:.2f} sd would have been seen in any"
    return text


def _share(pairs) -> str:
    shown = f" ({pairs.shown:.0%} shown)" if np.isfinite(pairs.shown) else ""
    return f"{pairs.discordant:.0%}{shown}"


def _correlations(study):
    reference = study.reference
    judged = reference.true.shape[1]
    return top_correlation(reference.proxy[:, :judged], reference.true, _TOPS)


def _base_line(study) -> str:
    parts = []
    for share, values in zip(_TOPS, _correlations(study).T, strict=True):
        known = values[np.isfinite(values)]
        if len(known) == len(values):
            where = "all" if share == 1 else f"the top {share:.0%}"
            parts.append(f"{triple(t_interval(known))} in {where}")
    if not parts:
        return ""
    return f"on the base, proxy and true value correlate {', '.join(parts)}"


def record(study) -> dict:
    """The same as plain data for JSON; what is unknown is None."""
    pairs, places = _pairs(study), _places(study)
    found = None
    if len(study.results) > 1 and len(_gains(study)[0]) > 1:
        pick = strongest(_gains(study))
        found = {
            "attack": study.results[pick.index].name,
            "drop": _numbers(pick.drop),
            "end": _numbers(pick.end),
            "units": pick.units,
        }
    return {
        "strongest": found,
        "discordant_pairs": {
            "share": _number(pairs.discordant),
            "shown": _number(pairs.shown),
            "worst": [places[i] for i in pairs.worst] if pairs.worst[0] >= 0 else None,
            "visible": _number(pairs.visible),
        },
        "base_correlation": [
            {"top": share, **_numbers(t_interval(values))}
            for share, values in zip(_TOPS, _correlations(study).T, strict=True)
        ],
    }


def _numbers(interval) -> dict:
    return {name: _number(value) for name, value in interval._asdict().items()}


def _number(value):
    value = float(value)
    return value if np.isfinite(value) else None
