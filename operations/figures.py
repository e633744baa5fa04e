"""Figures that a person would rather look at than read."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from operations.traffic import Series, percentile


def prepare() -> None:
    """Begin to import matplotlib, which takes a second, while something else is waited for."""

    def load() -> None:
        from matplotlib.backends import backend_agg  # noqa: F401
        from matplotlib.figure import Figure  # noqa: F401

    threading.Thread(target=load, name="matplotlib", daemon=True).start()


@dataclass(frozen=True)
class Chart:
    """A matplotlib figure that a notebook shows, without pyplot (slow to import) and without a back end of its own."""

    figure: Any
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.figure.savefig(content, format="png", dpi=100)
        return content.getvalue()


def latency(series: Sequence[Series]) -> Chart:
    """Every probe's latency over time, and how many were faster than what; failed probes are crosses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4 * max(1, len(series))), layout="constrained")
    grid: Any = figure.subplots(max(1, len(series)), 2, squeeze=False, width_ratios=(2, 1))
    for row, one in zip(grid, series, strict=True):
        _over_time(row[0], one)
        _distribution(row[1], one)
    return Chart(figure, "; ".join(f"{one.service}: {len(one.probes)} probes, {one.failed} failed" for one in series))


def _over_time(axes: Any, series: Series) -> None:
    good = [probe for probe in series.probes if not probe.failed]
    bad = [probe for probe in series.probes if probe.failed]
    if good:
        at, took = [probe.at for probe in good], [probe.seconds * 1000 for probe in good]
        axes.plot(at, took, "o", markersize=3, alpha=0.7, color="#2b6cb0", label=f"{len(good)} answered")
    if bad:
        at, took = [probe.at for probe in bad], [probe.seconds * 1000 for probe in bad]
        axes.plot(at, took, "x", markersize=7, color="#d1242f", label=f"{len(bad)} failed")
    _limit(axes.axhline, series)
    _milliseconds(axes.set_yscale, axes.set_ylim, axes.yaxis, series)
    axes.set_title(f"{series.service}: GET {series.url}", loc="left", fontsize=10)
    axes.set_xlabel("seconds since the first probe")
    axes.set_ylabel("milliseconds")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _distribution(axes: Any, series: Series) -> None:
    latencies = series.latencies
    axes.set_title("share of answers that are faster", loc="left", fontsize=10)
    axes.set_xlabel("milliseconds")
    _milliseconds(axes.set_xscale, axes.set_xlim, axes.xaxis, series)
    axes.grid(alpha=0.3)
    if latencies:
        shares = [100 * (number + 1) / len(latencies) for number in range(len(latencies))]
        axes.step([value * 1000 for value in latencies], shares, where="post", color="#2b6cb0")
        p95 = percentile(latencies, 95) * 1000
        axes.plot([p95], [95], "o", color="#2b6cb0", label=f"p95 {p95:.0f} ms")
    _limit(axes.axvline, series)
    axes.set_ylim(0, 103)
    axes.yaxis.set_major_formatter("{x:.0f} %")
    axes.legend(fontsize=8)


def _limit(line: Any, series: Series) -> None:
    limit = series.thresholds.p95_seconds * 1000
    line(limit, color="#b7791f", linestyle="--", linewidth=1.2, label=f"limit for p95: {limit:.0f} ms")


def _milliseconds(set_scale: Any, set_limits: Any, axis: Any, series: Series) -> None:
    """A logarithmic axis of whole decades: limits are hundreds of times what is usual, and both have to be seen."""
    from matplotlib.ticker import NullFormatter

    shown = [series.thresholds.p95_seconds * 1000, *(probe.seconds * 1000 for probe in series.probes)]
    set_scale("log")
    set_limits(10 ** math.floor(math.log10(max(min(shown), 0.01)) - 0.1), 10 ** math.ceil(math.log10(max(shown)) + 0.1))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
