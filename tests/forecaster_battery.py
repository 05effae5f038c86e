"""What every forecaster must do; a new one is tested by one line, `forecaster_battery(MyForecaster())`.

Legend: N items, S paths, H horizon.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

import tsar
from tsar.forecasters.base import Forecaster

HORIZON = 5
GRIDS = [
    ("h", None), ("D", None), ("B", None), ("W-SUN", None), ("ME", None), ("QE-DEC", None), ("YE-DEC", None),
    ("h", "Europe/Berlin"), ("D", "Europe/Berlin"),
]  # fmt: skip


def frame(freq: str = "MS", tz: str | None = None, items: int = 3, length: int = 60, seed: int = 0) -> pd.DataFrame:
    """Positive series with level, season and noise; the dates cross the changes of the clock of Berlin in 2023."""
    rng = np.random.default_rng(seed)
    start = "2023-03-24" if freq in ("h", "D", "B") else "2000-01-01"
    times = pd.date_range(start, periods=length, freq=freq, tz=tz)
    step = np.arange(length)
    parts = [
        pd.DataFrame(
            {
                "unique_id": f"item {i}",
                "ds": times,
                "y": 50 * (i + 1) + 8 * np.sin(step * 2 * np.pi / 12 + i) + 0.2 * step + rng.normal(size=length),
            }
        )
        for i in range(items)
    ]
    return pd.concat(parts, ignore_index=True)


def forecaster_battery(
    forecaster: Forecaster, *, alone: bool = True, eager: bool = False, strangers: bool = False
) -> None:
    """Run every check below on an unfitted forecaster.

    Parameters
    ----------
    forecaster : Forecaster
    alone : whether each series is learned by itself, so that one fitted alone is forecast as in a batch
    eager : whether options are already checked when it is constructed, which scikit-learn leaves to fit
    strangers : whether items that were not fitted are forecast instead of refused
    """
    with_scikit_learn(forecaster, eager)
    for freq, tz in GRIDS:
        continues_the_index(forecaster, freq, tz)
    data = frame()
    fitted = clone(forecaster).fit(data)
    forecast = fitted.predict(HORIZON, levels=[0.05, 0.5, 0.9], random_state=0)
    leaves_the_input(forecaster)
    orders_quantiles(fitted)
    paths_agree_with_quantiles(fitted)
    row_order_is_irrelevant(forecaster, forecast)
    one_item_as_in_the_batch(fitted if not alone else clone(forecaster), data, forecast, alone)
    if not strangers:
        unseen_items_are_named(fitted)
    survives_a_folder(fitted, forecast)


def with_scikit_learn(forecaster: Forecaster, eager: bool) -> None:
    """Run scikit-learn's own checks of constructors and parameters; its others pass X as a table of samples."""
    name = type(forecaster).__name__
    late = [] if eager else [estimator_checks.check_do_not_raise_errors_in_init_or_set_params]
    for check in (
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_mixin_order,
        estimator_checks.check_no_attributes_set_in_init,
        *late,
    ):
        check(name, clone(forecaster))
    assert name in repr(forecaster)
    with pytest.raises(NotFittedError):
        clone(forecaster).predict(1)
    own = clone(forecaster)
    assert own.fit(frame()) is own
    before = clone(forecaster).get_params(deep=False)
    after = own.get_params(deep=False)
    assert {k: repr(v) for k, v in before.items()} == {k: repr(v) for k, v in after.items()}, "fit changed an option"


def continues_the_index(forecaster: Forecaster, freq: str, tz: str | None) -> None:
    data = frame(freq, tz, items=2, length=34)
    out = clone(forecaster).fit(data).predict(HORIZON).to_frame()
    times = pd.DatetimeIndex(data["ds"].iloc[-1:].to_list())
    want = pd.date_range(times[0], periods=HORIZON + 1, freq=freq)[1:]
    assert list(out.columns[:3]) == ["unique_id", "ds", "mean"]
    for item, part in out.groupby("unique_id"):
        assert list(pd.DatetimeIndex(part["ds"])) == list(want), (item, freq, tz)
    assert np.isfinite(out["mean"]).all(), (freq, tz)


