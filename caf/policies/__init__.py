"""The policies and the workflow registry that come with caf; the default ones hold when a job names no others."""

from collections.abc import Mapping
from typing import Final

from caf.contracts import QCPolicy
from caf.policies.default_policy import DEFAULT_POLICY
from caf.policies.default_registry import DEFAULT_REGISTRY, LOCAL_WORKFLOW
from caf.policies.technical_policy import TECHNICAL_POLICY, technical_gate

__all__ = [
    "BUILT_IN_POLICIES",
    "DEFAULT_POLICY",
    "DEFAULT_REGISTRY",
    "LOCAL_WORKFLOW",
    "TECHNICAL_POLICY",
    "technical_gate",
]

BUILT_IN_POLICIES: Final[Mapping[str, QCPolicy]] = {"default": DEFAULT_POLICY, "technical": TECHNICAL_POLICY}
"""By the name that stands for a policy where a file could; a file of that name is given as `./default`."""
