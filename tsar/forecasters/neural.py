"""NeuralForecaster: the scikit-learn estimator over every system of the package.

Legend: N items, G groups (items, or joint sets of items), B groups of a batch, V variates, S paths, H horizon,
Q levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tsar.batches import to
from tsar.features import Features
from tsar.forecasters.base import Forecaster
from tsar.forecasters.fitting import fit_model
from tsar.forecasters.prediction import Prediction
from tsar.forecasters.reading import device_of, read
from tsar.forecasters.sentence import model_config, system_of
from tsar.generate import Rollout
from tsar.groups import Groups, groups_of
from tsar.model import TSAR, ModelConfig
from tsar.panel import Panel
from tsar.seeds import item_seeds
from tsar.train import Progress, TrainConfig

if TYPE_CHECKING:
    from tsar.session import Session

BATCH_TOKENS = 65_536  # of a prediction batch, paths included: about 200 MB of cache at width 128 and depth 3


class NeuralForecaster(Forecaster):
    """A transformer over patches, points or variates, trained on the series given; one model for all of them.

    Every word may be given by name (`head="flow"`) or as a typed config (`head=Flow(steps=8)`); what is left None is
    the system's. Where the caller chose no size, series too short for the system's get shorter patches and contexts.

    Parameters
    ----------
    system : str or System, default "timer"
        A published system, see `tsar.systems.names()`.
    tokenizer, mixer, ffn, mask, head, objective, order : str or Part, optional
        Other words than the system's.
    context, width, depth, dropout : optional
        Steps seen, width and number of blocks of the core, and its dropout.
    horizon : int, optional
        Steps predicted at once by objectives that predict several; any horizon can be asked of `predict`.
    multivariate : bool, optional
        Model the items jointly, as variates of one system measured at the same times.
    train : TrainConfig, optional
        How to train.
    max_steps, batch_size, learning_rate : optional
        The most used options of `train`.
    known, past, static : sequence of str
        Columns: covariates known over the horizon, observed in the past only, and constant within an item. Text is
        taken as categories.
    freq, season_length, bounds, on_error
        As in every forecaster.
    pretrained : str, optional
        Name or folder of a checkpoint from which `fit` starts, in place of the words and sizes above.
    checkpoint : path, optional
        Folder in which training keeps its state; a run that was killed goes on from there.
    device : str, optional
        "cpu", "cuda" or "mps"; default the GPU where there is one. `set_params(device=…)` moves a fitted model.
    random_state : int, numpy Generator, RandomState or None
        Of the initial weights and the training.
    progress : bool
        Show a progress bar in `fit`.

    Attributes
    ----------
    system_ : System, the words and sizes as asked for
    model_ : TSAR
    features_ : Features, what the covariates' categories are
    training_ : Progress, the losses and the step whose weights were kept
    """

    def __init__(
        self,
        system: Any = None,
        *,
        tokenizer: Any = None,
        mixer: Any = None,
        ffn: Any = None,
        mask: str | None = None,
        head: Any = None,
        objective: Any = None,
        order: Any = None,
        context: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        dropout: float | None = None,
        horizon: int | None = None,
        multivariate: bool | None = None,
        train: TrainConfig | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        known: Sequence[str] = (),
        past: Sequence[str] = (),
        static: Sequence[str] = (),
        freq: str | int | None = None,
        season_length: int | None = None,
        bounds: tuple[float | None, float | None] | None = None,
        on_error: str = "raise",
        pretrained: str | None = None,
        checkpoint: str | None = None,
        device: str | None = None,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.system = system
        self.tokenizer = tokenizer
        self.mixer = mixer
        self.ffn = ffn
        self.mask = mask
        self.head = head
        self.objective = objective
        self.order = order
        self.context = context
        self.width = width
        self.depth = depth
        self.dropout = dropout
        self.horizon = horizon
        self.multivariate = multivariate
        self.train = train
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.known = known
        self.past = past
        self.static = static
        self.freq = freq
        self.season_length = season_length
        self.bounds = bounds
        self.on_error = on_error
        self.pretrained = pretrained
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state
        self.progress = progress
        system_of(self.get_params(deep=False))  # a misspelt option is an error here, not after the data is read

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None, **options: Any) -> Self:
        """Forecaster with a checkpoint's weights, ready to predict any series.

        Parameters
        ----------
        name : bundled name, folder or hub repository
        revision : of a hub repository
        **options : of the constructor, such as `device`
        """
        self = cls(pretrained=str(name), **options)
        self._take(TSAR.from_pretrained(name, revision))
        return self

    def _take(self, model: TSAR) -> None:
        self.model_, self.features_, self.training_ = model.eval(), Features(), Progress()
        self.items_, self.failed_, self.system_ = (), {}, system_of(self.get_params(deep=False))

    def session(self, history: Any = None) -> Session:
        """Return a `Session` that appends observations to a history and forecasts without re-encoding the past.

        Parameters
        ----------
        history : any input that `predict` takes; default the data of `fit`
        """
        from tsar.session import Session

        self._check_fitted(needs_history=history is None)
        return Session(self, self.history_ if history is None else self._read(history, None, None))

    def _check_options(self) -> None:
        super()._check_options()
        self.system_ = system_of(self.get_params(deep=False))

    def _fit(self, panel: Panel) -> None:
        system, options = self.system_, self.get_params(deep=False)
        seed = int(item_seeds(self.random_state, ["fit"])[0] % 2**31)
        roles = {"known": self.known, "past": self.past, "static": self.static}
        if both := [c for c in self.known if c in self.past]:
            raise ValueError(f"covariate {both[0]!r} is named both known and past: expected one of the two")
        self.features_ = Features.fit(panel.covariates, panel.static, **roles)
        self.items_ = tuple(panel.ids)
        groups = self._groups(panel)
        if self.pretrained is None:
            widths = {
                role: 0 if (array := getattr(groups, name)) is None else array.shape[axis]
                for role, name, axis in (("known", "known_KT", 0), ("past", "past_CT", 0), ("static", "static_GF", 1))
            }
            self.model_ = TSAR(model_config(system, options, int(groups.lengths.max()), **widths), seed=seed)
        else:
            self.model_ = TSAR.from_pretrained(self.pretrained)
        self.training_ = fit_model(
            self.model_,
            groups,
            system,
            seed=seed,
            device=self._device(),
            directory=self.checkpoint,
            progress=self.progress,
        )

    def _predict(self, panel: Panel, horizon: int, future: Mapping[str, NDArray[Any]]) -> Prediction:
        self._check_items(panel)
        model = self.model_
        if device_of(model) != self._device():
            model = self.model_ = model.to(self._device())
        groups = self._groups(panel, dict(future))
        return read(model, groups, lambda paths: self._encoded(groups, paths), len(panel), horizon)

    def _encoded(self, groups: Groups, paths: int) -> Iterator[tuple[Rollout, NDArray[np.int64]]]:
        """Contexts of all groups, encoded batch by batch; `paths` copies of each will be made."""
        tokens = self.model_.tokenizer.count(self.model_.context) * groups.variates
        size = max(1, BATCH_TOKENS // (tokens * paths))
        for first in range(0, len(groups), size):
            rows = np.arange(first, min(first + size, len(groups)))
            yield self._start(self.model_, groups, rows), rows

    def _groups(self, panel: Panel, future: dict[str, NDArray[Any]] | None = None) -> Groups:
        return groups_of(panel, self.features_, joint=self.system_.multivariate, future=future)

    def _start(self, model: TSAR, groups: Groups, rows: NDArray[np.int64]) -> Rollout:
        with torch.inference_mode():
            return Rollout(model, to(groups.contexts(rows, model), device_of(model)))

    def _check_items(self, panel: Panel) -> None:
        """A joint model that knows its variates by their places forecasts those, and all of them, only."""
        if not self.system_.multivariate or self.system_.any_variates or not self.items_:
            return
        if tuple(panel.ids) != self.items_:
            raise ValueError(
                f"the items were modelled jointly in fit: expected {list(self.items_)}, found {list(panel.ids)}"
            )

    def _device(self) -> torch.device:
        if self.device is not None:
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        values = {
            "model": self.model_.config.to_dict(),
            "features": self.features_.to_dict(),
            "items": np.array(self.items_, object).tolist(),
            "training": vars(self.training_) | {"best": float(self.training_.best)},
        }
        weights = self.model_.state_dict()
        return values, {f"model.{name}": weight.detach().cpu().numpy() for name, weight in weights.items()}

    def _restore(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        try:
            model = TSAR(ModelConfig.from_dict(values["model"]))
            self.features_, self.items_ = Features.from_dict(values["features"]), tuple(values["items"])
            self.training_ = Progress(**values["training"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"the checkpoint is foreign or of another version of tsar: {error}") from error
        weights = {name.removeprefix("model."): torch.from_numpy(array.copy()) for name, array in arrays.items()}
        expected = model.state_dict()
        if odd := sorted(set(weights) ^ set(expected)) or [k for k in weights if weights[k].shape != expected[k].shape]:
            raise ValueError(f"the checkpoint's weights are not those of its configuration: {odd[0]!r} differs")
        model.load_state_dict(weights)
        self.model_, self.system_ = model.eval(), system_of(self.get_params(deep=False))
