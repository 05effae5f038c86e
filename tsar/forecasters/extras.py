"""Optional libraries, imported on use."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_extra(module: str, extra: str, wanted_by: str) -> ModuleType:
    """Import `module`; ImportError that names the extra of tsar which brings it.

    Parameters
    ----------
    module : dotted name
    extra : name of the extra, as in pip install 'tsar[extra]'
    wanted_by : what needs it
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{wanted_by} needs {module.partition('.')[0]}: pip install 'tsar[{extra}]'") from error
