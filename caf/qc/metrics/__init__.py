"""What can be measured on a clip, and how.

Only the light table is public here; the modules that touch pixels load in a worker process.
"""

from caf.qc.metrics.catalogue import EXTRAS, METRICS, MetricInfo

__all__ = ["EXTRAS", "METRICS", "MetricInfo"]
