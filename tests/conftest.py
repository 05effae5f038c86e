"""What every test shares: where real data lies, and quiet third-party chatter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers share two cores
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real data; tests that need it skip without it."""
    root = os.environ.get("TSAR_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("TSAR_DATA is not set to a folder of real data")
    return Path(root)
