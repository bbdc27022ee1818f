"""The policy and the workflow registry that hold when a job names no others."""

from caf.policies.default_policy import DEFAULT_POLICY
from caf.policies.default_registry import DEFAULT_REGISTRY, LOCAL_WORKFLOW

__all__ = ["DEFAULT_POLICY", "DEFAULT_REGISTRY", "LOCAL_WORKFLOW"]
