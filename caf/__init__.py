"""caf runs the production of AI-made cat videos as a bounded, explainable, event-sourced loop."""

from typing import Final

__all__ = ["__version__"]

__version__: Final = "0.1.0"