def leaves_the_input(forecaster: Forecaster) -> None:
    data = frame()
    copy = data.copy(deep=True)
    clone(forecaster).fit(data).predict(HORIZON, data)
    pd.testing.assert_frame_equal(data, copy)


def orders_quantiles(fitted: Forecaster) -> None:
    forecast = fitted.predict(HORIZON, levels=[0.01, 0.1, 0.5, 0.9, 0.99])
    assert (np.diff(forecast.quantiles_NHQ, axis=-1) >= 0).all()
    assert (forecast.quantiles_NHQ[..., 0] < forecast.quantiles_NHQ[..., -1]).all()
    assert np.array_equal(forecast.quantile(0.3), fitted.predict(HORIZON, levels=[0.3]).quantiles_NHQ[..., 0])
    bounded = clone(fitted).set_params(bounds=(None, 60.0)).fit(frame()).predict(HORIZON, num_samples=5)
    for values in (bounded.mean, bounded.quantiles_NHQ, bounded.samples):
        assert values is not None and values.max() <= 60.0


def paths_agree_with_quantiles(fitted: Forecaster) -> None:
    forecast = fitted.predict(HORIZON, levels=[0.1, 0.9], num_samples=400, random_state=0)
    assert forecast.samples is not None and forecast.samples.shape == (3, 400, HORIZON)
    below = (forecast.samples[..., None] <= forecast.quantiles_NHQ[:, None]).mean((0, 1, 2))
    np.testing.assert_allclose(below, [0.1, 0.9], atol=0.04)
    again = fitted.predict(HORIZON, num_samples=400, random_state=0)
    assert np.array_equal(again.samples, forecast.samples)


def row_order_is_irrelevant(forecaster: Forecaster, forecast: tsar.Forecast) -> None:
    shuffled = frame().sample(frac=1.0, random_state=0)
    other = clone(forecaster).fit(shuffled).predict(HORIZON, levels=[0.05, 0.5, 0.9])
    assert list(other.ids) == list(forecast.ids)
    np.testing.assert_allclose(other.mean, forecast.mean, rtol=1e-9)
    np.testing.assert_allclose(other.quantiles_NHQ, forecast.quantiles_NHQ, rtol=1e-9)


def one_item_as_in_the_batch(forecaster: Forecaster, data: pd.DataFrame, forecast: tsar.Forecast, alone: bool) -> None:
    longer = frame(items=4, length=90, seed=1).assign(unique_id=lambda d: "other " + d["unique_id"])
    item = data[data["unique_id"] == "item 1"]
    if alone:
        one = clone(forecaster).fit(item).predict(HORIZON, levels=[0.05, 0.5, 0.9], num_samples=3, random_state=0)
        many = clone(forecaster).fit(pd.concat([longer, item]))
        both = many.predict(HORIZON, levels=[0.05, 0.5, 0.9], num_samples=3, random_state=0)
        np.testing.assert_allclose(both.samples[list(both.ids).index("item 1")], one.samples[0], rtol=1e-5)
    else:
        one = forecaster.predict(HORIZON, item, levels=[0.05, 0.5, 0.9])
    np.testing.assert_allclose(one.mean[0], forecast.mean[1], rtol=1e-5)
    np.testing.assert_allclose(one.quantiles_NHQ[0], forecast.quantiles_NHQ[1], rtol=1e-5)


def unseen_items_are_named(fitted: Forecaster) -> None:
    stranger = frame().assign(unique_id=lambda d: d["unique_id"].str.replace("item 2", "stranger"))
    with pytest.raises(ValueError, match="stranger"):
        fitted.predict(HORIZON, stranger)


def survives_a_folder(fitted: Forecaster, forecast: tsar.Forecast) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fitted.save(Path(folder) / "it")
        again = tsar.load(Path(folder) / "it")
    assert repr(again) == repr(fitted).replace("[", "(").replace("]", ")") or repr(again) == repr(fitted)
    other = again.predict(HORIZON, levels=[0.05, 0.5, 0.9])
    np.testing.assert_allclose(other.mean, forecast.mean, rtol=1e-9)
    np.testing.assert_allclose(other.quantiles_NHQ, forecast.quantiles_NHQ, rtol=1e-9)
