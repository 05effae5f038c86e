"""torch.export: the zero-shot network's forward pass as a program that runs without this package's Python.

The program takes the features of one segment (at most `config.segment` steps) of any number of series; the experts that
make the features, and the units that its answer is in, stay outside of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from tsar.experts.bank import NAMES
from tsar.forecasters.zero_shot import ZeroShotForecaster
from tsar.zero_shot.features import CONTEXT, PER_EXPERT, STATIC
from tsar.zero_shot.network import TIMING, Batch, ZeroShot


def export(model: ZeroShotForecaster, horizon: int | None = None) -> ExportedProgram:
    """Export the forward pass of a pretrained forecaster; `torch.export.save` writes it to a file.

    Parameters
    ----------
    model : ZeroShotForecaster, as `tsar.from_pretrained` gives it
    horizon : int, steps, default the network's segment

    Returns
    -------
    ExportedProgram
        Of the tensors of `tsar.zero_shot.network.Batch` without its target, rows of any number, to quantiles [B, H, Q]
        at `tsar.zero_shot.network.LEVELS`, in units of expected error around the experts' pool.

    Raises
    ------
    TypeError
        For another kind of forecaster.
    ValueError
        If the horizon is longer than a segment.
    """
    if not isinstance(model, ZeroShotForecaster):
        raise TypeError(f"export takes a zero-shot forecaster of tsar.from_pretrained, found {type(model).__name__}")
    network = model.network_
    steps = network.config.segment if horizon is None else horizon
    if not 1 <= steps <= network.config.segment:
        raise ValueError(f"horizon must lie between 1 and the segment of {network.config.segment}, found {horizon}")
    example = _example(steps)
    rows = {0: Dim("rows", min=1)}
    with torch.no_grad():
        return torch.export.export(_Forward(network).eval(), example, dynamic_shapes=(rows,) * len(example))


class _Forward(nn.Module):
    def __init__(self, network: ZeroShot) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        context_BC2: Tensor,
        seen_BC: Tensor,
        static_BF: Tensor,
        rank_BE: Tensor,
        expert_BEH: Tensor,
        growth_BH: Tensor,
        timing_B3: Tensor,
    ) -> Tensor:
        return self.network(Batch(context_BC2, seen_BC, static_BF, rank_BE, expert_BEH, growth_BH, timing_B3))


def _example(steps: int) -> tuple[Tensor, ...]:
    """Two rows of zeros; only their shapes and types matter."""
    width = STATIC + PER_EXPERT * len(NAMES)
    return (
        torch.zeros(2, CONTEXT, 2),
        torch.ones(2, CONTEXT, dtype=torch.bool),
        torch.zeros(2, width),
        torch.zeros(2, len(NAMES)),
        torch.zeros(2, len(NAMES), steps),
        torch.zeros(2, steps),
        torch.zeros(2, TIMING),
    )
