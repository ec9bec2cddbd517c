"""Small SVG charts as text: curves over time, steps, bars. No dependency, no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 860, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 26, 34

Point = tuple[float, float]


@dataclass
class Series:
    """One curve; `css` names its style, `stepped` holds each value until the next point."""

    name: str
    css: str
    points: Sequence[Point]
    stepped: bool = False


@dataclass
class Mark:
    """A vertical line with a word, such as an alarm."""

    x: float
    text: str
    css: str = "mark"


@dataclass
class Chart:
    """Curves over one x axis. Units go into the labels."""

    x_label: str
    y_label: str
    series: list[Series]
    marks: list[Mark] = field(default_factory=list[Mark])
    x_max: float | None = None
    height: int = HEIGHT

    def render(self) -> str:
        """Return the chart as an `<svg>` element."""
        xs = [x for line in self.series for x, _ in line.points]
        ys = [y for line in self.series for _, y in line.points]
        frame = _Frame(
            self.x_max or max(xs, default=0) or 1, (max(ys, default=0) or 1) * 1.06, self.height
        )
        parts = [frame.open(f"{self.y_label} over {self.x_label}"), *frame.axes(self)]
        parts += [_polyline(frame, line) for line in self.series if line.points]
        for mark in self.marks:
            x = frame.x(mark.x)
            # Near the right edge the word goes to the left of its line.
            side = "end" if x > WIDTH - 140 else "start"
            parts.append(
                f'<line class="{mark.css}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" '
                f'y2="{self.height - _BOTTOM}"/>'
                f'<text class="{mark.css}" text-anchor="{side}" '
                f'x="{x + (4 if side == "start" else -4):.1f}" '
                f'y="{_TOP + 10}">{escape(mark.text)}</text>'
            )
        return "".join([*parts, "</svg>"])


def bars(labels: Sequence[str], counts: Sequence[int], x_label: str, y_label: str) -> str:
    """Return a bar chart as an `<svg>` element, one bar a label, each with its count."""
    height = 200
    frame = _Frame(len(counts), (max(counts, default=0) or 1) * 1.15, height)
    parts = [frame.open(f"{y_label} over {x_label}")]
    base = height - _BOTTOM
    for index, (label, count) in enumerate(zip(labels, counts, strict=True)):
        left, right = frame.x(index + 0.1), frame.x(index + 0.9)
        top = frame.y(count)
        middle = (left + right) / 2
        parts.append(
            f'<rect class="bar" x="{left:.1f}" width="{right - left:.1f}" y="{top:.1f}" '
            f'height="{max(base - top, 0):.1f}"/>'
            f'<text class="tick" text-anchor="middle" x="{middle:.1f}" y="{base + 14}">'
            f"{escape(label)}</text>"
        )
        if count:
            parts.append(
                f'<text class="tick" text-anchor="middle" x="{middle:.1f}" y="{top - 4:.1f}">'
                f"{count:,}</text>"
            )
    parts.append(
        f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>'
        f'<text class="label" text-anchor="end" x="{WIDTH - _RIGHT}" y="{height - 4}">'
        f"{escape(x_label)}</text></svg>"
    )
    return "".join(parts)


class _Frame:
    def __init__(self, x_max: float, y_max: float, height: int) -> None:
        self.x_max, self.y_max, self.height = x_max, y_max, height

    def x(self, value: float) -> float:
        return _LEFT + value / self.x_max * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.height - _BOTTOM - value / self.y_max * (self.height - _TOP - _BOTTOM)

    def open(self, title: str) -> str:
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img"><title>{escape(title)}</title>'
        )

    def axes(self, chart: Chart) -> list[str]:
        base = self.height - _BOTTOM
        parts: list[str] = []
        for value in _ticks(self.y_max):
            y = self.y(value)
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" '
                f'y2="{y:.1f}"/><text class="tick" text-anchor="end" x="{_LEFT - 6}" '
                f'y="{y + 4:.1f}">{value:g}</text>'
            )
        for value in _ticks(self.x_max):
            parts.append(
                f'<text class="tick" text-anchor="middle" x="{self.x(value):.1f}" '
                f'y="{base + 14}">{value:g}</text>'
            )
        parts.append(
            f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>'
            f'<text class="label" text-anchor="end" x="{WIDTH - _RIGHT}" '
            f'y="{self.height - 4}">{escape(chart.x_label)}</text>'
            f'<text class="label" x="{_LEFT - 30}" y="{_TOP - 12}">{escape(chart.y_label)}</text>'
        )
        return parts


def _polyline(frame: _Frame, line: Series) -> str:
    path: list[str] = []
    previous: Point | None = None
    for x, y in line.points:
        if line.stepped and previous is not None:
            path.append(f"{frame.x(x):.1f},{frame.y(previous[1]):.1f}")
        path.append(f"{frame.x(x):.1f},{frame.y(y):.1f}")
        previous = (x, y)
    return f'<polyline class="{line.css}" points="{" ".join(path)}"/>'


def _ticks(most: float) -> list[float]:
    """Return about five round values from 0 to `most`."""
    step = 10.0 ** (len(f"{int(most)}") - 1) if most >= 1 else 0.1
    while most / step < 4:
        step /= 2 if f"{step:g}".lstrip("0.")[0] in "12" else 2.5
    while most / step > 8:
        step *= 2
    return [step * index for index in range(int(most / step) + 1)]
