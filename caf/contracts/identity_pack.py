"""A character's look: `identity_pack.v1`."""

from msgspec import Struct

from caf.contracts.types import Text

__all__ = ["IdentityContract", "IdentityPack", "IdentityReferences"]


class IdentityReferences(Struct, frozen=True, kw_only=True):
    front: Text
    """Path of an image, relative to the workspace; read it through `paths.workspace_path`."""


class IdentityContract(Struct, frozen=True, kw_only=True, omit_defaults=True):
    canonical_descriptors: tuple[str, ...] = ()
    negative_descriptors: tuple[str, ...] = ()


class IdentityPack(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="version", tag="identity_pack.v1"
):
    identity_id: Text
    references: IdentityReferences
    contract: IdentityContract = IdentityContract()
