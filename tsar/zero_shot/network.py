"""The zero-shot network: the shared core over the recent past and the experts' forecasts, one pass for all steps.

A row holds tokens of the recent past, one token of what is known of the whole series, and one token for every patch of
future steps, which carries what each expert says about them. The head mixes the experts, shifts the mixture and puts
quantiles around it. Longer horizons are cut into segments that are rows of their own.

B rows, C context steps, N tokens, P steps per token, D width, E experts, H horizon, Q levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tsar.experts.bank import NAMES
from tsar.nn.core import CoreConfig
from tsar.part import Part
from tsar.tokens import Coordinates
from tsar.zero_shot.features import CONTEXT, PER_EXPERT, SIGNED, STATIC, Features

LEVELS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99)
MEDIAN = LEVELS.index(0.5)
TREND = [NAMES.index(name) for name in ("theta", "damped_holt", "holt", "ar_drift", "local_drift")]
LEAN, SHORT = 0.7, (150.0, 400.0)
TIMING = 3  # features of a segment's place in the horizon


class Batch(NamedTuple):
    """A segment of the horizon of each row: features, and in training what came true, (y - base) / unit."""

    context_BC2: Tensor
    seen_BC: Tensor
    static_BF: Tensor
    rank_BE: Tensor
    expert_BEH: Tensor
    growth_BH: Tensor
    timing_B3: Tensor
    target_BH: Tensor | None = None  # NaN where unknown

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to every tensor that is there."""
        parts: list[Any] = [None if part is None else change(part) for part in self]
        return Batch(*parts)

    @classmethod
    def join(cls, batches: Sequence[Batch]) -> Batch:
        """Put the rows of batches of one shape together."""
        parts: list[Any] = [None if some[0] is None else torch.cat(some) for some in zip(*batches, strict=True)]
        return cls(*parts)


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig(Part):
    """Options of the network.

    Parameters
    ----------
    core : CoreConfig
        The shared transformer; its mask must be causal.
    past_patch, patch : int
        Steps per token of the past and of the future.
    segment : int
        Most future steps of one row.
    """

    core: Any = field(default_factory=lambda: CoreConfig(width=128, depth=3))
    past_patch: int = 64
    patch: int = 16
    segment: int = 96

    def __post_init__(self) -> None:
        if not isinstance(self.core, CoreConfig):
            object.__setattr__(self, "core", CoreConfig(**{k: v for k, v in self.core.items() if k != "part"}))
        if self.past_patch < 1 or CONTEXT % self.past_patch:
            raise ValueError(f"past_patch must divide {CONTEXT}, found {self.past_patch}")
        if self.patch < 1 or self.segment < 1 or self.segment % self.patch:
            raise ValueError(f"segment must be a multiple of patch, found {self.segment} and {self.patch}")


