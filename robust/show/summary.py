"""What a whole study shows, beyond each attack's verdict."""

import re

import numpy as np

from robust.measure import policies, tails
from robust.measure.bootstrap import t_interval
from robust.measure.causes import last_resolved
from robust.measure.hackable import discordant_pairs, top_correlation
from robust.measure.strongest import strongest
from robust.show import law
from robust.show.judges import judge_records
from robust.show.sentence import at_position, triple

_TOPS = (1.0, 0.1, 0.01)  # shares of the base


def lines(study) -> list[str]:
    """Say what all attacks together show, one line each."""
    return [
        line
        for line in (
            _strongest_line(study), *_winner_lines(study), _pairs_line(study),
            _base_line(study), _tail_line(study), _hedge_line(study),
            *_guarantee_lines(study), *_law_lines(study),
            *_handle_lines(study), *_regret_lines(study), _shared_line(study),
        )
        if line
    ]  # fmt: skip


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


def _winner_lines(study) -> list[str]:
    """Whose the best inputs are, of each attack that is made of others."""
    lines = []
    for result in study.results:
        shares = {
            name.removeprefix("won_"): values[:, -1].mean()
            for name, values in result.trace.info.items()
            if name.startswith("won_")
        }
        ordered = sorted(shares, key=lambda name: -shares[name])
        if ordered:
            found = ", ".join(f"{name} {shares[name]:.0%}" for name in ordered)
            lines.append(f"who found the inputs of {result.name}: {found}")
    return lines


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


def _tails(study):
    """Tails of the proxy's error and of the true value, or the reason of none."""
    reference = study.reference
    judged = reference.true.shape[1]
    pairs = zip(reference.proxy[:, :judged], reference.true, strict=True)
    count, least = reference.true.size, tails.LEAST_VALUES
    if count < least:
        return f"{count} base draws were judged; it takes {least}"
    try:
        errors = [_scaled(tails.residuals(proxy, true)) for proxy, true in pairs]
        values = [_scaled(true) for true in reference.true]
        return tails.tail(np.concatenate(errors)), tails.tail(np.concatenate(values))
    except ValueError as error:
        return str(error)


def _scaled(values):
    """Centre and scale by quantiles, which exist whatever the tail."""
    low, middle, high = np.quantile(values.astype(float), [0.25, 0.5, 0.75])
    return (values - middle) / ((high - low) or 1.0)


def _tail_line(study) -> str:
    found = _tails(study)
    if isinstance(found, str):
        return f"tail of the proxy's error: not measured ({found})"
    error, value = found
    meaning = tails.MEANING[tails.implies(error, value)]
    return (
        f"tail of the proxy's error up to {error.reach:.1f} nats: "
        f"{error.weight.name.lower()}, index {triple(error.gamma)}; {meaning}"
    )


def _hedge_line(study) -> str:
    found = policies.hedge(study.calibrations)
    if not found.interior:
        return (
            "best-of-n by the calibration: the true value rises as far as it reaches, "
            f"n = {_whole(found.last)}"
        )
    bounds = ""
    if np.isfinite(found.low):
        bounds = f" [{_whole(found.low)}, {_whole(found.high)}]"
    return (
        f"best-of-n by the calibration: stop at n = {_whole(found.n)}{bounds}, where "
        f"the true value is {float(found.true):+.2f} sd (HedgeTune)"
    )


def _whole(n) -> str:
    return f"{float(n):,.0f}" if n < 1e6 else f"{float(n):.1e}"


def _guarantee_lines(study):
    for result in study.results:
        mean = result.guaranteed.mean(axis=0)
        if np.isfinite(mean).all() and len(mean) > 1:
            at = int(mean.argmax())
            yield (
                f"guaranteed for {result.name} by the base's correlation alone: at "
                f"most {mean[at]:+.2f} sd, at {result.curve.power[:, at].mean():.1f} "
                f"nats (measured there {result.curve.true[:, at].mean():+.2f})"
                + _by_proxy(result)
            )


def _by_proxy(result) -> str:
    most = result.guaranteed_by_proxy.mean(axis=0).max()
    return f"; by Laidlaw et al. at most {most:+.2f} sd" if np.isfinite(most) else ""


def _handle_lines(study):
    for result in study.handles:
        d, at = result.divergence, last_resolved(result.causes.beyond)
        part = t_interval(result.causes.adversarial[:, at])
        power = result.curve.power[:, at].mean()
        yield (
            f"{result.name}: proxy {_end(d.proxy)}, true {_end(d.true)}, drop "
            f"{triple(d.drop)}, adversarial {triple(part)} at {power:.1f} nats"
        )


def _law_lines(study):
    for name, laws in study.laws.items():
        yield f"{name}, {law.line(laws)}; no verdict reads it"


def _regret_lines(study):
    for name, regret in study.regret.items():
        line = f"{name} on the judge itself would have reached {_end(regret)} sd more"
        found = _last_at_power(study, name)
        if found is not None:
            power, interval = found
            line += f", at an equal power of {power:.1f} nats {triple(interval)}"
        yield line


def _last_at_power(study, name):
    """Regret at the largest power that both attacks are known to have reached."""
    regret = study.regret_at_power[name]
    known = np.flatnonzero(np.isfinite(regret.mean))
    if not len(known):
        return None
    line = next(r.curve for r in study.results if r.name == name)
    at = known[line.power[:, known].mean(axis=0).argmax()]
    return float(line.power[:, at].mean()), at_position(regret, at)


def _shared_line(study) -> str:
    shared = study.results[0].curve.names.get("shared")
    if shared is None:
        return ""
    kinds = re.sub(r"\d+ ", "", shared)
    return (
        f"gains, drops and verdicts hold for new {kinds} too: units "
        f"share {shared}, whose spread is in their intervals; causes and the rest "
        "hold for these"
    )


def _end(interval) -> str:
    return triple(type(interval)(*(bound[-1] for bound in interval)))


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
        "error_tail": _tail_record(study),
        "hedge": {
            name: _number(value)
            for name, value in policies.hedge(study.calibrations)._asdict().items()
        },
        **{
            bound: {
                result.name: [_number(v) for v in getattr(result, bound).mean(axis=0)]
                for result in study.results
            }
            for bound in ("guaranteed", "guaranteed_by_proxy")
        },
        "handles": {
            result.name: {
                "true": _numbers_end(result.divergence.true),
                "drop": _numbers(result.divergence.drop),
            }
            for result in study.handles
        },
        "judges": judge_records(study),
        "laws": {name: law.record(laws) for name, laws in study.laws.items()},
        "regret": {name: _numbers_end(r) for name, r in study.regret.items()},
        "regret_at_power": {
            name: None if found is None else {"power": found[0], **_numbers(found[1])}
            for name in study.regret
            for found in [_last_at_power(study, name)]
        },
        "base_correlation": [
            {"top": share, **_numbers(t_interval(values))}
            for share, values in zip(_TOPS, _correlations(study).T, strict=True)
        ],
    }


def _tail_record(study) -> dict | str:
    found = _tails(study)
    if isinstance(found, str):
        return found
    error, value = found
    return {
        "weight": error.weight.name.lower(),
        "index": _numbers(error.gamma),
        "reach": error.reach,
        "implies": tails.implies(error, value).name.lower(),
    }


def _numbers_end(interval) -> dict:
    return _numbers(type(interval)(*(bound[-1] for bound in interval)))


def _numbers(interval) -> dict:
    return {name: _number(value) for name, value in interval._asdict().items()}


def _number(value):
    value = float(value)
    return value if np.isfinite(value) else None
