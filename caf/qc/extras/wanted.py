"""Which extra metrics are asked for, and what the settings say about the model of one. Light, no numpy."""

from math import isfinite
from pathlib import Path

from msgspec import convert

from caf.errors import InputError
from caf.ports import EmbeddingModel
from caf.qc.metrics.catalogue import EXTRAS, known_metrics

__all__ = ["INPUT_NAMES", "embedding_of", "extras_of"]

INPUT_NAMES = {"size": int, "mean": float, "scale": float, "colours": str}
"""What can be said of a model's input, and in which type."""
_COLOURS = ("rgb", "bgr")
_MOST_PX = 4096


def extras_of(setting: str, named: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The extra metrics of the setting `extra_metrics`, then those that were named, each once.

    Raises:
        InputError: a name that is no extra metric's.
    """
    names = [name for name in (part.strip() for part in setting.split(",")) if name]
    return known_metrics(tuple(dict.fromkeys((*names, *named))), EXTRAS)


def embedding_of(path: str | Path | None, said: str) -> EmbeddingModel | None:
    """The model at `path`, with what `said` says of its input: `size=112,mean=127.5,scale=0.0078125,colours=rgb`.

    None where there is no path.

    Raises:
        InputError: a name that is not known, or a value that is no such thing.
    """
    found: dict[str, int | float | str] = {}
    for part in filter(None, (one.strip() for one in said.split(","))):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in INPUT_NAMES:
            raise _wrong(f"{part} says nothing of a model's input.")
        try:
            given: int | float | str = convert(value, INPUT_NAMES[name], strict=False)
            if isinstance(given, float) and not isfinite(given):
                raise ValueError(given)
            found[name] = given
        except ValueError as fault:
            raise _wrong(f"{part} is no {INPUT_NAMES[name].__name__}.") from fault
    if found.get("colours", "rgb") not in _COLOURS:
        raise _wrong(f"The colours are {found['colours']}.")
    if not 0 <= found.get("size", 0) <= _MOST_PX:  # type: ignore[operator]  # an int, by INPUT_NAMES
        raise _wrong(f"The size is {found['size']} pixels.")
    return None if path is None else convert({"path": str(Path(path).absolute()), **found}, EmbeddingModel)


def _wrong(message: str) -> InputError:
    return InputError(
        message,
        remedy="Give some of size=PIXELS, mean=NUMBER, scale=NUMBER and colours=rgb|bgr, separated by commas.",
        kind="bad_model_input",
    )
