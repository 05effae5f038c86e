"""`tsar pretrain CONFIG`: train the zero-shot network from a corpus and artificial series, resumable at any step."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tsar.nn.core import CoreConfig
from tsar.pretraining import pool
from tsar.pretraining.corpus import read_corpus
from tsar.pretraining.held_out import HeldOut, overall, read_held_out, score
from tsar.train import Progress, TrainConfig, train
from tsar.zero_shot.checkpoint import load, save
from tsar.zero_shot.network import Batch, ZeroShot, ZeroShotConfig, mirror

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """What a pretraining run is made from.

    Parameters
    ----------
    sources : tuple of str
        Real sources that are trained on.
    held_out : tuple of str
        Real sources that are only validated on.
    chunks, held_out_chunks : int
        Chunks of windows to train on, and to validate on.
    seed : int
        Of the pool, the weights and the order.
    without : str
        A family of artificial series to leave out; "real" leaves out the real sources.
    start : str
        Folder of weights to start from; fresh ones by default.
    network : ZeroShotConfig
        Sizes.
    train : TrainConfig
        The training loop's options; a step takes `batch_size` windows of one chunk, half of them upside down.
    """

    sources: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    chunks: int = 800
    held_out_chunks: int = 12
    seed: int = 0
    without: str = ""
    start: str = ""
    network: ZeroShotConfig = field(default_factory=ZeroShotConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if both := sorted(set(self.sources) & set(self.held_out)):
            raise ValueError(f"source {both[0]!r} is both trained on and held out: expected one of the two")
        if self.chunks < 1 or self.held_out_chunks < 1:
            raise ValueError(f"expected at least 1 chunk of each kind, found {self.chunks} and {self.held_out_chunks}")

    @classmethod
    def from_toml(cls, file: str | Path) -> PretrainConfig:
        """Read a config; ValueError for an unknown option."""
        with open(file, "rb") as opened:
            options = tomllib.load(opened)
        core = CoreConfig(**_known(CoreConfig, options.get("network", {}).pop("core", {})))
        network = ZeroShotConfig(core=core, **_known(ZeroShotConfig, options.pop("network", {})))
        loop = TrainConfig(**_known(TrainConfig, options.pop("train", {})))
        lists = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
        return cls(network=network, train=loop, **_known(cls, lists))


def _known(cls: Any, options: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in dataclasses.fields(cls)}
    if unknown := sorted(set(options) - names):
        raise ValueError(
            f"unknown option {unknown[0]!r} of {cls.__name__}: expected some of {', '.join(sorted(names))}"
        )
    return options


def pretrain(
    config: PretrainConfig, corpus: Path, directory: Path, progress: bool = False
) -> tuple[ZeroShot, Progress]:
    """Train a network; whatever is found in `directory` of an earlier call is continued.

    Parameters
    ----------
    config : PretrainConfig
        The run.
    corpus : path
        The npz that `tsar.pretraining.corpus.read_corpus` reads.
    directory : path
        Gets the pool of windows, the training checkpoint and `losses.jsonl`.
    progress : bool
        Show a progress bar with windows per second.
    """
    torch.set_flush_denormal(True)
    real = () if config.without == "real" else config.sources
    series = pool.by_period(read_corpus(corpus, real))
    folder = directory / "pool"
    pool.build(folder, config.seed, range(config.chunks + config.held_out_chunks), series, config.without)
    chosen = read_held_out(corpus, config.held_out) if config.held_out else []
    model = ZeroShot(config.network, seed=config.seed)
    if config.start:
        model.load_state_dict(load(config.start)[0].state_dict())

    def batches(index: int) -> Batch:
        epoch, place = divmod(index, config.chunks)
        order = np.random.default_rng([config.seed, 1, epoch]).permutation(config.chunks)
        batch = pool.read(folder, int(order[place]))
        rng = np.random.default_rng([config.seed, 2, index])
        size = len(batch.rank_BE)
        some = torch.from_numpy(rng.permutation(size)[: config.train.batch_size])
        sign = torch.from_numpy(rng.choice([-1.0, 1.0], len(some))).float()
        return mirror(batch.map(lambda part: part[some]), sign)

    last = range(config.chunks, config.chunks + config.held_out_chunks)
    check = validation([pool.read(folder, i) for i in last], chosen, directory / "losses.jsonl")
    state = train(
        model,
        batches,
        config.train,
        seed=config.seed,
        validate=check,
        directory=directory,
        identity=json.dumps(dataclasses.asdict(config), default=str),
        progress=progress,
    )
    return model, state


def validation(chunks: list[Batch], sets: list[HeldOut], file: Path) -> Callable[[nn.Module], float]:
    """Make the validation loss: mean log MASE and scaled quantile loss over real sets, or the loss of held-out chunks.

    Every call appends the scores of all sets and the loss of each chunk's shape to `file`.
    """

    def check(model: nn.Module) -> float:
        assert isinstance(model, ZeroShot)
        shapes: dict[int, list[float]] = {}
        for batch in chunks:
            shapes.setdefault(batch.expert_BEH.shape[-1], []).append(float(model.loss(batch)))
        losses = {f"steps {width}": float(np.mean(values)) for width, values in sorted(shapes.items())}
        scores = {one.name: score(model, one) for one in sets}
        mean = overall(scores) if scores else None
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "a") as opened:
            entry = {"loss": losses, "mean": mean, "sets": scores}
            opened.write(json.dumps(entry) + "\n")
        if mean is None:
            return float(np.mean(list(losses.values())))
        log.info("held-out sets: MASE %.4f SQL %.4f coverage %.3f; chunks %s", *mean, losses)
        return float(np.log(mean.sql) + np.log(mean.mase)) / 2

    return check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tsar pretrain`."""
    parser.add_argument("config", type=Path, help="TOML file with the options of PretrainConfig")
    parser.add_argument("--corpus", type=Path, required=True, help="corpus.npz with the real series")
    parser.add_argument("--out", type=Path, default=Path("runs/pretrain"), help="folder of the run; continued if there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Run `tsar pretrain`."""
    model, state = pretrain(PretrainConfig.from_toml(args.config), args.corpus, args.out, progress=not args.quiet)
    save(model, args.out / "model", {"steps": state.step, "seconds": round(state.seconds)})
    return 0
