"""What the local engine can be told: every parameter with its stage, range, default and effect.

Light on purpose: the command line and the documents list this table without loading a codec.
"""

from collections.abc import Mapping
from difflib import get_close_matches

from msgspec import Struct

from caf.errors import InputError
from caf.media.compiled import COMPILED
from caf.ports import Parameter

__all__ = ["ENGINE_ID", "ENGINE_VERSION", "PARAMETERS", "ParameterSpec", "Settings", "settings_for"]

ENGINE_ID = "local"
ENGINE_VERSION = "15" if COMPILED else "15-plain"
"""Raised whenever the same input and parameters would give other pixels: cached stages depend on it. Without its
compiled part the engine gives other pixels, too."""


class ParameterSpec(Struct, frozen=True, kw_only=True):
    """One parameter. Numbers have `minimum` and `maximum` (inclusive), words have `choices`."""

    name: str
    stage: str
    default: Parameter
    effect: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """`number`, `whole number` or `word`."""
        if self.choices:
            return "word"
        return "whole number" if isinstance(self.default, int) else "number"

    @property
    def range(self) -> str:
        """The allowed values in words: `0 to 1`, `low | medium | high`."""
        if self.choices:
            return " | ".join(self.choices)
        return f"{_plain(self.minimum or 0.0)} to {_plain(self.maximum or 0.0)}"


def _plain(bound: float) -> str:
    """`0.3`, `60`, `1000000`: no exponent, and no point where nothing follows."""
    return str(int(bound)) if bound == int(bound) else str(bound)


def _number(name: str, stage: str, low: float, high: float, default: float, effect: str) -> ParameterSpec:
    return ParameterSpec(name=name, stage=stage, minimum=low, maximum=high, default=default, effect=effect)


def _word(name: str, stage: str, choices: tuple[str, ...], default: str, effect: str) -> ParameterSpec:
    return ParameterSpec(name=name, stage=stage, choices=choices, default=default, effect=effect)


PARAMETERS: tuple[ParameterSpec, ...] = (
    _number("exposure", "frame", -3.0, 3.0, 0.0, "Brightens or darkens, in stops (+1 doubles the light)."),
    _number(
        "deflicker", "frame", 0.0, 1.0, 0.0, "Holds each frame's light and tint to the clip's smooth course."
    ),
    _number("denoise", "frame", 0.0, 1.0, 0.0, "Removes grain within each frame, edges kept."),
    _number("sharpen", "frame", 0.0, 1.0, 0.0, "Raises fine contrast, without halos on strong edges."),
    _number(
        "identity_weight",
        "frame",
        0.0,
        1.0,
        0.0,
        "Pulls the subject's colours to the reference picture, or without one to the clip's own median.",
    ),
    _number(
        "pose_weight",
        "motion",
        0.0,
        1.0,
        0.0,
        "Holds the camera to its smooth path and each frame's light to its neighbours'; 0 leaves both.",
    ),
    _number(
        "temporal_smoothing",
        "motion",
        0.0,
        1.0,
        0.0,
        "Averages still areas over neighbouring frames and light over time, and closes the loop at the seam.",
    ),
    _word(
        "motion_intensity",
        "motion",
        ("low", "medium", "high"),
        "medium",
        "With pose_weight, how much camera movement stays: low = locked, medium = its smooth path,"
        " high = all of it. For a picture: how far it slowly moves in (2, 5 or 10 %).",
    ),
    _number(
        "seam_frames",
        "motion",
        0,
        60,
        0,
        "Frames that blend the loop's end into its start; 0 chooses by the clip.",
    ),
    _number(
        "max_crop", "motion", 0.0, 0.3, 0.15, "Largest share of width and height that steadying may cut off."
    ),
    _word(
        "resolution_policy",
        "video",
        ("letterbox", "crop_center", "pad_reflect"),
        "letterbox",
        "How another shape fits the target: black bars, a centred crop, or mirrored borders.",
    ),
    _word(
        "fps_strategy",
        "video",
        ("preserve", "resample", "reduce"),
        "preserve",
        "preserve = the source's own timing; resample = the target's rate, same duration;"
        " reduce = every second frame dropped until the rate is at most the target's.",
    ),
    _number("max_frames", "video", 0, 1_000_000, 0, "The clip ends after this many frames; 0 sets no limit."),
    _number("crf", "video", 0, 51, 18, "H.264 quality: lower is better and larger, 18 is visually lossless."),
    _word(
        "preset",
        "video",
        ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"),
        "medium",
        "H.264 effort: slower is smaller at the same quality.",
    ),
    _word(
        "encoder",
        "video",
        ("libx264", "hardware", "hardware_or_libx264"),
        "libx264",
        "What encodes: libx264 = the processor, the same bytes for the same frames; hardware = a card's encoder, and a"
        " refusal where none works; hardware_or_libx264 = whichever is there.",
    ),
)
"""Every parameter of every stage."""


class Settings:
    """The parameters of one run, defaults filled in, read by name and type."""

    def __init__(self, values: Mapping[str, Parameter]) -> None:
        self._values = dict(values)

    def number(self, name: str) -> float:
        return float(self._values[name])

    def whole(self, name: str) -> int:
        return int(self._values[name])

    def word(self, name: str) -> str:
        return str(self._values[name])


def settings_for(stage: str, given: Mapping[str, Parameter]) -> Settings:
    """Check `given` against the table and fill in the defaults.

    Raises:
        InputError: `unknown_parameter` or `bad_parameter`, with the allowed names and ranges.
    """
    specs = {spec.name: spec for spec in PARAMETERS if spec.stage == stage}
    for name, value in given.items():
        if name not in specs:
            raise _unknown(name, stage, specs)
        _check(specs[name], value)
    return Settings({name: given.get(name, spec.default) for name, spec in specs.items()})


def _unknown(name: str, stage: str, specs: Mapping[str, ParameterSpec]) -> InputError:
    near = get_close_matches(name, specs, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return InputError(
        f"The local engine's {stage} stage has no parameter {name}{hint}.",
        remedy="Allowed: " + ", ".join(f"{s.name} ({s.range})" for s in specs.values()) + ".",
        kind="unknown_parameter",
    )


def _check(spec: ParameterSpec, value: Parameter) -> None:
    if spec.choices:
        good = isinstance(value, str) and value in spec.choices
    else:
        low, high = spec.minimum or 0.0, spec.maximum or 0.0
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        if good and isinstance(spec.default, int):
            good = float(value) == int(value)
    if not good:
        raise InputError(
            f"{spec.name} of the {spec.stage} stage cannot be {value!r}.",
            remedy=f"Allowed: {spec.type}, {spec.range}.",
            kind="bad_parameter",
        )
