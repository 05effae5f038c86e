"""Pretraining: windows, the pool, the command, and that a killed run goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from tsar.pretrain import PretrainConfig, pretrain
from tsar.pretraining import pool
from tsar.pretraining.corpus import block_means, read_corpus
from tsar.pretraining.draws import Draw, augment, draw
from tsar.pretraining.held_out import read_held_out, score
from tsar.train import TrainConfig
from tsar.zero_shot.network import LEVELS, Batch, ZeroShot, ZeroShotConfig, mirror

SMALL = ZeroShotConfig(core={"width": 16, "depth": 1})
TRAIN = TrainConfig(max_steps=4, batch_size=256, validate_every=2, checkpoint_every=1, ema=0.9, patience=0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    rng = np.random.default_rng(0)
    lengths, names = [900, 800, 60, 70], ["hourly", "months"]
    series = [10 + np.sin(np.arange(n) * 2 * np.pi / s) + 0.1 * rng.standard_normal(n)
              for n, s in zip(lengths, (24, 24, 12, 12), strict=True)]  # fmt: skip
    file = tmp_path_factory.mktemp("corpus") / "corpus.npz"
    mean, std = np.array([y.mean() for y in series], "f4"), np.array([y.std() for y in series], "f4")
    np.savez(
        file,
        values=np.concatenate([(y - m) / s for y, m, s in zip(series, mean, std, strict=True)]).astype("f2"),
        offsets=np.cumsum([0, *lengths]), mean=mean, std=std, source=np.array([0, 0, 1, 1], "u1"),
        season_length=np.array([24, 24, 12, 12], "i4"), source_names=np.array(names),
    )  # fmt: skip
    return file


def test_corpus_reads_named_sources_and_coarser_copies(corpus):
    series = read_corpus(corpus, ("hourly",))
    assert {one.source for one in series} == {"hourly"}
    assert {one.period for one in series} >= {24, 12, 8, 7}
    with pytest.raises(ValueError, match="has no source 'daily'"):
        read_corpus(corpus, ("daily",))
    assert block_means(np.array([9.0, 1, 3, np.nan, 5]), 2).tolist() == [2.0, 5.0]


@pytest.mark.parametrize("reach", [(3, 16), (49, 200)])
def test_draws_hold_their_horizon_and_repeat(reach):
    one, two = (draw(np.random.default_rng(7), 12, reach, {}, "") for _ in range(2))
    np.testing.assert_array_equal(one.y_BL, two.y_BL)
    assert reach[0] <= one.horizon <= reach[1] and one.y_BL.shape[1] > one.horizon
    assert np.isfinite(one.y_BL[:, -one.horizon :]).any(1).all()


def test_augmentation_never_hides_the_end():
    y = np.random.default_rng(0).standard_normal((500, 60))
    out = augment(np.random.default_rng(1), y, 10)
    assert np.isfinite(out[:, -14:]).all() and np.isnan(out).any()


def test_targets_are_what_the_network_is_scored_on(monkeypatch):
    monkeypatch.setattr(pool, "WINDOWS", 16)
    batch, families = pool.chunk(3, 1, {})
    batch = batch._replace(target_BH=batch.target_BH.float())
    assert sum(families.values()) == len(batch.rank_BE) and batch.target_BH.shape == batch.growth_BH.shape
    model = ZeroShot(SMALL)
    q = model(batch)
    assert (q.diff(dim=-1) > 0).all(), "quantiles cannot cross"
    known = torch.isfinite(batch.target_BH)
    error = batch.target_BH.nan_to_num()[..., None] - q
    level = torch.tensor(LEVELS)
    pinball = torch.maximum(level * error, (level - 1) * error).mean(-1)
    weight = batch.growth_BH.exp() * known
    torch.testing.assert_close(model.loss(batch), (2 * (pinball * weight).sum(1) / weight.sum(1)).mean())


def test_a_killed_run_goes_on(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "WINDOWS", 16)
    config = PretrainConfig(
        sources=("hourly",), held_out=("months",), chunks=2, held_out_chunks=1, network=SMALL, train=TRAIN
    )
    whole, _ = pretrain(config, corpus, tmp_path / "whole")

    class Killed(BaseException):
        pass

    real, calls = pool.read, []

    def read(folder, index):
        calls.append(index)
        if len(calls) > 4:  # one held-out chunk, then some steps
            raise Killed
        return real(folder, index)

    monkeypatch.setattr(pool, "read", read)
    with pytest.raises(Killed):
        pretrain(config, corpus, tmp_path / "halves")
    monkeypatch.setattr(pool, "read", real)
    resumed, state = pretrain(config, corpus, tmp_path / "halves")
    assert state.step == 4
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)
    entries = [json.loads(line) for line in (tmp_path / "whole" / "losses.jsonl").read_text().splitlines()]
    assert len(entries) == 2 and set(entries[0]["sets"]) == {"months"}
    with pytest.raises(ValueError, match="another training run"):
        pretrain(dataclasses.replace(config, seed=1, chunks=2), corpus, tmp_path / "halves")


def test_mirrored_inputs_are_those_of_the_mirrored_series(monkeypatch):
    y = -np.abs(np.random.default_rng(0).standard_normal((6, 80)).cumsum(1)) - 1  # no logarithms on either side
    y[:, 0] = 1.0
    drawn = Draw(y, np.full(6, 4), np.full(6, 1), 10, "test")
    one = pool.windows(drawn, 16, np.random.default_rng(0))
    two = pool.windows(dataclasses.replace(drawn, y_BL=-y), 16, np.random.default_rng(0))
    turned = mirror(one, -torch.ones(6))
    for name, a, b in zip(Batch._fields, turned, two, strict=True):
        if name == "static_BF":  # whether a series is positive is not mirrored
            a, b = (torch.cat([x[:, :11], x[:, 12:]], 1) for x in (a, b))
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4, equal_nan=True, msg=name)
    model = ZeroShot(SMALL)
    torch.testing.assert_close(model.symmetric(one), -model.symmetric(turned).flip(-1))


def test_held_out_scores_are_relative_to_seasonal_naive(corpus):
    (data,) = read_held_out(corpus, ("months",))
    got = score(ZeroShot(SMALL), data)
    assert 0.2 < got.mase < 1.1 and 0.2 < got.sql < 1.0 and 0.4 <= got.coverage <= 1


def test_configs_refuse_what_they_do_not_know(tmp_path):
    (tmp_path / "a.toml").write_text("chunk = 3\n")
    with pytest.raises(ValueError, match="unknown option 'chunk' of PretrainConfig"):
        PretrainConfig.from_toml(tmp_path / "a.toml")
    with pytest.raises(ValueError, match="both trained on and held out"):
        PretrainConfig(sources=("a",), held_out=("a",))
