"""fev: a forecaster as a model that fev's task runner accepts (extra `tsar[fev]`).

Legend: N items, H horizon, Q levels.
"""

from __future__ import annotations

from typing import Any

import fev
import pandas as pd
from sklearn.base import clone

from tsar.forecasters.base import Forecaster
from tsar.interop.choice import continued, named

_SQUARED = ("MSE", "RMSE", "RMSSE", "RMSLE")  # metrics that the mean minimises; the median minimises the others


class TsarModel(fev.ForecastingModel):
    """Any forecaster on any fev task; every target of a multivariate task is forecast by itself.

    Parameters
    ----------
    model : Forecaster or str, default "tsar-small"
        A name of pretrained weights, a fitted forecaster, which predicts as it is, or an unfitted one, a copy of which
        is fitted on each window, with the task's covariates where it takes them.
    random_state : int, default 0
    """

    model_name = "tsar"

    def __init__(self, model: Forecaster | str = "tsar-small", random_state: int = 0) -> None:
        super().__init__()
        self.model = named(model)
        self.random_state = random_state

    def _fit_predict(self, task: fev.Task) -> list[dict[str, list[dict[str, Any]]]]:
        task.load_full_dataset()
        model = self._with_covariates(task)
        return [self._predict_window(task, model, window) for window in task.iter_windows()]

    def _with_covariates(self, task: fev.Task) -> Forecaster:
        if self.model.__sklearn_is_fitted__():
            return self.model
        columns = {
            "known": task.known_dynamic_columns, "past": task.past_dynamic_columns, "static": task.static_columns
        }  # fmt: skip
        options = self.model.get_params(deep=False)
        taken = {role: tuple(names) for role, names in columns.items() if role in options and names}
        return clone(self.model).set_params(**taken)

    def _predict_window(
        self, task: fev.Task, model: Forecaster, window: fev.EvaluationWindow
    ) -> dict[str, list[dict[str, Any]]]:
        past, ahead, static = fev.convert_input_data(window, adapter="pandas")
        if static is not None:
            past = past.merge(static, on=task.id_column)
        names = {task.id_column: "item_id", task.timestamp_column: "timestamp"}
        items = pd.unique(past[task.id_column])
        answers = {}
        for target in task.target_columns:
            others = [other for other in task.target_columns if other != target]
            history = past.drop(columns=others).rename(columns={**names, target: "target"})
            with self._record_inference_time():
                forecast = continued(
                    model,
                    history,
                    task.horizon,
                    levels=sorted({0.5, *task.quantile_levels}),
                    future=ahead.rename(columns=names) if model.known else None,
                    freq=task.freq,
                    season_length=task.seasonality if task.seasonality > 1 else None,
                    random_state=self.random_state,
                )
            forecast = forecast.take(pd.Index(forecast.ids).get_indexer(items))
            metric = task.eval_metric if isinstance(task.eval_metric, str) else task.eval_metric["name"]
            best_NH = forecast.mean if metric in _SQUARED else forecast.quantile(0.5)
            columns = {"predictions": best_NH} | {
                str(level): forecast.quantile(level) for level in task.quantile_levels
            }
            answers[target] = [{name: column[n] for name, column in columns.items()} for n in range(len(items))]
        return answers
