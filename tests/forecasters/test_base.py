"""The base class: options, seeds, fall-backs, scores and folders, shown on small forecasters."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

import tsar
from tsar.forecasters.base import FallbackWarning, Forecaster
from tsar.forecasters.prediction import Prediction, gaussian
from tsar.panel import Panel
from tsar.seeds import item_seeds

DAYS = pd.date_range("2020-01-01", periods=40, freq="D")


class Level(Forecaster):
    """Mean of the first `steps` values; refuses series that hold `poison`."""

    def __init__(
        self, steps: int = 5, poison: float = 13.0, on_error: str = "raise", bounds: tuple | None = None
    ) -> None:
        self.steps = steps
        self.poison = poison
        self.on_error = on_error
        self.bounds = bounds

    def _fit(self, panel: Panel) -> Mapping[int, str]:
        self.level_ = np.array([np.nanmean(panel.series(i)[: self.steps]) for i in range(len(panel))])
        return {i: f"holds {self.poison}" for i in range(len(panel)) if (panel.series(i) == self.poison).any()}

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        mean = np.repeat(self.level_[self._places(panel)][:, None], horizon, 1)

        def sample(count: int, seeds: np.ndarray) -> np.ndarray:
            noise = [np.random.default_rng(seed).normal(size=(count, horizon)) for seed in seeds]
            return mean[:, None] + np.stack(noise)

        return Prediction(mean, gaussian(mean, np.ones_like(mean)), sample)


def panel_frame(n: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.concat([pd.DataFrame({"unique_id": f"s{i}", "ds": DAYS, "y": i + rng.normal(size=40)}) for i in range(n)])


def test_not_fitted() -> None:
    with pytest.raises(NotFittedError, match="call fit"):
        Level().predict(3)


@pytest.mark.parametrize("horizon", [0, -1, 2.5, "3", True, None, np.array([1, 2])])
def test_impossible_horizons(horizon: object) -> None:
    with pytest.raises(ValueError, match="horizon must be a positive integer"):
        Level().fit(np.arange(9.0)).predict(horizon)


@pytest.mark.parametrize(
    "options", [{"num_samples": 0}, {"num_samples": 1.5}, {"random_state": "now"}, {"levels": [2]}]
)
def test_impossible_options(options: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}"):
        Level().fit(np.arange(9.0)).predict(3, **options)


def test_y_is_refused() -> None:
    with pytest.raises(ValueError, match="expected y=None"):
        Level().fit(np.zeros((9, 2)), np.arange(9.0))


def test_unknown_items_are_named() -> None:
    model = Level().fit(panel_frame())
    with pytest.raises(ValueError, match="'new' was not in the data"):
        model.predict(3, panel_frame(1).assign(unique_id="new"))


def test_a_bad_series_is_named_or_falls_back() -> None:
    frame = panel_frame()
    frame.loc[(frame.unique_id == "s2") & (frame.ds == DAYS[3]), "y"] = 13.0
    frame.loc[frame.unique_id == "s1", "y"] = np.nan
    with pytest.raises(ValueError, match="item 's1' cannot be fitted.*only missing"):
        Level().fit(frame)
    frame = frame[frame.unique_id != "s1"]
    with pytest.raises(ValueError, match="item 's2' cannot be fitted: holds 13"):
        Level().fit(frame)
    with pytest.warns(FallbackWarning, match="'s2'"):
        model = Level(on_error="fallback").fit(frame)
    forecast = model.predict(7, num_samples=5, random_state=0)
    assert list(forecast.notes) == ["s2"] and "SeasonalNaive" in forecast.notes["s2"]
    row = list(forecast.ids).index("s2")
    np.testing.assert_allclose(forecast.mean[row], frame[frame.unique_id == "s2"].y.to_numpy()[-7:])
    others = [i for i in range(3) if i != row]
    np.testing.assert_allclose(forecast.mean[others], Level().fit(frame[frame.unique_id != "s2"]).predict(7).mean)
    assert np.isfinite(forecast.samples).all()


def test_all_items_bad_still_answers_with_fallback() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecast = Level(on_error="fallback").fit(np.full(8, np.nan)).predict(2)
    assert forecast.notes and forecast.mean.shape == (1, 2)


def test_bounds_hold_for_everything() -> None:
    forecast = Level(bounds=(0, None)).fit(panel_frame()).predict(5, num_samples=50, random_state=1)
    assert forecast.mean.min() >= 0 and forecast.quantiles_NHQ.min() >= 0 and forecast.samples.min() >= 0
    assert forecast.quantile(0.001).min() >= 0
    with pytest.raises(ValueError, match="lower < upper"):
        Level(bounds=(1, 0)).fit(panel_frame())


def test_samples_belong_to_items_and_not_to_places() -> None:
    model = Level().fit(panel_frame())
    whole = model.predict(3, num_samples=4, random_state=5)
    alone = model.predict(3, panel_frame().query("unique_id == 's2'"), num_samples=4, random_state=5)
    np.testing.assert_array_equal(whole.samples[2], alone.samples[0])
    assert (item_seeds(5, ["a", "b"])[::-1] == item_seeds(5, ["b", "a"])).all()
    assert item_seeds(5, ["a"]) != item_seeds(6, ["a"])


def test_score_and_search() -> None:
    y = np.r_[np.zeros(20), np.ones(60)] + np.random.default_rng(0).normal(size=80) * 0.1
    assert Level(80).fit(y[:60]).score(y[60:]) > Level(5).fit(y[:60]).score(y[60:])
    search = GridSearchCV(Level(), {"steps": [5, 80]}, cv=TimeSeriesSplit(3)).fit(y)
    assert search.best_params_ == {"steps": 80}


def test_score_places_stamped_steps_after_a_gap() -> None:
    frame = panel_frame(2)
    model = Level().fit(frame[frame.ds < DAYS[30]])
    near, far = (model.score(frame[(frame.ds >= DAYS[k])]) for k in (30, 35))
    assert np.isfinite([near, far]).all() and near != far
    with pytest.raises(ValueError, match="start after the training data"):
        model.score(frame)


def test_clone_and_folder(tmp_path: Path) -> None:
    model = tsar.SeasonalNaive(season_length=7).fit(panel_frame())
    model.save(tmp_path / "m")
    again = tsar.load(tmp_path / "m")
    pd.testing.assert_frame_equal(again.predict(9).to_frame(), model.predict(9).to_frame())
    assert clone(again).get_params() == model.get_params()
    model.save(tmp_path / "m")  # over itself
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]


@pytest.mark.parametrize("harm", ["truncate", "foreign", "future", "remove", "class"])
def test_harmed_folders_are_named(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "m"
    tsar.Naive().fit(panel_frame()).save(folder)
    config, arrays = folder / "config.json", folder / "model.safetensors"
    if harm == "truncate":
        arrays.write_bytes(arrays.read_bytes()[:40])
    elif harm == "foreign":
        config.write_text("[1]")
    elif harm == "future":
        config.write_text(config.read_text().replace('"format": 1', '"format": 99'))
    elif harm == "remove":
        config.unlink()
    else:
        config.write_text(config.read_text().replace("tsar.forecasters.naive:Naive", "os:system"))
    with pytest.raises(ValueError, match="expected|truncated"):
        tsar.load(folder)


def test_a_failed_save_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tsar.Naive().fit(panel_frame())
    model.save(tmp_path / "m")
    before = (tmp_path / "m" / "config.json").read_text()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tsar.forecasters.store.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        model.fit(panel_frame(2)).save(tmp_path / "m")
    assert (tmp_path / "m" / "config.json").read_text() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]
