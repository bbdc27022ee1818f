"""A workspace copied to another folder while it is at work, so that the copy can take its place."""

from caf.backup.make import Report, back_up
from caf.backup.marker import Marker, marker_of

__all__ = ["Marker", "Report", "back_up", "marker_of"]
