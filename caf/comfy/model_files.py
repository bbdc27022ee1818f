"""Which weights a server has under the names that a graph uses: size, time, the digest that a file tells of itself.

The server's own listing (`/experiment/models`) has no digest, and hashing gigabytes at every render is not our part.
But a file that was exchanged under its old name has another size or time.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from caf.comfy.failures import ComfyError
from caf.comfy.model import ModelFile

if TYPE_CHECKING:
    from caf.comfy.client import Comfy

__all__ = ["model_files"]

LIKELY: Final = (
    "checkpoints",
    "diffusion_models",
    "loras",
    "vae",
    "text_encoders",
    "controlnet",
    "upscale_models",
)
"""Asked first: a server has some thirty folders, and a listing walks through all of one."""
DIGESTS: Final = ("modelspec.hash_sha256", "sshs_model_hash")
"""Where trainers write a digest of the weights: the ModelSpec standard, and kohya's scripts."""


async def model_files(comfy: "Comfy", names: Iterable[str]) -> dict[str, ModelFile]:
    """Those of the names that the server can tell of; a server that does not answer has told of none."""
    wanted, found = set(names), dict[str, ModelFile]()
    with suppress(ComfyError):
        there = await comfy.model_folders() if wanted else ()
        for folder in sorted(there, key=lambda name: (name not in LIKELY, name)):
            for name, file in (await comfy.models_in(folder)).items():
                if name in wanted - found.keys():
                    found[name] = file
            if wanted == found.keys():
                break
        for name, file in found.items():
            told = await comfy.model_metadata(file.folder, name)
            digest = next((told[key] for key in DIGESTS if isinstance(told.get(key), str)), "")
            found[name] = replace(file, digest=digest)
    return found
