"""What the over-optimization experiment shows, as tables, JSON and arrays."""

import json
from pathlib import Path

import numpy as np

from benchmarks._overoptimization_claims import Claim
from benchmarks._overoptimization_laws import TUNED, Grid, cell_table, climb_table

_KNOWN = ("best_of_n", "splitting", *TUNED)  # attacks that know their KL
_CLIMB = "gradient_ascent"


def fits_of(grids: dict[str, Grid]) -> dict:
    """Fit every attack that knows its KL on every cell: gold -> attack -> rows."""
    return {
        kind: {name: cell_table(grid, name) for name in _KNOWN}
        | {_CLIMB: climb_table(grid, _CLIMB)}
        for kind, grid in grids.items()
    }


def claims_table(claims: dict[str, list[Claim]]) -> dict:
    """Lay out the claims, a column for each gold: title -> rows."""
    return {"Which findings replicate": _claim_rows(claims)}


def cell_tables(fits: dict) -> dict:
    """Lay out the fits of every attack on every cell: title -> rows."""
    tables = {}
    for kind, by_attack in fits.items():
        for name, rows in by_attack.items():
            if name == _CLIMB:
                title = f"Gold {kind!r} under {name}, whose KL is unknown"
                tables[title] = _climb_rows(rows)
                continue
            form, other = "d(α − βd)", "d(α − β ln d)"
            if rows[0]["form"] == "rl":
                form, other = other, form
            title = (
                f"Gold {kind!r} under {name}: {form}, d the root of the KL, fitted "
                f"up to {rows[0]['fitted_to']:.1f} nats; held-out error: of the form "
                f"fitted up to {rows[0]['held_out_above']:.1f} nats on what lies "
                "beyond; ≥: the share of redraws that still rise at the end"
            )
            tables[title] = _cell_rows(rows, other)
    return tables


def _claim_rows(claims):
    kinds = list(claims)
    head = ["finding", "measured (holds where)", *(f"gold {kind!r}" for kind in kinds)]
    rows = [head]
    for row in zip(*claims.values(), strict=True):
        cells = [
            f"{c.answer} {_shown(c.estimate)}{'; ' * bool(c.note)}{c.note}" for c in row
        ]
        rows.append([row[0].finding, row[0].measured, *cells])
    return rows


def _cell_rows(rows, other):
    head = ["width", "pairs", "α", "β", "R²", f"R² of {other}", "peak d",
            "peak gold, sd", "held-out error, sd"]  # fmt: skip
    cells = [head]
    for row in rows:
        rising = row["still_rising"]
        cells.append([
            f"{row['width']}", f"{row['pairs']:,}", _shown(row["alpha"]),
            _shown(row["beta"]), f"{row['r_squared']:.3f}",
            f"{row['r_squared_of_the_other']:.3f}",
            _shown(row["peak_root"]) + (f", {rising:.0%} ≥" if rising else ""),
            _shown(row["peak_gold"]),
            f"{row['held_out_error']:.2f}, at most {row['held_out_bound']:.2f}",
        ])  # fmt: skip
    return cells


def _climb_rows(rows):
    cells = [["width", "pairs", "peak at power, nats", "peak gold, sd",
              "gold at the end, sd", "proxy at the end, sd"]]  # fmt: skip
    for row in rows:
        least = "≥ " if row["beyond_the_table"] > 0.01 else ""
        cells.append([
            f"{row['width']}", f"{row['pairs']:,}", least + _shown(row["peak_power"]),
            *(_shown(row[name]) for name in ("peak_gold", "gold_at_the_end",
                                             "proxy_at_the_end")),
        ])  # fmt: skip
    return cells


def _shown(interval) -> str:
    mean, low, high = (float(value) for value in interval)
    digits = 3 if max(abs(low), abs(high)) < 0.5 else 2
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def write(folder: Path, grids: dict[str, Grid], fits: dict, claims: dict) -> None:
    """Write the claims and all fits as JSON, and the curves as arrays."""
    record = {
        "claims": {
            kind: [c._replace(estimate=_plain(c.estimate))._asdict() for c in found]
            for kind, found in claims.items()
        },
        "cells": {
            kind: {
                name: [
                    {k: _plain(v) if isinstance(v, tuple) else v for k, v in r.items()}
                    for r in rows
                ]
                for name, rows in by_attack.items()
            }
            for kind, by_attack in fits.items()
        },
    }
    (folder / "report.json").write_text(json.dumps(record, indent=1), "utf8")
    arrays = {
        f"{kind}/{name}/{field}": values
        for kind, grid in grids.items()
        for name, curves in grid.curves.items()
        for field, values in curves._asdict().items()
    }
    np.savez_compressed(folder / "curves.npz", **arrays)


def _plain(interval) -> dict:
    names = ("mean", "low", "high")
    return dict(zip(names, map(float, interval), strict=True))
