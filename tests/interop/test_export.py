"""The exported forward pass equals the network's, for other series than it was traced with."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

import tsar
from tsar.experts.bank import experts
from tsar.interop.export import export
from tsar.zero_shot.features import features
from tsar.zero_shot.network import segments


@pytest.mark.slow
def test_exported_program_equals_the_network() -> None:
    model = tsar.from_pretrained("tsar-small")
    file = io.BytesIO()
    torch.export.save(export(model, 24), file)
    file.seek(0)
    program = torch.export.load(file).module()
    for rows in (1, 5):
        y_BL = np.random.default_rng(0).normal(size=(rows, 200)).cumsum(1)
        y_BL[: rows // 2, :180] = np.nan  # short histories, which leave tokens of the past empty
        season = (torch.full((rows,), 12), torch.full((rows,), 1))
        (batch,) = segments(features(experts(torch.from_numpy(y_BL), 24, season)), model.network_.config, 24)
        with torch.inference_mode():
            torch.testing.assert_close(program(*batch[:-1]), model.network_(batch), rtol=1e-4, atol=1e-4)


def test_what_cannot_be_exported_is_said() -> None:
    with pytest.raises(TypeError, match="found AR"):
        export(tsar.AR())
    with pytest.raises(ValueError, match="between 1 and the segment"):
        export(tsar.from_pretrained("tsar-small"), 10_000)
