"""A job's own thresholds: `quality_target.v1`."""

from msgspec import Struct

from caf.contracts.types import Text, Unit

__all__ = ["QualityTarget"]


class QualityTarget(Struct, frozen=True, kw_only=True, tag_field="version", tag="quality_target.v1"):
    profile_id: Text
    thresholds: dict[str, Unit]
    """Metric to the threshold that replaces the policy's."""
