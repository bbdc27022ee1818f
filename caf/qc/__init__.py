"""Quality control. Here the pure gates; what measures pixels is imported from its own module when needed."""

from caf.qc.gates import COSTUME, Score, evaluate
from caf.qc.scores import parse_metrics, parse_reasons, parse_targets

__all__ = ["COSTUME", "Score", "evaluate", "parse_metrics", "parse_reasons", "parse_targets"]
