"""The table of metrics: names, units, versions and the stage each one judges. Pure data, no numpy."""

from collections.abc import Mapping

from msgspec import Struct

from caf.contracts.types import TargetStage
from caf.errors import InputError

__all__ = ["EXTRAS", "METRICS", "MetricInfo", "info_of", "known_metrics"]


class MetricInfo(Struct, frozen=True, kw_only=True):
    """One metric as documents and gates know it. Every score runs from 0 to 1."""

    name: str
    description: str
    """What a good score means."""
    unit: str
    """Of the score; the physical units are in the names of `raw`."""
    version: int
    """Rises when the same pixels may give another number."""
    stage: TargetStage
    """frame | motion | video: whose output it judges."""
    higher_is_better: bool = True
    technical: bool = False
    """About the frames as such, whatever they show."""
    threshold: float | None = None
    """Where `caf qc` calls a technical metric poor; the gates of jobs have their policy's."""
    viewer: str = ""
    """What a viewer of a poor clip sees."""


_SHARE = "share of sampled frames, 0..1"
_SCORE = "score, 0..1"


def _table(*rows: tuple[str, TargetStage, int, str, str]) -> dict[str, MetricInfo]:
    return {
        name: MetricInfo(name=name, stage=stage, version=version, unit=unit, description=description)
        for name, stage, version, unit, description in rows
    }


def _technical(*rows: tuple[str, TargetStage, int, str, str]) -> dict[str, MetricInfo]:
    return {
        name: MetricInfo(
            name=name,
            stage=stage,
            version=version,
            unit=_SCORE,
            description=description,
            technical=True,
            threshold=0.70,
            viewer=viewer,
        )
        for name, stage, version, description, viewer in rows
    }


METRICS: dict[str, MetricInfo] = {
    **_table(
        ("identity_consistency", "frame", 9, _SCORE, "the subject looks like the reference picture"),
        (
            "identity_drift",
            "frame",
            9,
            _SCORE,
            "the subject looks the same from the first second to the last",
        ),
        ("mask_edge_bleed", "frame", 8, _SCORE, "no halo and no bleeding colour along the subject's outline"),
        ("costume_fidelity", "frame", 6, _SCORE, "the subject wears the costume of the reference picture"),
        ("feline_presence", "frame", 4, _SHARE, "a cat's face is seen"),
        ("human_presence", "frame", 4, _SHARE, "a person's face is seen"),
        (
            "temporal_stability",
            "motion",
            20,
            _SCORE,
            "no shake, flicker, stutter, freeze, glitch or blank frame",
        ),
        ("background_stability", "motion", 15, _SCORE, "the background neither trembles nor warps"),
        (
            "loop_seam",
            "motion",
            4,
            _SCORE,
            "the step from the last frame to the first is like any other step",
        ),
        ("audio_video", "video", 5, _SCORE, "the sound is there, in time and as long as the picture"),
    ),
    **_technical(
        (
            "freeze",
            "motion",
            10,
            "the picture never stands still while the clip moves",
            "it hangs, then goes on",
        ),
        ("cadence", "motion", 14, "no frame is shown twice and none is missing", "motion stutters"),
        ("blank", "motion", 4, "every frame has a picture", "it flashes black, white or grey"),
        ("flicker", "motion", 9, "the light is steady", "brightness pulses"),
        ("jitter", "motion", 10, "the camera stands or moves steadily", "the picture trembles"),
        (
            "glitch",
            "motion",
            16,
            "no frame shows what its neighbours do not",
            "blocks, tears or colours flash up",
        ),
        (
            "sharpness",
            "frame",
            7,
            "the picture is crisp and no stretch of it is suddenly blurred",
            "it goes soft",
        ),
        ("blockiness", "frame", 5, "no visible grid of coding blocks", "squares show in smooth places"),
        ("resolution", "frame", 4, "the detail of the source is still there", "it looks enlarged and mushy"),
        ("exposure", "frame", 3, "light and dark are where they belong", "it is washed out or too dark"),
        (
            "format",
            "video",
            1,
            "size, rate and pixels of the file are as asked",
            "it plays wrong, or not at all",
        ),
    ),
}
"""Every metric that `caf.qc.measure` knows, in the order it reports them."""


EXTRAS: dict[str, MetricInfo] = {
    "vmaf": MetricInfo(
        name="vmaf",
        stage="video",
        version=1,
        unit="VMAF / 100, 0..1",
        description="a viewer sees no loss against the source",
        threshold=0.70,
        viewer="it looks worse than its source",
    ),
    "identity_embedding": MetricInfo(
        name="identity_embedding",
        stage="frame",
        version=2,
        unit=_SCORE,
        description="to a model of the user's, the subject's face is that of the reference picture",
    ),
}
"""What needs more than caf brings: only measured where it is asked for by name."""


def info_of(metric: str) -> MetricInfo:
    """The row of a metric, extra or not. Raises `InputError` where there is none."""
    known_metrics((metric,), METRICS | EXTRAS)
    return (METRICS | EXTRAS)[metric]


def known_metrics(names: tuple[str, ...], table: Mapping[str, MetricInfo] = METRICS) -> tuple[str, ...]:
    """The names as they are. Raises `InputError` where one of them is no metric's of the table."""
    for name in names:
        if name not in table:
            raise InputError(
                f"There is no {'extra ' if table is EXTRAS else ''}metric named {name}.",
                remedy=f"Use one of: {', '.join(table)}.",
                kind="unknown_metric",
            )
    return names