class ZeroShot(nn.Module):
    """Quantiles of every future step from experts and the recent past.

    Parameters
    ----------
    config : ZeroShotConfig
        Sizes.
    seed : int
        Seed of the initial weights; the global generator is left as it was.
    """

    def __init__(self, config: ZeroShotConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            width, n_experts = config.core.width, len(NAMES)
            self.past = nn.Linear(3 * config.past_patch, width)
            self.whole = nn.Sequential(
                nn.Linear(STATIC + PER_EXPERT * n_experts + TIMING, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
            )
            self.future = nn.Linear((n_experts + 1) * config.patch, width)
            self.kind = nn.Parameter(torch.zeros(3, width))
            self.core = config.core.build()
            self.head = nn.Linear(width, n_experts + config.patch * len(LEVELS))
            nn.init.normal_(self.head.weight, std=0.02)
            nn.init.zeros_(self.head.bias)
        self.trust = nn.Parameter(torch.tensor(3.0))
        score_Q = torch.special.ndtri(torch.tensor(LEVELS, dtype=torch.float64))
        # softplus(gap bias) = distance of neighbouring normal quantiles whose mean absolute value is the unit
        gap = torch.log(torch.expm1(score_Q.diff() * 1.2533)).float()
        self.register_buffer("gap_bias", gap, persistent=False)
        self.register_buffer("level_Q", torch.tensor(LEVELS), persistent=False)

    gap_bias: Tensor
    level_Q: Tensor

    def forward(self, batch: Batch) -> Tensor:
        """Return the quantiles at `LEVELS`, [B, H, Q] in units of expected error around the pool."""
        config = self.config
        rows, _, horizon = batch.expert_BEH.shape
        extra = -horizon % config.patch
        past, valid = self._past(batch)
        whole = self.whole(torch.cat([batch.static_BF, batch.timing_B3], 1))
        per_step = torch.cat([(batch.expert_BEH / 2).asinh(), batch.growth_BH[:, None]], 1)
        per_step = nn.functional.pad(per_step, (0, extra)).unflatten(-1, (-1, config.patch))  # [B, E + 1, N, P]
        future = self.future(per_step.transpose(1, 2).flatten(2)) + whole[:, None]
        x_BND = torch.cat([past + self.kind[0], whole[:, None] + self.kind[1], future + self.kind[2]], 1)
        steps = past.shape[1]
        n_future = future.shape[1]
        # Positions count from the token of the whole series, so that a longer past leaves them as they are.
        time = torch.arange(x_BND.shape[1], device=x_BND.device) + CONTEXT // config.past_patch - steps
        valid_BN = torch.cat([valid, valid.new_ones(rows, 1 + n_future)], 1)
        zero = torch.zeros_like(time).expand(rows, -1)
        h_BND = self.core(x_BND, Coordinates(time.expand(rows, -1), zero, valid_BN))[:, -n_future:]

        out = self.head(h_BND).float()
        n_experts = batch.rank_BE.shape[1]
        logits = out[..., :n_experts] - self.trust * batch.rank_BE[:, None]
        weight_BNE = torch.softmax(logits, -1)
        raw = out[..., n_experts:].unflatten(-1, (config.patch, len(LEVELS)))
        experts = nn.functional.pad(batch.expert_BEH, (0, extra)).unflatten(-1, (-1, config.patch))
        centre_BNP = torch.einsum("bne,benp->bnp", weight_BNE, experts) + raw[..., 0]
        gaps = nn.functional.softplus(raw[..., 1:] + self.gap_bias) + 1e-4
        above = centre_BNP[..., None] + gaps[..., MEDIAN:].cumsum(-1)
        below = centre_BNP[..., None] - gaps[..., :MEDIAN].flip(-1).cumsum(-1).flip(-1)
        return torch.cat([below, centre_BNP[..., None], above], -1).flatten(1, 2)[:, :horizon]

    def symmetric(self, batch: Batch) -> Tensor:
        """Average the quantiles with those of the series turned upside down, then lean on the trend experts.

        Nothing favours up over down. Short series without season are those that no artificial family describes well
        and for which real sources are few: there the centre moves by `lean` towards the median of the trend experts,
        which won on the held-out yearly sets and lost on all others.
        """
        down = mirror(batch, -torch.ones(len(batch.rank_BE), device=batch.rank_BE.device))
        up_BHQ, down_BHQ = self(Batch.join([batch, down])).chunk(2)
        q_BHQ = (up_BHQ - down_BHQ.flip(-1)) / 2
        trend_BH = batch.expert_BEH[:, TREND].median(1).values
        return q_BHQ + (lean(batch)[:, None] * (trend_BH - q_BHQ[..., MEDIAN]))[..., None]

    def _past(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Embed the recent past, dropping the tokens that no row has: [B, N, D] and which are valid."""
        patch = self.config.past_patch
        tokens = torch.cat([batch.context_BC2, batch.seen_BC[..., None]], -1).unflatten(1, (-1, patch)).flatten(2)
        valid = batch.seen_BC.unflatten(1, (-1, patch)).any(-1)
        first = 0 if torch.compiler.is_compiling() else int(valid.any(0).int().argmax())  # an exported graph is fixed
        return self.past(tokens[:, first:]), valid[:, first:]

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean pinball loss over levels and known steps, every row counting alike."""
        assert batch.target_BH is not None
        known = torch.isfinite(batch.target_BH)
        target = batch.target_BH.nan_to_num(0.0).float()
        error = target[..., None] - self(batch)
        pinball = torch.maximum(self.level_Q * error, (self.level_Q - 1) * error).mean(-1)
        # Steps weigh as much as their expected error, relative to the row's.
        weight = batch.growth_BH.float().exp() * known
        return (2 * (pinball * weight).sum(1) / weight.sum(1).clamp_min(1e-6)).mean()


def lean(batch: Batch) -> Tensor:
    """Weight of the trend experts [B]: `LEAN` for short series without season, fading out as series get longer."""
    length_B, season_B = (2 * batch.static_BF[:, 0]).exp(), batch.static_BF[:, 1].exp()
    fade_B = ((SHORT[1] - length_B) / (SHORT[1] - SHORT[0])).clamp(0, 1)
    return LEAN * fade_B * (season_B < 1.5)


def mirror(batch: Batch, sign_B: Tensor) -> Batch:
    """Multiply each row's series by its sign: what the inputs would be (logarithms aside) had it been upside down."""
    static_BF = batch.static_BF.clone()
    static_BF[:, SIGNED] *= sign_B[:, None]
    static_BF[:, STATIC + PER_EXPERT - 1 :: PER_EXPERT] *= sign_B[:, None]
    return batch._replace(
        context_BC2=batch.context_BC2 * sign_B[:, None, None],
        static_BF=static_BF,
        expert_BEH=batch.expert_BEH * sign_B[:, None, None],
        target_BH=None if batch.target_BH is None else batch.target_BH * sign_B[:, None],
    )


def segments(features: Features, config: ZeroShotConfig, horizon: int) -> list[Batch]:
    """Cut the horizon into the rows that the network forecasts."""
    out = []
    for start in range(0, horizon, config.segment):
        end = min(start + config.segment, horizon)
        out.append(
            Batch(
                features.context_BC2,
                features.seen_BC,
                features.static_BF,
                features.rank_BE,
                features.expert_BEH[..., start:end],
                features.growth_BH[:, start:end],
                timing(len(features.rank_BE), start, horizon, features.context_BC2.device),
            )
        )
    return out


def timing(rows: int, start: int, horizon: int, device: torch.device) -> Tensor:
    """Features of a segment's place: log start, log horizon, share of the horizon before it."""
    values = [torch.tensor(1.0 + start).log() / 2, torch.tensor(1.0 + horizon).log() / 2, torch.tensor(start / horizon)]
    return torch.stack(values).to(device).expand(rows, -1)
