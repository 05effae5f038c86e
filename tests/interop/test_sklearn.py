"""The scikit-learn door: its own checks, searches, pipelines and metadata routing."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer
from sklearn.utils.estimator_checks import check_estimator

import tsar

# What scikit-learn's checks ask of a table of samples and features, and a panel of series does not have.
DO_NOT_APPLY = {
    "check_n_features_in": "rows of an array are series and columns are steps: there are no features to count",
    "check_n_features_in_after_fitting": "as above: a series may be longer or shorter than in fit",
    "check_fit2d_predict1d": "a 1-D array is one series",
    "check_fit1d": "a 1-D array is one series",
    "check_fit2d_1feature": "one column is series of one step, refused in words of series",
    "check_estimators_empty_data_messages": "refused in words of series",
    "check_estimators_nan_inf": "NaN is a missing value; infinities are refused",
    "check_dtype_object": "a ValueError names the column that is not numeric, where the check wants a TypeError",
    "check_array_api_input": "runs only where SCIPY_ARRAY_API is set",
}
EAGER = {"check_do_not_raise_errors_in_init_or_set_params": "a misspelt part is refused when it is named, not in fit"}
LOCAL = {
    "check_methods_sample_order_invariance": "a local model has parameters of each series, by its place in the array",
    "check_methods_subset_invariance": "as above",
}


def checked(name: str, **options: Any) -> Any:
    """Return a forecaster with scikit-learn's signatures: no y to learn, and two steps after each row as the answer."""
    base = getattr(tsar, name)

    def fit(self: Any, X: Any, y: None = None) -> Any:
        return base.fit(self, X)

    def predict(self: Any, X: Any) -> np.ndarray:
        return base.predict(self, 2, X).mean

    kind = type(f"Checked{name}", (base,), {"fit": fit, "predict": predict, "__module__": __name__})
    globals()[kind.__name__] = kind  # so that the checks can pickle it
    return kind(**options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "options", "exempt"),
    [
        ("SeasonalNaive", {}, {}),
        ("AR", {}, LOCAL),
        ("AutoARIMA", {"on_error": "fallback"}, LOCAL),  # the checks' rows of two steps are too short for it
        pytest.param("Theta", {"on_error": "fallback"}, LOCAL, marks=pytest.mark.slow),
        pytest.param(
            "NeuralForecaster", {"max_steps": 2, "width": 16, "depth": 1, "random_state": 0}, EAGER,
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_checks_of_scikit_learn(name: str, options: dict[str, Any], exempt: dict[str, str]) -> None:
    results = check_estimator(checked(name, **options), on_fail=None, on_skip=None)
    failed = {r["check_name"] for r in results if r["status"] != "passed"}
    assert failed <= set(DO_NOT_APPLY) | set(exempt)
    assert len(results) - len(failed) >= 28


@pytest.fixture
def wave() -> np.ndarray:
    return np.sin(np.arange(300) / 5) + np.random.default_rng(0).normal(size=300) * 0.1


def test_grid_search_over_one_series(wave: np.ndarray) -> None:
    search = GridSearchCV(tsar.AR(), {"lags": [1, 12], "trend": ["c", "ct"]}, cv=TimeSeriesSplit(3)).fit(wave)
    assert search.best_params_["lags"] == 12
    assert search.predict(5).mean.shape == (1, 5)
    scores = cross_val_score(tsar.AR(lags=12), wave, cv=TimeSeriesSplit(3))
    assert scores.mean() == pytest.approx(search.best_score_, abs=0.2) and (scores < 0).all()


def test_known_covariates_travel_as_columns_through_a_search(wave: np.ndarray) -> None:
    effect = np.random.default_rng(1).normal(size=300)
    frame = pd.DataFrame(
        {"timestamp": pd.date_range("2024", periods=300), "target": wave + 5 * effect, "effect": effect}
    )
    search = GridSearchCV(tsar.AR(lags=12), {"known": [[], ["effect"]]}, cv=TimeSeriesSplit(3)).fit(frame)
    assert search.best_params_["known"] == ["effect"] and search.best_score_ > -2


@pytest.mark.filterwarnings("ignore")
def test_parts_of_a_neural_forecaster_are_options_like_any_other(wave: np.ndarray) -> None:
    from tsar.heads.mixture import Mixture
    from tsar.heads.quantile import Quantile

    heads = [Quantile(), Mixture(components=2), "student_t"]
    model = tsar.NeuralForecaster(width=16, depth=1, max_steps=5, random_state=0)
    search = RandomizedSearchCV(model, {"head": heads}, n_iter=3, cv=TimeSeriesSplit(2), random_state=0).fit(wave)
    assert search.best_params_["head"] in heads and np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert clone(tsar.NeuralForecaster(head=Mixture(components=2))).head == Mixture(components=2)


def test_pipeline_transforms_the_target_and_its_inverse_gives_quantiles_back(wave: np.ndarray) -> None:
    y = np.exp(3 + wave)
    pipeline = make_pipeline(FunctionTransformer(np.log, np.exp), tsar.AR(lags=12)).fit(y)
    forecast = pipeline[-1].predict(6)
    direct = tsar.AR(lags=12).fit(np.log(y)).predict(6)
    np.testing.assert_allclose(pipeline[:-1].inverse_transform(forecast.quantile(0.9)), np.exp(direct.quantile(0.9)))
    assert cross_val_score(pipeline, y, cv=TimeSeriesSplit(3)).mean() > -2
    search = GridSearchCV(pipeline, {"ar__lags": [1, 12]}, cv=TimeSeriesSplit(3)).fit(y)
    assert search.best_params_ == {"ar__lags": 12}


def test_learned_transformer_on_a_wide_frame(wave: np.ndarray) -> None:
    wide = pd.DataFrame({"a": np.exp(wave), "b": np.exp(3 - wave)}, pd.date_range("2024", periods=300))
    scaler = PowerTransformer("box-cox").set_output(transform="pandas")
    pipeline = make_pipeline(scaler, tsar.AR(lags=12)).fit(wide)
    median = pipeline[-1].predict(6).quantile(0.5)
    assert np.isfinite(scaler.inverse_transform(pd.DataFrame(median.T, columns=["a", "b"]))).all()


def test_metadata_routing_of_reading_options(wave: np.ndarray) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        model = tsar.SeasonalNaive().set_fit_request(season_length=True)
        search = GridSearchCV(model, {"bounds": [None, (-5, 5)]}, cv=TimeSeriesSplit(2)).fit(wave, season_length=31)
    assert list(search.best_estimator_.season_) == [31]


def test_a_regressor_that_hands_over_y_is_told_where_the_series_goes(wave: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="fit takes the series as its first argument"):
            TransformedTargetRegressor(tsar.AR(), func=np.log, inverse_func=np.exp).fit(wave[:, None], np.exp(wave))


def test_html_shows_the_options_that_were_set() -> None:
    html = tsar.AR(lags=12, trend="ct")._repr_html_()
    assert "AR" in html and "lags" in html and "fitted" in html
