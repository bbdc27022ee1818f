"""feline_presence and human_presence: in how many sampled frames a cat's or a person's face is found."""

from caf.ports import Measurement
from caf.qc.metrics.scene import Scene
from caf.qc.metrics.scoring import measured, unmeasured

__all__ = ["feline_presence", "human_presence"]


def feline_presence(scene: Scene) -> Measurement:
    """Share of sampled frames with a cat's face, upright or as a tilted close-up.

    Cats seen from behind count as absent. raw: `frames_sampled`, `frames_with_cat`.
    """
    return _share("feline_presence", "cat's", scene.cat_samples, len(scene.samples), "frames_with_cat")


def human_presence(scene: Scene) -> Measurement:
    """Share of sampled frames with a person's face where no cat's face is.

    Cat faces without a cat hit are sometimes taken for people: up to 0.13 on clips of cats in hoods.
    raw: `frames_sampled`, `frames_with_person`.
    """
    return _share(
        "human_presence", "person's", scene.person_samples, scene.person_scans, "frames_with_person"
    )


def _share(metric: str, whose: str, found: int, of: int, count_name: str) -> Measurement:
    if of == 0:
        return unmeasured(metric, "The clip has no frame to look at.")
    reason = f"A {whose} face is found in {found} of {of} sampled frame{'' if of == 1 else 's'}."
    return measured(metric, found / of, reason, {"frames_sampled": of, count_name: found})
