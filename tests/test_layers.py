"""Lower layers never import upper ones; `import tsar` is light; files stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tsar"

# The layer of a module is that of the longest prefix listed here (DESIGN section 2).
LAYERS = {
    "part": 1, "tokens": 1, "scale": 1, "nn": 1, "experts": 1,
    "tokenizer": 2, "objective": 2, "tokenizers": 2, "heads": 2, "objectives": 2, "orders": 2,
    "model": 3, "generate": 3, "session": 3, "checkpoint": 3, "model_store": 3, "zero_shot": 3,
    "groups": 4, "windows": 4, "batches": 4, "run": 4, "train": 4, "train_config": 4, "synthetic": 4,
    "pretrain": 4, "pretraining": 4,
    "forecasters": 5, "generators": 5, "systems": 5, "pretrained": 5,
    "origins": 6, "evaluate": 6, "comparison": 6, "report": 6, "report_charts": 6, "naming": 6,
    "interop": 6, "verify": 6, "cli": 6,
}  # fmt: skip
FREE_OF_TORCH = (
    "panel", "frames", "records", "table", "grid", "frequency", "forecast", "metrics", "catalog", "sources", "plotting",
)  # fmt: skip


def layer(module: str) -> int:
    parts = module.removeprefix("tsar.").split(".")
    return next((LAYERS[".".join(parts[:n])] for n in (2, 1) if ".".join(parts[:n]) in LAYERS), 0)


def module_imports(file: Path) -> list[str]:
    """Modules imported when `file` is imported: imports inside functions and for type checking do not count."""
    found = []
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module] if node.module != "tsar" else [f"tsar.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_layers_point_down_and_files_are_short(file: Path) -> None:
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    upward = [m for m in module_imports(file) if m.startswith("tsar.") and layer(m) > layer(module)]
    assert module == "tsar.__init__" or not upward, f"{module} (layer {layer(module)}) imports {upward}"
    assert len(file.read_text().splitlines()) <= 300


@pytest.mark.parametrize("name", FREE_OF_TORCH)
def test_the_lowest_layer_does_not_name_torch(name: str) -> None:
    assert not [m for m in module_imports(PACKAGE / f"{name}.py") if m.split(".")[0] == "torch"]


def test_import_is_light() -> None:
    code = "import sys, tsar; print([m for m in ('torch', 'sklearn', 'statsmodels', 'gluonts') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
