"""What users saw, drawn: each request at its time, failures in red, and the marks of whoever acted meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dock.traffic.record import Answer

# A logarithmic axis has no zero.
_FLOOR_SECONDS = 0.0005


def draw(answers: Sequence[Answer], path: Path, marks: Mapping[str, float] | None = None, title: str = "") -> None:
    """Write a PNG or SVG file, by its name's end. `marks` are moments (seconds since the epoch) by their labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    start = answers[0].at if answers else 0.0
    asked = [answer for answer in answers if answer.kind != "live"]
    releases = sorted({answer.release for answer in asked if not answer.failed})
    for release in releases:
        some = [answer for answer in asked if answer.release == release and not answer.failed]
        upper.plot(
            [answer.at - start for answer in some],
            [max(answer.seconds, _FLOOR_SECONDS) * 1000 for answer in some],
            ".",
            markersize=3,
            label=f"release {release}" if release else "good",
        )
    failed = [answer for answer in answers if answer.failed]
    if failed:
        upper.plot(
            [answer.at - start for answer in failed],
            [max(answer.seconds, _FLOOR_SECONDS) * 1000 for answer in failed],
            "x",
            color="tab:red",
            markersize=6,
            label=f"failed ({len(failed)})",
        )
    upper.set_yscale("log")
    upper.set_ylabel("waited, ms")
    upper.grid(visible=True, alpha=0.3)
    if asked:
        upper.legend(loc="upper left", fontsize="small")
    upper.set_title(title or f"{len(asked)} requests, {len(failed)} failed")
    seconds = int(answers[-1].at - start) + 1 if answers else 1
    for label, chosen, colour in (("good", False, "tab:green"), ("failed", True, "tab:red")):
        counts = [0] * seconds
        for answer in asked:
            if answer.failed is chosen:
                counts[min(int(answer.at - start), seconds - 1)] += 1
        lower.step(range(seconds), counts, where="post", color=colour, label=label)
    lower.set_ylabel("requests/s")
    lower.set_xlabel("seconds")
    lower.grid(visible=True, alpha=0.3)
    for number, (label, at) in enumerate((marks or {}).items()):
        for axes in (upper, lower):
            axes.axvline(at - start, color="tab:gray", linestyle="--", linewidth=1)
        upper.annotate(
            label,
            (at - start, 1.0 - 0.05 * (number % 4)),
            xycoords=("data", "axes fraction"),
            rotation=0,
            fontsize="x-small",
            va="top",
            xytext=(3, 0),
            textcoords="offset points",
        )
    figure.savefig(path, dpi=110)
