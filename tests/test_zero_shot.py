"""tsar-small as users meet it: any series, any horizon, no network, the same forecast in any company."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import tsar
from tsar.forecasters.zero_shot import ZeroShotForecaster
from tsar.train import TrainConfig
from tsar.zero_shot import quantile_function
from tsar.zero_shot.checkpoint import load, save
from tsar.zero_shot.fingerprints import fingerprints, share_seen
from tsar.zero_shot.network import LEVELS, ZeroShot, ZeroShotConfig


@pytest.fixture(scope="module")
def model():
    return tsar.from_pretrained("tsar-small")


def hourly(n=300, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(n)
    return 50 + 10 * np.sin(2 * np.pi * time / 24) + rng.standard_normal(n) * 0.5


def frame(**series):
    parts = [
        pd.DataFrame({"item_id": name, "timestamp": pd.date_range("2024", periods=len(y), freq="h"), "target": y})
        for name, y in series.items()
    ]
    return pd.concat(parts)


def test_follows_a_season_that_the_time_stamps_tell_and_one_that_it_must_find(model):
    truth = 50 + 10 * np.sin(2 * np.pi * np.arange(300, 348) / 24)
    for data in (frame(a=hourly()), hourly()):
        got = model.predict(48, data).mean[0]
        assert np.abs(got - truth).mean() < 1.0


def test_forecast_is_the_same_alone_in_a_batch_and_in_any_order(model):
    rng = np.random.default_rng(1)
    data = {"a": hourly(), "b": np.cumsum(rng.standard_normal(40)), "c": hourly(900, 3), "d": np.full(30, 4.0)}
    data["b"][7] = np.nan
    together = model.predict(30, frame(**data), num_samples=5, random_state=0)
    for name, y in data.items():
        alone = model.predict(30, frame(**{name: y}), num_samples=5, random_state=0)
        row = list(together.ids).index(name)
        for one, many in ((alone.quantiles_NHQ, together.quantiles_NHQ), (alone.samples_NSH, together.samples_NSH)):
            np.testing.assert_allclose(many[row], one[0], rtol=1e-5, atol=1e-5 * np.nanmax(np.abs(y)))


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_short_histories_and_long_horizons(model, n):
    y = 5 + np.arange(n, dtype=float)
    fc = model.predict(720, y, levels=(0.01, 0.1, 0.5, 0.9, 0.99))
    assert fc.quantiles_NHQ.shape == (1, 720, 5) and np.isfinite(fc.quantiles_NHQ).all()
    assert (np.diff(fc.quantiles_NHQ, axis=-1) >= 0).all()


def test_missing_values_constants_and_magnitudes(model):
    y = hourly(400)
    gap = y.copy()
    gap[100:130] = np.nan
    base, holed = model.predict(24, frame(a=y)).mean, model.predict(24, frame(a=gap)).mean
    assert np.abs(base - holed).mean() < 1.0
    np.testing.assert_allclose(model.predict(5, np.full(50, 3.0)).mean, 3.0, atol=1e-3)
    for scale in (1e-12, 1e12):
        np.testing.assert_allclose(model.predict(24, frame(a=y * scale)).mean / scale, base, rtol=1e-4)


def test_any_level_and_coherent_paths(model):
    y = np.cumsum(np.random.default_rng(0).standard_normal(200))
    fc = model.predict(20, y, num_samples=2000, random_state=1)
    for level in (0.1, 0.5, 0.9):
        spread = fc.quantile(0.95) - fc.quantile(0.05)
        assert (np.abs(np.quantile(fc.samples, level, axis=1) - fc.quantile(level)) < 0.1 * spread).all()
    steps = np.corrcoef(fc.samples[0, :, 9], fc.samples[0, :, 10])[0, 1]
    assert steps > 0.4, "paths of a random walk's forecast remember the step before"
    assert (fc.quantile(0.999) > fc.quantile(0.99)).all()


def test_session_equals_predict(model):
    data = frame(a=hourly(200), b=hourly(260, 5))
    cut = data.timestamp < "2024-01-08"
    session = model.session(data[cut])
    session.append(data[~cut])
    want, got = model.predict(24, data), session.forecast(24)
    np.testing.assert_allclose(got.quantiles_NHQ, want.quantiles_NHQ, rtol=1e-6)


def test_saved_forecaster_forecasts_the_same(model, tmp_path):
    fitted = tsar.from_pretrained("tsar-small").fit(frame(a=hourly()))
    fitted.save(tmp_path / "it")
    again = tsar.load(tmp_path / "it")
    np.testing.assert_array_equal(again.predict(10).quantiles_NHQ, fitted.predict(10).quantiles_NHQ)


def test_quantile_function_of_a_normal():
    values = (3 + 2 * quantile_function.SCORES)[None, None]
    levels = np.array([0.001, 0.3, 0.6, 0.999])
    want = 3 + 2 * np.array([-3.0902, -0.5244, 0.2533, 3.0902])
    np.testing.assert_allclose(quantile_function.at_levels(values, levels)[0, 0], want, atol=1e-3)
    np.testing.assert_allclose(quantile_function.mean(values), 3.0, atol=1e-6)


def test_checkpoints_are_strict(tmp_path):
    model = ZeroShot(ZeroShotConfig(core={"width": 16, "depth": 1}))
    save(model, tmp_path)
    again, about = load(tmp_path)
    assert about["levels"] == list(LEVELS)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value.bfloat16().float())
    file = tmp_path / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="truncated"):
        load(tmp_path)
    file.write_bytes(whole)
    save_file(load_file(file), file)
    with pytest.raises(ValueError, match="not a checkpoint"):
        tsar.from_pretrained(tmp_path)


def test_fine_tuning_is_kept_only_where_it_helps():
    rng = np.random.default_rng(0)
    train = TrainConfig(max_steps=40, batch_size=32, learning_rate=1e-3, validate_every=10, patience=0, validation=None)
    # A pattern no expert knows: every third value repeats the negative of the one before.
    steps = rng.standard_normal((8, 120))
    steps[:, 1::3] = -steps[:, 0::3]
    odd = frame(**{str(i): y for i, y in enumerate(steps)})
    tuned = ZeroShotForecaster(fine_tune="full", horizon=3, season_length=3, train=train).fit(odd)
    assert tuned.tuning_.kept == (tuned.tuning_.after < 0.995 * tuned.tuning_.before)
    hopeless = ZeroShotForecaster(
        fine_tune="head", horizon=6, train=TrainConfig(max_steps=2, learning_rate=10.0, validate_every=1, clip=0.0)
    ).fit(odd)
    assert not hopeless.tuning_.kept
    plain = tsar.from_pretrained("tsar-small")
    for name, value in plain.network_.state_dict().items():
        torch.testing.assert_close(hopeless.network_.state_dict()[name], value)
    with pytest.raises(ValueError, match="fine_tune must be None or one of"):
        ZeroShotForecaster(fine_tune="all").fit(odd)


def test_fingerprints_know_a_series_again():
    rng = np.random.default_rng(0)
    known, new = rng.standard_normal(20_000), rng.standard_normal(20_000)
    hashes = fingerprints([known.astype(np.float16)])
    assert share_seen(known[3_333:9_000] * 7 + 2, hashes) > 0.85
    assert share_seen(new, hashes) < 0.01
    assert np.isnan(share_seen(np.arange(1000.0), hashes))
