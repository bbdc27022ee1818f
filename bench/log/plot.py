"""The figures as one small picture: how far each is from its bound, with ranges."""

from pathlib import Path
from typing import Any, Final

from bench.log.figures import FIGURES, Figure, spread_of
from bench.log.rounds import Found
from bench.log.stats import Spread

__all__ = ["draw", "share"]

TICKS: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def share(figure: Figure, measured: Spread) -> Spread:
    """`measured` as a part of the bound, so that 1 is reached and more is better, also for a bound from above."""
    if figure.at_least:
        return Spread(
            measured.median / figure.bound, measured.low / figure.bound, measured.high / figure.bound
        )
    least = 1e-9
    return Spread(
        figure.bound / max(measured.median, least),
        figure.bound / max(measured.high, least),
        figure.bound / max(measured.low, least),
    )


def draw(found: Found, target: Path) -> bool:
    """Write `target` (SVG); False when nothing of it was measured. Raises `ImportError` without matplotlib."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same samples give the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench-log", "font.size": 8})
    from matplotlib import pyplot

    rows = [
        (f"{figure.what} / {figure.beside}", share(figure, measured))
        for figure in FIGURES
        if (measured := spread_of(figure, found)) is not None
    ]
    if not rows:
        return False
    figure_: Any
    axes: Any
    figure_, axes = pyplot.subplots(figsize=(8, 0.8 + 0.22 * len(rows)), layout="constrained")
    for place, (_, part) in enumerate(reversed(rows)):
        colour = "#2a7f3f" if part.median >= 1 else "#b3402e"
        axes.plot([part.low, part.high], [place, place], color=colour, linewidth=2, alpha=0.45)
        axes.plot([part.median], [place], "o", color=colour, markersize=4)
    axes.set_yticks(range(len(rows)), [label for label, _ in reversed(rows)])
    axes.set_xscale("log")
    low, high = min(part.low for _, part in rows), max(part.high for _, part in rows)
    ticks = [tick for tick in TICKS if low / 2 <= tick <= high * 2]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.axvline(1, color="#555555", linewidth=1)
    axes.set_xlabel("part of the figure to reach (right of the line: reached)")
    axes.grid(axis="x", which="major", alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure_.savefig(target, metadata={"Date": None})
    pyplot.close(figure_)
    return True
