"""The table of metrics: names, units, versions and the stage each one judges. Pure data, no numpy."""

from msgspec import Struct

__all__ = ["METRICS", "MetricInfo"]


class MetricInfo(Struct, frozen=True, kw_only=True):
    """One metric as documents and gates know it."""

    name: str
    description: str
    unit: str
    """Of the score; the physical units are in the names of `raw`."""
    version: int
    """Rises when the same pixels may give another number."""
    stage: str
    """frame | motion | video: whose output it judges."""
    higher_is_better: bool = True


_SHARE = "share of sampled frames, 0..1"
_SCORE = "score, 0..1"


def _table(*rows: tuple[str, str, int, str, str]) -> dict[str, MetricInfo]:
    return {
        name: MetricInfo(name=name, stage=stage, version=version, unit=unit, description=description)
        for name, stage, version, unit, description in rows
    }


METRICS: dict[str, MetricInfo] = _table(
    ("identity_consistency", "frame", 1, _SCORE, "the subject looks like the reference picture"),
    ("identity_drift", "frame", 1, _SCORE, "the subject looks the same from the first second to the last"),
    ("mask_edge_bleed", "frame", 1, _SCORE, "no halo and no bleeding colour along the subject's outline"),
    ("costume_fidelity", "frame", 1, _SCORE, "the subject wears the costume of the reference picture"),
    ("sharpness", "frame", 1, _SCORE, "the picture is crisp and no stretch of it is suddenly blurred"),
    ("blockiness", "frame", 1, _SCORE, "no visible grid of coding blocks"),
    ("feline_presence", "frame", 1, _SHARE, "a cat's face is seen"),
    ("human_presence", "frame", 1, _SHARE, "a person's face is seen"),
    ("temporal_stability", "motion", 1, _SCORE, "no shake, flicker, stutter, freeze, glitch or blank frame"),
    ("background_stability", "motion", 1, _SCORE, "the background neither trembles nor warps"),
    ("loop_seam", "motion", 1, _SCORE, "the step from the last frame to the first is like any other step"),
    ("audio_video", "video", 1, _SCORE, "the sound is there, in time and as long as the picture"),
)
"""Every metric that `caf.qc.measure` knows, in the order it reports them."""
