"""ZeroShotForecaster: forecasts of any series by a network that has seen others, without being fitted to it.

Legend: N items, B series of a batch, L time, H horizon, K trained levels, S paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from tsar import frequency
from tsar.experts.bank import LONGEST, experts
from tsar.experts.detect import longer_season, season_length
from tsar.experts.series import left_aligned
from tsar.forecasters.base import Forecaster
from tsar.forecasters.fine_tune import MODES, fine_tune
from tsar.forecasters.prediction import Prediction
from tsar.panel import Panel
from tsar.train import TrainConfig
from tsar.zero_shot import quantile_function
from tsar.zero_shot.checkpoint import load
from tsar.zero_shot.features import Features, features
from tsar.zero_shot.network import ZeroShot, segments

if TYPE_CHECKING:
    from tsar.session import Session

TUNING = TrainConfig(
    max_steps=150, batch_size=64, learning_rate=2e-4, ema=0.95, validate_every=15, patience=4, validation=None
)
BATCH_STEPS = 131_072  # history read at once: about 200 MB while the experts work


class ZeroShotForecaster(Forecaster):
    """A pretrained network over classical experts; `predict` needs no fit.

    The season comes from `season_length`, else from the time stamps, else from the values. `fit` keeps the network as
    it is unless `fine_tune` is asked for.

    Parameters
    ----------
    pretrained : str, default "tsar-small"
        Name of bundled weights, or a folder.
    fine_tune : {None, "full", "head"}
        Whether `fit` trains all weights, or those of the head, on the series given. Tuned weights are kept only if they
        forecast the last `horizon` steps better than the zero-shot ones; `tuning_` and the log say what happened.
    horizon : int, optional
        Steps ahead that fine-tuning trains on; default the season, 12 where there is none.
    train : TrainConfig, optional
        How to fine-tune.
    random_state : int
        Of fine-tuning.
    freq, season_length, bounds, on_error
        As in every forecaster.
    device : str, default "cpu"
        Where the network runs.

    Attributes
    ----------
    network_ : ZeroShot
    about_ : dict, what the checkpoint says of itself
    tuning_ : Tuning, what fine-tuning did, where it was asked for
    """

    def __init__(
        self,
        pretrained: str = "tsar-small",
        *,
        fine_tune: str | None = None,
        horizon: int | None = None,
        train: TrainConfig | None = None,
        random_state: int = 0,
        freq: str | int | None = None,
        season_length: int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
        device: str = "cpu",
    ) -> None:
        self.pretrained = pretrained
        self.fine_tune = fine_tune
        self.horizon = horizon
        self.train = train
        self.random_state = random_state
        self.freq = freq
        self.season_length = season_length
        self.bounds = bounds
        self.on_error = on_error
        self.device = device

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None, **options: Any) -> Self:
        """Return a forecaster with a checkpoint's weights, ready to predict any series."""
        from tsar.model_store import locate

        return cls(str(name), **options)._take(locate(name, revision))

    def _take(self, directory: Path) -> Self:
        self.network_, self.about_ = load(directory)
        self.network_.to(self.device)
        self.failed_: dict[Any, str] = {}
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def session(self, history: Any = None) -> Session:
        """Return a `Session` that appends observations; its forecasts equal `predict` on the whole history.

        The experts read at most the last `tsar.experts.bank.LONGEST` steps again at each forecast.

        Parameters
        ----------
        history : any input that `predict` takes; default the data of `fit`
        """
        from tsar.session import Session

        self._check_fitted(needs_history=history is None)
        return Session(self, self.history_ if history is None else self._read(history, None, None))

    def _fit(self, panel: Panel) -> None:
        from tsar.model_store import locate

        self._take(locate(self.pretrained))
        if self.fine_tune is not None:
            periods = seasons(panel)
            season = int(np.median(periods[0]))
            horizon = self.horizon or (season if season > 1 else 12)
            loop = self.train or TUNING
            self.tuning_ = fine_tune(
                self.network_, panel, periods, horizon, self.fine_tune, loop, int(self.random_state)
            )

    def _check_options(self) -> None:
        super()._check_options()
        if self.fine_tune is not None and self.fine_tune not in MODES:
            raise ValueError(f"fine_tune must be None or one of {MODES}, found {self.fine_tune!r}")
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"horizon must be a positive number of steps, found {self.horizon!r}")

    def seen(self, data: Any) -> pd.DataFrame:
        """Share of each series of `data` that the network was trained on: columns item and `seen`, NaN if too short.

        Parameters
        ----------
        data : any input that `predict` takes
        """
        from tsar.model_store import locate
        from tsar.zero_shot.fingerprints import share_seen

        panel = self._read(data, None, None)
        file = locate(self.pretrained) / "fingerprints.safetensors"
        known = load_file(file)["hashes"]
        shares = [share_seen(panel.series(i), known) for i in range(len(panel))]
        return pd.DataFrame({panel.names.item: panel.ids, "seen": shares})

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, np.ndarray]) -> Prediction:
        periods = seasons(panel)
        values = np.empty((len(panel), horizon, len(quantile_function.SCORES)))
        memory = np.empty(len(panel))
        order = np.argsort(panel.lengths, kind="stable")
        first = 0
        while first < len(order):
            # Series are sorted by length, so a batch is little wider than its series.
            longest = max(1, min(int(panel.lengths[order[first]]), LONGEST))
            rows = order[first : first + max(1, BATCH_STEPS // max(longest, 4 * horizon))]
            y = np.full((len(rows), min(int(panel.lengths[rows].max()), LONGEST)), np.nan)
            for place, row in enumerate(rows):
                series = panel.series(int(row))[-y.shape[1] :]
                y[place, y.shape[1] - len(series) :] = series
            some = (torch.from_numpy(periods[0][rows]), torch.from_numpy(periods[1][rows]))
            inputs = features(experts(torch.from_numpy(y), horizon, some))
            values[rows] = quantiles(self.network_, inputs)
            memory[rows] = inputs.memory_B.numpy()
            first += len(rows)
        return Prediction(
            quantile_function.mean(values),
            lambda levels_Q: quantile_function.at_levels(values, levels_Q),
            lambda count, seeds_N: quantile_function.paths(values, memory, count, seeds_N),
        )

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        weights = {name: value.float().cpu().numpy() for name, value in self.network_.state_dict().items()}
        return {"about": self.about_}, weights

    def _restore(self, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        from tsar.zero_shot.checkpoint import from_tensors

        self.about_ = values["about"]
        self.network_ = from_tensors({name: torch.from_numpy(a) for name, a in arrays.items()}, self.about_, "model")
        self.network_.to(self.device)


def seasons(panel: Panel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Main and longer season of every item: as asked for, by the time stamps, or detected from its values."""
    known = panel.season or frequency.season_length(panel.freq)
    if known is not None:
        one = torch.full((len(panel),), known)
    else:
        found = [
            season_length(left_aligned(torch.from_numpy(panel.series(i)[-LONGEST:].copy())[None]))
            for i in range(len(panel))
        ]
        one = torch.cat(found)
    return one.numpy(), longer_season(one).numpy()


@torch.inference_mode()
def quantiles(network: ZeroShot, inputs: Features) -> NDArray[np.float64]:
    """Quantiles at the trained levels in units of the series, [B, H, K]."""
    device = next(network.parameters()).device
    rows = segments(inputs, network.config, inputs.base_BH.shape[1])
    parts = []
    for row in rows:
        parts.append(network.symmetric(row.map(lambda part: part.to(device))))
    scaled = torch.cat(parts, 1).double().cpu()
    return (inputs.base_BH[..., None] + inputs.unit_BH[..., None] * scaled).numpy()
