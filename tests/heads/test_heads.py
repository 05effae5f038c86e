"""The battery over every file of `tsar/heads`."""

from __future__ import annotations

import pytest

from tests.head_battery import check_bimodal, check_density, check_gaussian, head_battery
from tsar.part import config_class, names

STEPS = {"point": 300, "quantile": 600, "student_t": 600}  # the rest: below
HEADS = names("heads")


@pytest.mark.parametrize("name", HEADS)
def test_contract(name):
    head_battery(config_class("heads", name)())


@pytest.mark.parametrize("name", HEADS)
def test_recovers_a_gaussian(name):
    check_gaussian(config_class("heads", name)(), STEPS.get(name, 600))


@pytest.mark.parametrize("name", [n for n in HEADS if config_class("heads", n)().build(8, 2).multimodal])
def test_recovers_two_modes(name):
    check_bimodal(config_class("heads", name)(), STEPS.get(name, 600))


@pytest.mark.parametrize("token_width", [1, 2])
@pytest.mark.parametrize("name", [n for n in HEADS if config_class("heads", n)().build(8, 2).exact])
def test_density_integrates_to_one(name, token_width):
    check_density(config_class("heads", name)(), token_width)
