"""Colours for light and dark. Whatever carries meaning has a contrast of 3:1 on the surface it is drawn on."""

from __future__ import annotations

from dataclasses import dataclass

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


@dataclass(frozen=True)
class Theme:
    """The page's variables and the charts' colours; both come from here."""

    page: str
    surface: str
    ink: str
    muted: str
    line: str
    first: str  # this year, fitness
    second: str  # last year, fatigue
    third: str  # form
    past: str  # earlier years
    rest: str  # a day without activity; no meaning but the grid
    ramp: tuple[str, str, str, str, str]  # little to much

    def config(self) -> dict:
        """Vega-Lite's configuration. Marks are hidden from screen readers: the chart has a description and a table."""
        quiet = {
            "aria": False,
            "labelColor": self.muted,
            "titleColor": self.muted,
            "labelFontSize": 12,
            "titleFontSize": 12,
        }
        return {
            "background": self.surface,
            "font": FONT,
            "padding": {"left": 0, "right": 4, "top": 4, "bottom": 6},
            "view": {"stroke": None},
            "mark": {"aria": False},
            "text": {"aria": False, "fontSize": 12},
            "axis": {
                **quiet,
                "domain": False,
                "ticks": False,
                "gridColor": self.line,
                "labelPadding": 8,
                "titleFontWeight": "normal",
            },
            "legend": {
                **quiet,
                "labelColor": self.ink,
                "labelFontSize": 13,
                "titleFontWeight": "normal",
                "titleOrient": "left",
                "titlePadding": 10,
                "symbolSize": 220,
                "symbolStrokeWidth": 2.5,
                "columnPadding": 18,
                "offset": 8,
            },
        }


THEMES = {
    "light": Theme(
        page="#f6f4ef",
        surface="#ffffff",
        ink="#1f1e1b",
        muted="#66615a",
        line="#e9e5dd",
        first="#0b6b72",
        second="#b8472a",
        third="#6d55a8",
        past="#8b867e",
        rest="#efece6",
        ramp=("#5c9a97", "#3f8481", "#236d6d", "#0d5459", "#053a40"),
    ),
    "dark": Theme(
        page="#121315",
        surface="#1b1d20",
        ink="#ecebe7",
        muted="#a5a099",
        line="#2d3034",
        first="#55c8c0",
        second="#f0896a",
        third="#b6a0f2",
        past="#85878c",
        rest="#272a2e",
        ramp=("#3b7f7d", "#4b9f9b", "#62bdb6", "#8ed8cf", "#c9f4ec"),
    ),
}


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
