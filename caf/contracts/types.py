"""The words and ranges that several documents share: enums as Literals, constrained strings and numbers."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

__all__ = [
    "ACTIONS",
    "Action",
    "AttemptIdText",
    "Dimension",
    "FpsStrategy",
    "GateStatus",
    "JobIdText",
    "JsonObject",
    "MotionIntensity",
    "NonNegative",
    "Platform",
    "QueueManagement",
    "ResolutionPolicyName",
    "Severity",
    "TargetStage",
    "Text",
    "Unit",
    "Url",
    "Utc",
]

Action = Literal["PROCEED", "RETRY_STAGE", "SWITCH_POLICY", "ESCALATE_USER", "ABORT"]
ACTIONS: Final[tuple[Action, ...]] = ("PROCEED", "RETRY_STAGE", "SWITCH_POLICY", "ESCALATE_USER", "ABORT")
TargetStage = Literal["artifact", "frame", "motion", "video", "editor"]
Dimension = Literal["identity", "motion", "audio", "costume", "technical"]
Severity = Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]
GateStatus = Literal["PASS", "SOFT_FAIL", "HARD_FAIL", "UNKNOWN"]
ResolutionPolicyName = Literal["letterbox", "crop_center", "pad_reflect"]
MotionIntensity = Literal["low", "medium", "high"]
FpsStrategy = Literal["preserve", "resample", "reduce"]
QueueManagement = Literal["NORMAL", "CLEAR_STALE_ITEMS", "INTERRUPT_ACTIVE"]

JsonObject = dict[str, Any]

Text = Annotated[str, Meta(min_length=1)]
Unit = Annotated[float, Meta(ge=0, le=1)]
"""0..1."""
NonNegative = Annotated[float, Meta(ge=0)]

# Python's `$` also matches before a final newline; `(?!\n)` keeps ids that become file names clean.
JobIdText = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9-]{6,}(?!\n)$",
        max_length=200,
        description="6 to 200 of a-z, 0-9 and '-'",
    ),
]
"""At most 200 characters, so that every file name made of it fits into a folder entry."""
AttemptIdText = Annotated[
    str, Meta(pattern=r"^run-[0-9]{4,}(?!\n)$", description="run-0001, run-0002 and so on")
]
Platform = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9_-]+(?!\n)$",
        max_length=40,
        description="youtube, tiktok, instagram, x or another, up to 40 of a-z, 0-9, '_' and '-'",
    ),
]
"""youtube, tiktok, instagram, x, or another; it becomes part of file names."""
Utc = Annotated[
    str,
    Meta(
        pattern=(
            r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
            r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|\+00:00)(?!\n)$"
        ),
        description="an RFC 3339 time in UTC, like 2026-02-08T05:00:46Z",
        extra_json_schema={"format": "date-time"},
    ),
]
"""RFC 3339 in UTC; `caf.contracts.times` makes one."""
Url = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+(?!\n)$",
        description="a URL, like https://example.org/watch/1",
        extra_json_schema={"format": "uri"},
    ),
]
"""An absolute URI: RFC 3986's characters only, so that every consumer of the registry can follow it."""
