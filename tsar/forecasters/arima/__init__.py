"""ARIMA and automatic ARIMA for whole panels: thousands of series in one vectorised fit."""

from tsar.forecasters.arima.auto import AutoARIMA
from tsar.forecasters.arima.fixed import ARIMA

__all__ = ["ARIMA", "AutoARIMA"]
