"""Tables of docs/benchmarks/zero_shot.md from the scores that tests.benchmarks.zero_shot keeps.

Ratios are to the point forecast of SeasonalNaive on the same series and origins, so a model that was only run on some
series is compared on those. Geometric means are over sets; intervals resample series within sets.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

POINT, SMALL = "SeasonalNaive_point", "tsar-small"
KEYS = ["set", "origin", "series"]
DRAWS = 400
GROUPS = {"YS": "yearly", "QS": "quarterly", "MS": "monthly", "W": "weekly", "D": "daily", "h": "hourly"}


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """Scores of every model that was run."""
    return {file.stem: pd.read_csv(file) for file in sorted(folder.glob("*.csv"))}


def group_of(freq: str) -> str:
    """Coarse name of a frequency."""
    return next((name for alias, name in GROUPS.items() if freq.split("-")[0] == alias), "minutes")


def joined(model: pd.DataFrame, point: pd.DataFrame, origins: bool) -> pd.DataFrame:
    """One row a series and origin: the model's scores beside the point forecast's."""
    if not origins:
        model, point = model[model.origin == 0], point[point.origin == 0]
    both = model.merge(point[[*KEYS, "mase", "loss"]], on=KEYS, suffixes=("", "_naive"))
    both["group"] = both.freq.map(group_of)
    return both.dropna(subset=["mase", "loss", "mase_naive", "loss_naive"])


def ratios(rows: pd.DataFrame) -> pd.DataFrame:
    """Per set: MASE and quantile loss relative to the point forecast, and coverage."""
    mean = rows.groupby("set")[["mase", "mase_naive", "loss", "loss_naive", "in80", "in95"]].mean()
    return pd.DataFrame(
        {
            "mase": mean.mase / mean.mase_naive,
            "wql": mean.loss / mean.loss_naive,
            "in80": mean.in80,
            "in95": mean.in95,
        }
    )


def overall(rows: pd.DataFrame) -> np.ndarray:
    """Geometric means of both ratios over sets, and mean coverages."""
    table = ratios(rows)
    return np.array([*np.exp(np.log(table[["mase", "wql"]]).mean()), table.in80.mean(), table.in95.mean()])


def resampled(rows: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """Overall scores of `DRAWS` resamplings of the series of each set, [DRAWS, 4]."""
    rng = np.random.default_rng(seed)
    columns = ["mase", "mase_naive", "loss", "loss_naive", "in80", "in95"]
    out = np.zeros((DRAWS, 4))
    sets = list(rows.groupby("set"))
    for _, one in sets:
        series = one.groupby("series")[columns].sum().to_numpy()
        count = one.groupby("series").size().to_numpy()
        pick = rng.integers(0, len(series), (DRAWS, len(series)))
        total, number = series[pick].sum(1), count[pick].sum(1)
        out[:, 0] += np.log(total[:, 0] / total[:, 1])
        out[:, 1] += np.log(total[:, 2] / total[:, 3])
        out[:, 2:] += total[:, 4:] / number[:, None]
    out /= len(sets)
    out[:, :2] = np.exp(out[:, :2])
    return out


def row(name: str, rows: pd.DataFrame) -> str:
    """One line of the main table."""
    mase, wql, in80, in95 = overall(rows)
    low, high = np.quantile(resampled(rows), [0.025, 0.975], axis=0)
    series = rows.groupby(["set", "series"]).ngroups
    return (
        f"| {name.replace('_', ': ', 1) if name.startswith('expert') else name.replace('_', ', ', 1)} | {mase:.3f} "
        f"({low[0]:.3f}–{high[0]:.3f}) | {wql:.3f} ({low[1]:.3f}–{high[1]:.3f}) | {in80:.1%} | {in95:.1%} | {series} |"
    )


def write(folder: Path, page: Path) -> None:
    """Write the page; text between the marks of the measured part is replaced, the rest stays."""
    models = read(folder)
    point = models.pop(POINT)
    for origins, title in ((False, "last"), (True, "all")):
        tables = {name: joined(model, point, origins) for name, model in models.items()}
        whole = tables[SMALL][["set", "origin"]].drop_duplicates()
        tables = {n: rows for n, rows in tables.items() if len(rows[["set", "origin"]].drop_duplicates()) == len(whole)}
        order = sorted(tables, key=lambda name: overall(tables[name])[1])
        main = ["| model | MASE | WQL | in 80% | in 95% | series |", "|---|---|---|---|---|---|"]
        main += [row(name, tables[name]) for name in order]
        replace(page, f"main {title}", main)
        if not origins:
            last = tables
    replace(page, "frequency", by_frequency(last))
    replace(page, "sets", by_set(last))
    replace(page, "paired", paired(last))


def by_frequency(tables: dict[str, pd.DataFrame]) -> list[str]:
    """WQL and MASE of the models by frequency."""
    wanted = (SMALL, "pool of the experts", "AutoTheta", "AutoETS", "AutoARIMA", "SeasonalNaive")
    names = [name for name in wanted if name in tables]
    lines = ["| frequency | sets | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    groups = tables[SMALL].groupby("group")["set"].nunique()
    for group in ["yearly", "quarterly", "monthly", "weekly", "daily", "hourly", "minutes"]:
        if group not in groups.index:
            continue
        cells = []
        for name in names:
            rows = tables[name]
            mase, wql, *_ = overall(rows[rows.group == group])
            cells.append(f"{mase:.3f} / {wql:.3f}")
        lines.append(f"| {group} | {groups[group]} | " + " | ".join(cells) + " |")
    return lines


def by_set(tables: dict[str, pd.DataFrame]) -> list[str]:
    """MASE and WQL of the models by set."""
    names = [n for n in (SMALL, "pool of the experts", "AutoTheta", "AutoETS", "AutoARIMA") if n in tables]
    each = {name: ratios(tables[name]) for name in names}
    lines = ["| set | " + " | ".join(names) + " | in 80% |", "|---" * (len(names) + 2) + "|"]
    for one in each[SMALL].index:
        cells = [f"{each[n].mase[one]:.3f} / {each[n].wql[one]:.3f}" for n in names]
        lines.append(f"| {one} | " + " | ".join(cells) + f" | {each[SMALL].in80[one]:.0%} |")
    return lines


def paired(tables: dict[str, pd.DataFrame]) -> list[str]:
    """MASE and WQL of tsar-small over those of each classical model, on the very same series, by frequency."""
    lines = ["| frequency | against | series | MASE | WQL |", "|---|---|---|---|---|"]
    for name in ("AutoTheta", "AutoETS", "AutoARIMA"):
        if name not in tables:
            continue
        both = tables[SMALL].merge(tables[name][[*KEYS, "mase", "loss"]], on=KEYS, suffixes=("", "_other"))
        both[["mase_naive", "loss_naive"]] = both[["mase_other", "loss_other"]].to_numpy()
        for group in ["yearly", "quarterly", "monthly", "weekly", "daily", "hourly", "minutes", "all"]:
            rows = both if group == "all" else both[both.group == group]
            mase, wql, *_ = overall(rows)
            low, high = np.quantile(resampled(rows), [0.025, 0.975], axis=0)
            series = rows.groupby(["set", "series"]).ngroups
            lines.append(
                f"| {group} | {name} | {series} | {mase:.3f} ({low[0]:.3f}–{high[0]:.3f}) | "
                f"{wql:.3f} ({low[1]:.3f}–{high[1]:.3f}) |"
            )
    return lines


def replace(page: Path, mark: str, lines: list[str]) -> None:
    """Put `lines` between `<!-- mark -->` and `<!-- end mark -->`."""
    text = page.read_text()
    start, end = f"<!-- {mark} -->", f"<!-- end {mark} -->"
    head, rest = text.split(start)
    tail = rest.split(end)[1]
    page.write_text(head + start + "\n\n" + "\n".join(lines) + "\n\n" + end + tail)
