"""Poses: the model and where it comes from, the landmarks of every frame, the subject's box.

Nothing is imported here: `source` is light, `detect` and `bundle` load native code and belong in a worker.
"""

__all__: list[str] = []
