"""NeuralForecaster: any words, any horizon, any company; bad input is refused and names what is wrong."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import tsar
from tests.forecaster_battery import forecaster_battery
from tsar.forecasters.neural import NeuralForecaster
from tsar.forecasters.store import load
from tsar.heads.point import Point
from tsar.objectives.direct import Direct
from tsar.tokenizers.patch import Patch
from tsar.train import TrainConfig

LENGTH = 240
TIMES = pd.date_range("2024-01-01", periods=LENGTH, freq="h")
SMALL = {"context": 64, "width": 16, "depth": 1, "max_steps": 12, "random_state": 0}


def frame(ids="abc", length=LENGTH, scale=1.0):
    rng = np.random.default_rng(0)
    y = {i: (np.sin(np.arange(LENGTH) / 4 + k) + 0.1 * rng.normal(size=LENGTH)) * 10.0**k for k, i in enumerate("abcd")}
    parts = [pd.DataFrame({"unique_id": i, "ds": TIMES[:length], "y": y[i][:length] * scale}) for i in ids]
    return pd.concat(parts, ignore_index=True)


def relative(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.fixture(scope="module")
def timer():
    return NeuralForecaster(**SMALL).fit(frame())


def test_it_learns_a_wave():
    y = 5 + 3 * np.sin(np.arange(400) * 2 * np.pi / 12) + 0.1 * np.random.default_rng(0).normal(size=400)
    model = NeuralForecaster(context=96, width=32, depth=2, max_steps=120, random_state=0).fit(y[:360])
    error = np.abs(model.predict(24).mean[0] - y[360:384]).mean()
    assert error < 0.5, f"mean absolute error {error} of a wave of amplitude 3"
    assert model.score(y[360:384]) > -4


def test_the_same_random_state_gives_the_same_model_and_another_does_not(timer):
    again, other = clone(timer).fit(frame()), clone(timer).set_params(random_state=1).fit(frame())
    for a, b in zip(timer.model_.state_dict().values(), again.model_.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not np.allclose(timer.predict(3).mean, other.predict(3).mean)


def test_a_forecast_does_not_depend_on_its_company(timer):
    data = pd.concat([frame("c"), frame("a", 101), frame("b", 233)])
    data.loc[data["unique_id"].eq("c") & data["ds"].between(TIMES[200], TIMES[215]), "y"] = np.nan
    crowd = timer.predict(40, data, num_samples=7, random_state=5)
    for item in "abc":
        alone = timer.predict(40, data[data["unique_id"] == item], num_samples=7, random_state=5)
        at = list(crowd.ids).index(item)
        assert relative(crowd.mean[at], alone.mean[0]) < 1e-5
        assert relative(crowd.quantiles_NHQ[at], alone.quantiles_NHQ[0]) < 1e-5
        assert relative(crowd.samples[at], alone.samples[0]) < 1e-5


def test_paths_are_dependent_over_the_horizon(timer):
    paths = timer.predict(40, frame("a"), num_samples=200, random_state=0).samples[0]
    assert paths.shape == (200, 40)
    steps = np.corrcoef(paths[:, 20:30].T)
    assert np.diag(steps, 1).mean() > 0.2, "neighbouring steps of a path must go together"
    other = timer.predict(40, frame("a"), num_samples=200, random_state=1).samples[0]
    assert not np.allclose(paths, other)


def test_any_horizon(timer):
    long = timer.predict(10_000, frame("a"), levels=[0.1, 0.9])
    assert long.mean.shape == (1, 10_000) and np.isfinite(long.quantiles_NHQ).all()
    for bad in (0, -1, 2.5):
        with pytest.raises(ValueError, match="horizon"):
            timer.predict(bad, frame("a"))


@pytest.mark.parametrize("head", ["point", "quantile", "student_t", "mixture", "bins", "flow"])
def test_every_head_by_name(head):
    forecast = NeuralForecaster(**SMALL | {"max_steps": 2}, head=head).fit(frame("a")).predict(20, num_samples=3)
    assert np.isfinite(forecast.mean).all() and forecast.samples.shape == (1, 3, 20)
    assert (np.diff(forecast.quantiles_NHQ, axis=-1) >= 0).all()


@pytest.mark.parametrize("length", [2, 3, 9, 20])
def test_series_shorter_than_a_patch(length):
    forecast = NeuralForecaster(max_steps=2, random_state=0).fit(frame("ab", length)).predict(30)
    assert np.isfinite(forecast.mean).all()


def test_short_and_gappy_items_beside_long_ones(timer):
    data = pd.concat([frame("a"), frame("b", 1), frame("c", 5)], ignore_index=True)
    data.loc[data["unique_id"].eq("a"), "y"] = data["y"].where(np.arange(len(data)) % 3 > 0)
    assert np.isfinite(timer.predict(20, data).mean).all()
    with pytest.raises(ValueError, match="item 'c'"):
        timer.predict(5, data.assign(y=data["y"].where(data["unique_id"] != "c")))


def test_huge_levels_keep_their_noise():
    """Around 1e9 the float32 spacing is 64: a forecaster that computes in it cannot see noise of 1."""
    model = NeuralForecaster(**SMALL).fit(frame("a"))
    moved = frame("a").assign(y=lambda f: f["y"] + 1e9)
    there, here = model.predict(12, moved).quantiles_NHQ - 1e9, model.predict(12, frame("a")).quantiles_NHQ
    np.testing.assert_allclose(there, here, atol=1e-3)


def covariates(length, promo=None):
    data = frame("ab", length)
    rng = np.random.default_rng(3)
    data["promo"] = rng.integers(0, 2, len(data)) if promo is None else promo
    data["weather"] = np.where(data["ds"].dt.hour < 12, "sun", "rain")
    data["load"] = rng.normal(size=len(data))
    data["region"] = data["unique_id"].map({"a": "north", "b": "south"})
    data["size"] = data["unique_id"].map({"a": 1.0, "b": 20.0})
    data["y"] = data["y"] + 0 * data["promo"]
    return data


def test_covariates_of_every_kind_and_what_is_wrong_with_them():
    columns = {"known": ["promo", "weather"], "past": ["load"], "static": ["region", "size"]}
    data = covariates(200)
    model = NeuralForecaster(**SMALL, **columns).fit(data)
    ahead = covariates(LENGTH)
    ahead = ahead[ahead["ds"] >= TIMES[200]].drop(columns="y")
    base = model.predict(20, future=ahead).mean
    assert not np.allclose(base, model.predict(20, future=ahead.assign(promo=1 - ahead["promo"])).mean)
    assert not np.allclose(base, model.predict(20, data.assign(load=-data["load"]), future=ahead).mean)
    assert not np.allclose(base, model.predict(20, data.assign(region="north"), future=ahead).mean)
    with pytest.raises(ValueError, match="future"):
        model.predict(20)
    with pytest.raises(ValueError, match="promo"):
        model.predict(20, data.drop(columns="promo"), future=ahead)
    with pytest.raises(ValueError, match="'weather'.*'snow'.*rain, sun"):
        model.predict(20, future=ahead.assign(weather="snow"))
    with pytest.raises(ValueError, match="'promo' is named both known and past"):
        NeuralForecaster(known=["promo"], past=["promo"]).fit(data)
    with pytest.raises(ValueError, match="expected no covariates, found 1 known"):
        NeuralForecaster("dlinear", known=["promo"]).fit(data)


def test_a_known_covariate_that_decides_the_target_is_used():
    rng = np.random.default_rng(0)
    promo = rng.integers(0, 2, 640).astype(float)
    data = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2024", periods=640, freq="h"), "promo": promo})
    data["y"] = 10 * promo + rng.normal(size=640)
    model = NeuralForecaster(
        context=64, width=32, depth=2, tokenizer=Patch(size=8), max_steps=120, random_state=0, known=["promo"]
    ).fit(data[:600])
    mean = model.predict(40, future=data[600:].drop(columns="y")).mean[0]
    assert np.corrcoef(mean, promo[600:])[0, 1] > 0.9


def test_items_modelled_jointly():
    model = NeuralForecaster("itransformer", context=48, horizon=8, width=16, max_steps=3, random_state=0).fit(frame())
    base = model.predict(12)
    moved = frame()
    moved.loc[moved["unique_id"].eq("b"), "y"] *= np.linspace(1, 3, LENGTH)
    changed = model.predict(12, moved)
    assert not np.allclose(base.mean[0], changed.mean[0]), "item a must depend on item b"
    shuffled = model.predict(12, frame("cab"))
    np.testing.assert_allclose(shuffled.mean[list(shuffled.ids).index("a")], base.mean[0], rtol=1e-4)
    assert model.predict(12, frame("abcd")).mean.shape == (4, 12), "other numbers of variates are fine here"
    with pytest.raises(ValueError, match="item 'b' ends at"):
        model.predict(12, pd.concat([frame("a"), frame("b", 230)]))


def test_channels_that_differ_between_fit_and_predict():
    model = NeuralForecaster(**SMALL, multivariate=True).fit(frame("ab"))
    assert model.model_.config.tokenizer.joint and model.model_.config.core.mixer.variate_bias
    assert np.isfinite(model.predict(20).mean).all()
    for other in ("a", "abc", "ac"):
        with pytest.raises(ValueError, match="modelled jointly in fit: expected \\['a', 'b'\\]"):
            model.predict(20, frame(other))


def test_save_and_load(timer, tmp_path):
    timer.save(tmp_path / "m")
    loaded = load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(30).quantiles_NHQ, timer.predict(30).quantiles_NHQ)
    assert not [p for p in (tmp_path / "m").iterdir() if p.suffix not in (".json", ".safetensors")]
    words = NeuralForecaster(**SMALL, tokenizer=Patch(size=8), head=Point(loss="mae"), train=TrainConfig(ema=0.9))
    words.fit(frame("a")).save(tmp_path / "w")
    again = load(tmp_path / "w")
    assert again.head == Point(loss="mae") and again.train == TrainConfig(ema=0.9)
    np.testing.assert_array_equal(again.predict(9).mean, words.predict(9).mean)


def test_a_fit_that_was_interrupted_goes_on_where_it_was(tmp_path, monkeypatch):
    options = SMALL | {"train": TrainConfig(checkpoint_every=4, validate_every=5), "head": "flow", "dropout": 0.1}
    whole = NeuralForecaster(**options).fit(frame())
    from tsar.run import Run

    advance = Run.advance

    def stop(self, batch):
        if self.state.step == 7:
            raise KeyboardInterrupt
        return advance(self, batch)

    broken = NeuralForecaster(**options, checkpoint=str(tmp_path))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "advance", stop)
        broken.fit(frame())
    broken.fit(frame())
    for a, b in zip(whole.model_.state_dict().values(), broken.model_.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match="another training run"):
        NeuralForecaster(**options, checkpoint=str(tmp_path)).fit(frame(scale=2.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"system": "patchtts"}, "did you mean 'patchtst'"),
        ({"head": "flwo"}, "did you mean 'flow'"),
        ({"mask": "casual"}, "causal"),
        ({"context": 0}, "context"),
        ({"width": -3}, "width"),
        ({"horizon": 0}, "horizon"),
        ({"max_steps": 0}, "max_steps"),
        ({"learning_rate": -1.0}, "learning_rate"),
    ],
)
def test_a_misspelt_or_impossible_option_is_an_error_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        NeuralForecaster(**options)


def test_scikit_learn_conventions(timer):
    copy = clone(timer)
    assert copy.get_params() == timer.get_params() and not hasattr(copy, "model_")
    with pytest.raises(NotFittedError):
        copy.predict(3)
    direct = NeuralForecaster(**SMALL, objective=Direct(horizon=10), mask="bidirectional").fit(frame("a"))
    assert direct.model_.reach == 10 and direct.predict(25).mean.shape == (1, 25)
    before = frame()
    timer.predict(5, before)
    pd.testing.assert_frame_equal(before, frame())


@pytest.mark.parametrize("head", ["quantile", "student_t"])
def test_the_battery_of_forecasters(head):
    forecaster_battery(NeuralForecaster(**SMALL | {"max_steps": 3}, head=head), alone=False, eager=True, strangers=True)


@pytest.mark.parametrize(
    "y",
    [
        np.ones(60),
        np.full(60, 1e-300),
        np.linspace(0, 1e15, 60),
        np.r_[np.full(50, np.nan), 1.0, 2.0],
        [3.0],
        [3.0, 4.0],
    ],
    ids=["constant", "tiny", "huge", "mostly missing", "one point", "two points"],
)
def test_odd_series_are_forecast_by_a_model_that_was_fitted_elsewhere(timer, y):
    forecast = timer.predict(20, y)
    assert np.isfinite(forecast.mean).all() and np.isfinite(forecast.quantiles_NHQ).all()


def test_a_folder_of_weights_alone_is_a_forecaster(timer, tmp_path):
    timer.model_.save_pretrained(tmp_path / "weights")
    model = tsar.from_pretrained(tmp_path / "weights")
    expected = timer.predict(9, frame("a")).mean
    np.testing.assert_array_equal(model.predict(9, frame("a")).mean, expected)
    with pytest.raises(NotFittedError, match="no data to continue"):
        model.predict(9)
    model.save(tmp_path / "saved")
    np.testing.assert_array_equal(load(tmp_path / "saved").predict(9, frame("a")).mean, expected)
    tuned = NeuralForecaster(pretrained=str(tmp_path / "weights"), max_steps=1, learning_rate=1e-9).fit(frame("a"))
    np.testing.assert_allclose(tuned.predict(9).mean, expected, rtol=1e-3)


@pytest.mark.parametrize("harm", ["a weight is missing", "a weight has another shape", "no model", "an unknown option"])
def test_a_harmed_checkpoint_is_refused(timer, tmp_path, harm):
    timer.save(tmp_path / "m")
    config, file = tmp_path / "m" / "config.json", tmp_path / "m" / "model.safetensors"
    values, arrays = json.loads(config.read_text()), load_file(file)
    name = next(n for n in arrays if n.startswith("model."))
    if harm == "a weight is missing":
        del arrays[name]
    elif harm == "a weight has another shape":
        arrays[name] = np.zeros(3, "f4")
    elif harm == "no model":
        del values["learned"]["model"]
    else:
        values["learned"]["model"]["wdith"] = 3
    config.write_text(json.dumps(values))
    save_file(arrays, file)
    with pytest.raises(ValueError, match="checkpoint|wdith"):
        load(tmp_path / "m")
