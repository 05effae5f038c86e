"""How every door takes its model: a forecaster, or the name of pretrained weights."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from tsar.forecast import Forecast
from tsar.forecasters.base import Forecaster


def named(model: Forecaster | str) -> Forecaster:
    """Return the forecaster itself, or pretrained weights by name, folder or hub repository.

    Raises
    ------
    TypeError
        If `model` is neither.
    """
    if isinstance(model, str):
        from tsar.pretrained import from_pretrained

        return from_pretrained(model)
    if not isinstance(model, Forecaster):
        raise TypeError(f"model must be a tsar forecaster or a name, found {type(model).__name__}")
    return model


def continued(model: Forecaster, data: Any, horizon: int, **options: Any) -> Forecast:
    """Forecast after the end of every series of `data`, and leave `model` as it was.

    A fitted or pretrained model is used as it is. An unfitted one is fitted, as a copy, on the series it is to
    continue, which is what classical models are for.

    Parameters
    ----------
    model : Forecaster
    data : any input that `Panel.of` reads
    horizon : int, steps
    **options : of `Forecaster.predict`
    """
    if model.__sklearn_is_fitted__():
        return model.predict(horizon, data, **options)
    reading = {name: options[name] for name in ("freq", "season_length") if name in options}
    return clone(model).fit(data, **reading).predict(horizon, **options)
