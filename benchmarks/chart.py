"""This file is a bar chart as SVG, in a few lines of our own."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES, BARS, FIGURES = 460, 420, 90  # pixels, from left to right
HIGH, TOP = 22, 54
OURS, OTHERS, TEXT, FAINT = "#1f6f54", "#b9c0c7", "#24292f", "#57606a"


def bars(title: str, unit: str, rows: Sequence[tuple[str, int]], ours: str) -> str:
    """One bar for each row, from zero, all to one scale. Those whose name begins with `ours` stand out."""
    most = max(figure for _, figure in rows)
    width, height = NAMES + BARS + FIGURES, TOP + HIGH * len(rows) + 12
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    looks = f'font-family="sans-serif" font-size="12" role="img" aria-label="{escape(title)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {looks}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="14" font-weight="bold" fill="{TEXT}">{escape(title)}</text>',
        f'<text x="12" y="40" fill="{FAINT}">{escape(unit)}</text>',
    ]
    for number, (name, figure) in enumerate(rows):
        own = name.startswith(ours)
        top, long = TOP + HIGH * number, max(1.0, BARS * figure / most)
        weight, colour = (' font-weight="bold"', OURS) if own else ("", OTHERS)
        middle = f'y="{top + 15}" fill="{TEXT}"{weight}'
        lines += [
            f'<text x="{NAMES - 8}" text-anchor="end" {middle}>{escape(name)}</text>',
            f'<rect x="{NAMES}" y="{top + 3}" width="{long:.1f}" height="{HIGH - 6}" fill="{colour}"/>',
            f'<text x="{NAMES + long + 6:.1f}" {middle}>{figure:,}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
