"""Outcomes as a table, for a terminal and for a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from operations.checks import Check, Status

if TYPE_CHECKING:
    from operations.checks import Outcome

# Readable on white and on black, and the words beside them don't need the colour.
_COLOURS = {"passed": "#2e8b57", "failed": "#d1242f", "not checked": "#b7791f", "incomplete": "#b7791f"}
_MARKS = {"passed": "✔", "failed": "✘", "not checked": "?", "incomplete": "?"}
_LEFT = "text-align:left;vertical-align:top;white-space:normal"


def plain(outcome: Outcome) -> str:
    """The outcome for a terminal, area by area."""
    lines = [f"{outcome.title}: {outcome.verdict.value.upper()} ({outcome.summary}; {outcome.seconds:.1f} s)"]
    width = max((len(_name(check)) for check in outcome.checks), default=0)
    for area, checks in _by_area(outcome.checks):
        lines.append(f"{area}: {outcome.areas[area].value}")
        for check in checks:
            kind = "" if check.critical else " (advisory)"
            mark = _MARKS[check.status.value]
            lines.append(f"  {mark} {_name(check):<{width}}  {check.measured}{kind}")
            if check.status is not Status.PASSED:
                lines.append(f"      {check.status.value}; expected: {check.expected}")
                lines += [f"      why: {check.why}"] if check.why else []
                lines += [f"      next: {check.next}"] if check.next else []
    return "\n".join(lines)


def html(outcome: Outcome) -> str:
    """The outcome for a notebook: verdict, then what is wrong with the next command, then all checks."""
    return "".join([_banner(outcome), *(_finding(checks) for checks in _findings(outcome)), _table(outcome)])


def _findings(outcome: Outcome) -> list[list[Check]]:
    """The checks that did not pass, the worst first: what someone who was just woken reads before anything else.

    Those that could not be checked for one and the same reason are one finding.
    """
    findings: dict[object, list[Check]] = {}
    for check in outcome.checks:
        if check.status is not Status.PASSED:
            alone = check.name if check.status is Status.FAILED else ""
            findings.setdefault((check.area, check.subject, check.status, check.why, alone), []).append(check)
    return sorted(
        findings.values(),
        key=lambda checks: (not any(check.critical for check in checks), checks[0].status is not Status.FAILED),
    )


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """A two-column HTML table of names and texts."""
    cells = "".join(
        f'<tr><th style="{_LEFT}">{escape(name)}</th><td style="{_LEFT}">{escape(text)}</td></tr>'
        for name, text in rows
    )
    return f"<table>{cells}</table>"


def _banner(outcome: Outcome) -> str:
    colour = _COLOURS[outcome.verdict.value]
    areas = " &nbsp; ".join(
        f'<span style="color:{_COLOURS[verdict.value]};white-space:nowrap">'
        f"{_MARKS[verdict.value]} {escape(area)}</span>"
        for area, verdict in outcome.areas.items()
    )
    when = outcome.started.strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f'<div style="border-left:6px solid {colour};padding:6px 12px;margin:4px 0 10px">'
        f'<div style="font-size:1.4em;font-weight:bold;color:{colour}">'
        f"{_MARKS[outcome.verdict.value]} {escape(outcome.platform)} {escape(outcome.environment)}:"
        f" {outcome.verdict.value.upper()}</div>"
        f'<div style="font-weight:bold;margin:4px 0">{areas}</div>'
        f"<div>{escape(outcome.summary)}; {when}, took {outcome.seconds:.1f} s</div></div>"
    )


def _finding(checks: list[Check]) -> str:
    first = checks[0]
    colour, status = _COLOURS[first.status.value], first.status.value
    kind = "" if any(check.critical for check in checks) else " (advisory)"
    names = ", ".join(check.name for check in checks)
    said = "" if len(checks) > 1 else f": {escape(first.measured)}, expected {escape(first.expected)}"
    parts = [
        f'<div style="border-left:3px solid {colour};padding:2px 12px;margin:6px 0">'
        f'<b><span style="color:{colour}">{_MARKS[status]} {status}{kind}</span>'
        f" {escape(first.area)} · {escape(first.subject)}: {escape(names)}</b>{said}"
    ]
    if first.why:
        parts.append(f"<br>{escape(first.why)}")
    if first.next:
        # What can be pasted into a shell looks like it.
        is_command = first.next.startswith(("aws ", "curl ", "pulumi ", "drydock "))
        shown = f'<code style="white-space:pre-wrap">{escape(first.next)}</code>' if is_command else escape(first.next)
        parts.append(f"<br>next: {shown}")
    return "".join(parts) + "</div>"


def _table(outcome: Outcome) -> str:
    columns = (("", 11), ("area", 10), ("check", 27), ("measured", 25), ("expected", 27))
    heads = "".join(f'<th style="{_LEFT};width:{percent}%">{column}</th>' for column, percent in columns)
    rows = []
    for area, checks in _by_area(outcome.checks):
        for number, check in enumerate(checks):
            colour = _COLOURS[check.status.value]
            kind = "" if check.critical else ' <span style="opacity:.65">advisory</span>'
            status = check.status.value
            cells = (
                f'<b style="color:{colour};white-space:nowrap">{_MARKS[status]} {status}</b>',
                f"<b>{escape(area)}</b>" if number == 0 else "",
                escape(_name(check)) + kind,
                escape(check.measured),
                escape(check.expected),
            )
            rows.append("<tr>" + "".join(f'<td style="{_LEFT}">{cell}</td>' for cell in cells) + "</tr>")
    return f'<table style="width:100%"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _name(check: Check) -> str:
    return f"{check.subject}: {check.name}"


def _by_area(checks: Iterable[Check]) -> list[tuple[str, list[Check]]]:
    areas: dict[str, list[Check]] = {}
    for check in checks:
        areas.setdefault(check.area, []).append(check)
    return list(areas.items())
