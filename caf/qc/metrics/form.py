"""format: is the file what was asked for: its size, frame rate, pixel format, and no rotation flag?"""

from caf.ports import MediaInfo, VideoTarget
from caf.qc.metrics.findings import Finding
from caf.qc.metrics.scoring import measured, unmeasured

__all__ = ["file_format", "unasked"]

_PLAYABLE = frozenset({"yuv420p", "yuvj420p"})
"""What every player and platform shows; source: the H.264 High profile is 4:2:0 with 8 bits."""
_RATE_TOLERANCE = 0.002
"""29.97 for 30 is the same rate to a platform; 25 for 30, or 29 for 30, is not."""

# A deviation is right or wrong, not more or less: each one has the score that its consequence deserves.
_WRONG = {"size": 0.0, "pixel format": 0.2, "rotation": 0.3, "frame rate": 0.4, "length": 0.5}


def file_format(media: MediaInfo, target: VideoTarget | None, source: MediaInfo | None) -> Finding:
    """1 where everything is as asked; else the score of the worst deviation, all of them named.

    What was asked is `target`, or where there is none the form of the source. raw: `width_px`, `height_px`, `fps`,
    `rotation_deg`.
    """
    name = "format"
    if target is None and source is None:
        return unasked()
    if media.kind != "clip":
        return Finding(unmeasured(name, "A picture has no frame rate."))
    wrong = _against(media, target, source)
    if media.pixel_format not in _PLAYABLE and (source is None or media.pixel_format != source.pixel_format):
        wrong["pixel format"] = f"the pixel format is {media.pixel_format}, and not every player shows that"
    raw = {
        "width_px": float(media.width),
        "height_px": float(media.height),
        "fps": media.fps,
        "rotation_deg": float(media.rotation_deg),
    }
    score = min((_WRONG[what] for what in wrong), default=1.0)
    said = "; ".join(wrong.values())
    reason = "The file is as it was asked for." if not wrong else f"{said[0].upper()}{said[1:]}."
    return Finding(measured(name, score, reason, raw))


def unasked() -> Finding:
    """What `file_format` says of any file where neither a form was asked for nor a source is there."""
    return Finding(unmeasured("format", "Nothing says which size and frame rate were asked for."))


def _against(media: MediaInfo, target: VideoTarget | None, source: MediaInfo | None) -> dict[str, str]:
    """What deviates to a sentence's part about it."""
    wrong: dict[str, str] = {}
    asked = target or source
    assert asked is not None
    # A size as displayed hides a turn by 90 degrees; the flag itself is looked at below.
    if (media.width, media.height) != (asked.width, asked.height):
        wrong["size"] = f"the size is {media.width}x{media.height} and not {asked.width}x{asked.height}"
    if asked.fps > 0 and abs(media.fps / asked.fps - 1) > _RATE_TOLERANCE:
        wrong["frame rate"] = f"the frame rate is {media.fps:.2f} and not {asked.fps:.2f}"
    turned = source.rotation_deg if source is not None and target is None else 0
    if media.rotation_deg != turned:
        wrong["rotation"] = (
            f"the file is to be turned by {media.rotation_deg} degrees, which not every player does"
        )
    length = target.length_seconds if target is not None else None
    if length is not None and abs(media.duration_s - length) > 0.5:
        wrong["length"] = f"the clip lasts {media.duration_s:.1f} s and not {length:.1f} s"
    return wrong
