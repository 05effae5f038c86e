"""The battery over every file of `tsar/heads`."""

from __future__ import annotations

import dataclasses

import pytest

from tests.head_battery import check_bimodal, check_density, check_gaussian, head_battery
from tsar.part import config_class, names

SMALL = {  # options that make a head quick to train, for those whose defaults are not; a new head needs no entry
    "flow": {"hidden": 32, "depth": 2},
    "diffusion": {"hidden": 32, "depth": 2},
    "shortcut": {"hidden": 32, "depth": 2},
    "normalizing_flow": {"hidden": 32, "layers": 3, "pieces": 5},
    "arinar": {"hidden": 32},
    "bins": {"bins": 48},
}
CONFIGS = {name: dataclasses.replace(config_class("heads", name)(), **SMALL.get(name, {})) for name in names("heads")}
BUILT = {name: config.build(8, 2) for name, config in CONFIGS.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_contract(name):
    head_battery(CONFIGS[name])


@pytest.mark.parametrize("name", CONFIGS)
def test_recovers_a_gaussian(name):
    check_gaussian(CONFIGS[name], steps=300)


@pytest.mark.parametrize("name", [name for name, head in BUILT.items() if head.multimodal])
def test_recovers_two_modes(name):
    check_bimodal(CONFIGS[name], steps=300)


@pytest.mark.parametrize("token_width", [1, 2])
@pytest.mark.parametrize("name", [name for name, head in BUILT.items() if head.exact])
def test_density_integrates_to_one(name, token_width):
    check_density(CONFIGS[name], token_width)
