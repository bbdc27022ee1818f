"""Metrics that need what caf does not bring: a program, or a model of the user's. Nothing is fetched for them."""

from caf.qc.extras.wanted import embedding_of, extras_of

__all__ = ["embedding_of", "extras_of"]
