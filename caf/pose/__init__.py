"""Poses: the model and where it comes from, the landmarks of every frame, the subject's box.

Nothing is imported here: `choice`, `overlay`, `source` and `workers` are light, the others load native code and belong
in a worker.
"""

__all__: list[str] = []
