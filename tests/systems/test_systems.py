"""Every system runs by name and says what it is; the first ones also show that their mechanism is really there."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pandas as pd
import pytest
import torch

from tsar import systems
from tsar.forecasters.neural import NeuralForecaster
from tsar.forecasters.store import load
from tsar.train import TrainConfig
from tsar.windows import Windows


def frame(ids="abc", length=240):
    t = pd.date_range("2024-01-01", periods=length, freq="h")
    rng = np.random.default_rng(0)
    y = {i: np.sin(np.arange(length) / 3.8 + k) + 0.1 * rng.normal(size=length) for k, i in enumerate("abc")}
    return pd.concat([pd.DataFrame({"unique_id": i, "ds": t, "y": y[i]}) for i in ids])


@pytest.mark.parametrize("name", systems.names())
def test_a_system_is_trained_saved_loaded_and_described(name, tmp_path):
    model = NeuralForecaster(name, context=64, max_steps=2, batch_size=4, random_state=0).fit(frame())
    forecast = model.predict(24)
    assert forecast.mean.shape == (3, 24) and np.isfinite(forecast.quantiles_NHQ).all()
    model.save(tmp_path / name)
    np.testing.assert_allclose(load(tmp_path / name).predict(24).mean, forecast.mean, rtol=1e-6)
    about = inspect.getdoc(importlib.import_module(f"tsar.systems.{name}")) or ""
    assert all(word in about for word in ("Paper:", "Words:", "Departures:")), f"{name} must say what it is"


def test_an_unknown_system_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown system 'itransfomer'.*did you mean 'itransformer'"):
        systems.get("itransfomer")


@pytest.mark.parametrize("name", ["linear", "nlinear"])
def test_linear_systems_start_from_least_squares(name):
    """One step of a tiny rate leaves the ridge solution, which numpy finds on the same windows."""
    y = frame("a", 700)["y"].to_numpy()
    train = TrainConfig(max_steps=1, learning_rate=1e-12, clip=0.0, weight_decay=0.0, validation=None)
    model = NeuralForecaster(name, context=48, horizon=8, train=train, random_state=0).fit(y)
    windows = np.lib.stride_tricks.sliding_window_view(y, 56)
    x, target = windows[:, :48], windows[:, 48:]
    if name == "linear":
        scale = np.abs(x).mean(1, keepdims=True)
        x, target = x / scale, target / scale
    else:
        x, target = x - x[:, -1:], target - windows[:, 47:48]
    x = np.c_[x, np.ones(len(x))]
    gram = x.T @ x
    ridge = 1e-2 * np.diag(gram)[:-1].mean()  # the middle penalty, since nothing is held out
    solution = np.linalg.solve(gram + np.diag([ridge + 1e-9] * 48 + [0.0]), x.T @ target)
    out = model.model_.head.out
    np.testing.assert_allclose(out.weight.detach().numpy(), solution[:-1].T, atol=1e-4)
    np.testing.assert_allclose(out.bias.detach().numpy(), solution[-1], atol=1e-4)


def test_a_linear_system_takes_another_head():
    forecast = (
        NeuralForecaster("dlinear", head="quantile", context=48, max_steps=2, random_state=0).fit(frame("a")).predict(9)
    )
    assert (np.diff(forecast.quantiles_NHQ, axis=-1) > 0).all()


def test_dlinear_reads_a_trend_and_a_remainder_that_add_up():
    model = NeuralForecaster("dlinear", context=64, horizon=8, max_steps=1, random_state=0).fit(frame("a")).model_
    window = Windows(frame("a")["y"].to_numpy()[None], np.array([0, 240]), context=64, horizon=0).batch(5, 0, 0)
    tokens, _ = model.tokenizer.encode(window)
    trend_BP, rest_BP = tokens.x_BNP.unbind(1)
    y_BP = window.y_BVL[:, 0]
    unit_BP = (y_BP - y_BP.mean(1, keepdim=True)) / y_BP.std(1, correction=0, keepdim=True)
    torch.testing.assert_close((trend_BP + rest_BP).double(), unit_BP, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(trend_BP[:, 12].double(), unit_BP[:, :25].mean(1), rtol=1e-4, atol=1e-4)


def test_patchtst_treats_channels_independently():
    model = NeuralForecaster("patchtst", context=64, horizon=8, max_steps=2, random_state=0).fit(frame())
    moved = frame()
    moved.loc[moved["unique_id"].eq("b"), "y"] *= 5
    a = model.predict(8).mean[0]
    np.testing.assert_allclose(model.predict(8, moved).mean[0], a, rtol=1e-6)


def test_nlinear_reaches_its_score_on_etth1(data_dir, monkeypatch):
    """The closed form alone; 0.374 is published for the network trained by gradient steps."""
    from tests.benchmarks import etth1

    monkeypatch.setenv("TSAR_DATA", str(data_dir))
    seen, y_VT = etth1.standardised()
    train = TrainConfig(max_steps=1, learning_rate=1e-12, validation=etth1.VALIDATION, validation_windows=512)
    model = NeuralForecaster("nlinear", context=336, horizon=96, train=train, random_state=0).fit(seen)
    mse, _ = etth1.errors(model, y_VT)
    assert mse == pytest.approx(0.371, abs=0.003)
