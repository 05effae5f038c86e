"""A session equals `predict` on the whole history, whatever the sizes of its appends, and says what it encoded."""

import numpy as np
import pandas as pd
import pytest

from tsar.forecasters.neural import NeuralForecaster
from tsar.session import Session

TIMES = pd.date_range("2024-01-01", periods=260, freq="h")


def frame(ids, first, last, known=False, seed=0):
    rng = np.random.default_rng(seed)
    y = {i: np.sin(np.arange(260) / 4 + k) * (k + 1) + rng.normal(size=260).cumsum() * 0.1 for k, i in enumerate("abc")}
    y["b"][100:110] = np.nan
    parts = [pd.DataFrame({"unique_id": i, "ds": TIMES[first:last], "y": y[i][first:last]}) for i in ids]
    if known:
        for part in parts:
            part["promo"] = (part["ds"].dt.hour > 12).astype(float)
            part["seen"] = part["ds"].dt.hour * 1.0
    return pd.concat(parts)


def numbers(forecast, num=False):
    return forecast.samples if num else forecast.quantiles_NHQ


def relative(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.fixture(scope="module")
def model():
    return NeuralForecaster(context=128, width=16, depth=2, max_steps=15, random_state=0).fit(frame("abc", 0, 150))


def test_awkward_appends_equal_a_full_recomputation(model):
    session = model.session(frame("abc", 0, 150))
    end = 150
    for size in (1, 1, 14, 16, 5, 3, 40, 16):
        session.append(frame("abc", end, end + size))
        end += size
        whole = model.predict(20, frame("abc", 0, end))
        assert relative(numbers(session.forecast(20)), numbers(whole)) < 1e-5
    drawn = session.forecast(20, num_samples=5, random_state=1)
    again = model.predict(20, frame("abc", 0, end), num_samples=5, random_state=1)
    assert relative(drawn.samples, again.samples) < 1e-5
    assert list(drawn.times[0]) == list(again.times[0])


def test_the_cost_is_one_token_a_patch_until_the_context_moves(model):
    session = model.session(frame("a", 0, 150))
    session.forecast(1)
    first = session.cost
    assert first.again == 1 and first.tokens >= 6
    seen = []
    for end in range(150, 246, 16):
        session.append(frame("a", end, end + 16)).forecast(1)
        seen.append(session.cost)
    assert (1, 0) in seen, "a patch costs a token"
    assert any(cost.again for cost in seen), "the context is 128 steps long, so its start must have moved"
    assert session.forecast(1) is not None and session.cost == (0, 0), "nothing new, nothing encoded"


def test_items_may_drift_apart_and_rows_may_be_missing(model):
    session = model.session(frame("abc", 0, 150))
    session.forecast(3)
    session.append(frame("ab", 150, 167)).append(frame("c", 155, 160))
    whole = pd.concat([frame("ab", 0, 167), frame("c", 0, 150), frame("c", 155, 160)])
    assert relative(numbers(session.forecast(8)), numbers(model.predict(8, whole))) < 1e-5


def test_known_and_past_covariates_stay_exact():
    columns = {"known": ["promo"], "past": ["seen"]}
    start = frame("ab", 0, 150, known=True)
    model = NeuralForecaster(context=96, width=16, depth=1, max_steps=10, random_state=0, **columns).fit(start)
    session = model.session(start)
    for end, size in ((150, 16), (166, 7), (173, 9), (182, 16), (198, 16)):
        future = frame("ab", end + size, end + size + 20, known=True)[["unique_id", "ds", "promo"]]
        session.append(frame("ab", end, end + size, known=True))
        whole = model.predict(20, frame("ab", 0, end + size, known=True), future=future)
        assert relative(numbers(session.forecast(20, future=future)), numbers(whole)) < 1e-5


def test_a_model_that_cannot_stream_recomputes_and_says_so():
    model = NeuralForecaster("dlinear", context=48, horizon=8, max_steps=2, random_state=0).fit(frame("ab", 0, 150))
    session = model.session().append(frame("ab", 150, 155))
    assert relative(numbers(session.forecast(8)), numbers(model.predict(8, frame("ab", 0, 155)))) < 1e-6
    assert session.cost.again == 2


def test_arrays_follow_at_once():
    y = np.sin(np.arange(200) / 5)
    model = NeuralForecaster(context=64, width=16, depth=1, max_steps=5, random_state=0).fit(y[:150])
    session = model.session()
    session.forecast(4)
    got = session.append(y[150:163]).forecast(9)
    assert relative(numbers(got), numbers(model.predict(9, y[:163]))) < 1e-5


def test_save_and_load(model, tmp_path):
    session = model.session(frame("ab", 0, 150)).append(frame("ab", 150, 161))
    session.save(tmp_path / "s")
    loaded = Session.load(tmp_path / "s")
    for s in (session, loaded):
        s.append(frame("ab", 161, 170))
    assert relative(numbers(loaded.forecast(5)), numbers(session.forecast(5))) < 1e-5


def test_what_does_not_continue_is_refused(model):
    session = model.session(frame("ab", 0, 150))
    with pytest.raises(ValueError, match="item 'a' continues at .*expected steps of 'h' after"):
        session.append(frame("a", 149, 152))
    with pytest.raises(ValueError, match="item 'c' is not in this session"):
        session.append(frame("c", 150, 152))
    assert len(session.panel.values) == 300, "a refused append changes nothing"


def test_a_classical_forecaster_reads_its_history_again():
    from tsar.forecasters.naive import SeasonalNaive

    model = SeasonalNaive().fit(frame("ab", 0, 150))
    session = Session(model, model.history_)
    session.append(frame("ab", 150, 170))
    expected = SeasonalNaive().fit(frame("ab", 0, 170)).predict(5)
    np.testing.assert_allclose(session.forecast(5).mean, expected.mean)
    assert session.cost == (0, 2)
