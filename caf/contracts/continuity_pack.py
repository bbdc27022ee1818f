"""What must stay the same over an episode: `episode_continuity_pack.v1`."""

from msgspec import Struct

from caf.contracts.types import JsonObject

__all__ = ["ContinuityPack", "ContinuityRules"]


class ContinuityRules(Struct, frozen=True, kw_only=True):
    require_costume_fidelity: bool = False
    require_identity_consistency: bool = False


class ContinuityPack(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="version",
    tag="episode_continuity_pack.v1",
):
    hero: JsonObject = {}
    style: JsonObject = {}
    rules: ContinuityRules = ContinuityRules()
