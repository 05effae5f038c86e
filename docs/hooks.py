"""mkdocs hook: formulas become MathML when the site is built, so that pages fetch no script to show them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(div|span) class="arithmatex">(?:\\\[|\\\()(.*?)(?:\\\]|\\\))</\1>', re.S)


def on_page_content(html: str, **_: Any) -> str:
    """Replace what pymdownx.arithmatex marked."""

    def mathml(found: re.Match[str]) -> str:
        return convert(unescape(found[2]).strip(), display="block" if found[1] == "div" else "inline")

    return FORMULA.sub(mathml, html)
