"""Curves of how well metrics tell good clips from bad ones, a small panel each."""

from pathlib import Path

from caf.media.outputs import plot_form, write_whole
from caf.media.surface import Colour, Place, Surface, surface
from caf.ports import Produced, Progress
from caf.qc.calibration import RocPanel, RocRequest
from caf.qc.thresholds import Outcome

__all__ = ["draw_roc"]

_COLUMNS = 4
_WIDE, _HIGH, _SIDE = 300, 356, 220
"""A panel, and the square in it."""
_LEFT, _TOP = 52, 60
_HEAD, _MARGIN = 56, 12
_INK: Colour = (40, 40, 40)
_SOFT: Colour = (110, 110, 110)
_PALE: Colour = (225, 225, 225)
_PRESENT: Colour = (210, 60, 60)
_PROPOSED: Colour = (60, 140, 120)
_TITLE = "How well each metric tells good clips from bad ones"
_AXES = (
    "across: share of good clips below the threshold (false alarms); up: share of bad clips below it (caught)"
)


def draw_roc(request: RocRequest, progress: Progress) -> Produced:
    """Write the picture that was asked for.

    Raises:
        InputError: a name that no picture can have, or a place that cannot be written to.
    """
    form = plot_form(request.out)
    columns = min(_COLUMNS, max(2, len(request.panels)))
    rows = -(-len(request.panels) // columns)
    size = (columns * _WIDE + 2 * _MARGIN, _HEAD + rows * _HIGH + _MARGIN)
    sheet = surface(form, size, _TITLE)
    sheet.text(_TITLE, (_MARGIN + 8, 24), _INK, size=16)
    sheet.text(_AXES, (_MARGIN + 8, 44), _SOFT, size=10)
    for number, panel in enumerate(request.panels):
        corner = (_MARGIN + number % columns * _WIDE, _HEAD + number // columns * _HIGH)
        _panel(sheet, panel, corner)
        progress(number + 1, len(request.panels))
    write_whole(Path(request.out), sheet.encoded())
    return Produced(role="plot", path=request.out)


def _panel(sheet: Surface, panel: RocPanel, corner: Place) -> None:
    left, top = corner[0] + _LEFT, corner[1] + _TOP
    sheet.text(panel.title, (left, top - 30), _INK)
    sheet.text(panel.told, (left, top - 13), _SOFT, size=11)
    for share in (0.0, 0.5, 1.0):
        across, up = left + share * _SIDE, top + (1 - share) * _SIDE
        sheet.line([(across, top), (across, top + _SIDE)], _PALE)
        sheet.line([(left, up), (left + _SIDE, up)], _PALE)
        sheet.text(f"{share:g}", (across, top + _SIDE + 14), _SOFT, size=10, anchor="middle")
        sheet.text(f"{share:g}", (left - 10, up + 4), _SOFT, size=10, anchor="end")
    if panel.missing:
        sheet.text(panel.missing, (left + _SIDE / 2, top + _SIDE / 4), _SOFT, size=11, anchor="middle")
    else:
        sheet.line([(left, top + _SIDE), (left + _SIDE, top)], _PALE)
        sheet.line([_at(left, top, across, up) for across, up in panel.corners], _INK, width=2)
    # The filled dot is the smaller one: where both thresholds do the same, both are seen.
    for told, colour, hollow, line in (
        (panel.present, _PRESENT, True, 0),
        (panel.proposed, _PROPOSED, False, 1),
    ):
        if told is not None:
            _marked(sheet, told, (left, top), colour, hollow=hollow, line=line)


def _marked(sheet: Surface, told: Outcome, corner: Place, colour: Colour, *, hollow: bool, line: int) -> None:
    left, top = corner
    base = top + _SIDE + 34 + 16 * line
    rates = told.false_alarm_rate, told.catch_rate
    radius = 6.0 if hollow else 4.0
    if rates[0] is not None and rates[1] is not None:
        sheet.dot(_at(left, top, rates[0], rates[1]), radius, colour, hollow=hollow)
    sheet.dot((left + 4, base - 4), radius - 1, colour, hollow=hollow)
    false, caught = ("--" if rate is None else f"{100 * rate:.0f} %" for rate in rates)
    words = f"{'now' if hollow else 'proposed'} {told.threshold:.3g}: {false} false, {caught} caught"
    sheet.text(words, (left + 16, base), _INK, size=10)


def _at(left: float, top: float, across: float, up: float) -> Place:
    return left + across * _SIDE, top + (1 - up) * _SIDE
