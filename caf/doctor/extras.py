"""What the extra metrics need: an ffmpeg with libvmaf, a model of the user's. Who asks for none needs none."""

from caf.config import Config
from caf.doctor.finding import Finding, good, warning
from caf.errors import InputError
from caf.qc.extras.ffmpeg import ffmpeg_with_vmaf
from caf.qc.extras.model_file import model_file
from caf.qc.extras.wanted import embedding_of, extras_of

__all__ = ["identity_model", "vmaf"]


def vmaf(config: Config) -> Finding:
    """Whether the ffmpeg at hand measures VMAF."""
    found = ffmpeg_with_vmaf()
    if not isinstance(found, str):
        return good("vmaf", f"ffmpeg {found.version} has libvmaf; --extra vmaf asks for it")
    if not _asked("vmaf", config):
        return good("vmaf", f"{found} Only the extra metric vmaf needs one")
    remedy = "Put an ffmpeg that was built with libvmaf on PATH, or take vmaf out of extra_metrics."
    return warning("vmaf", found, remedy)


def identity_model(config: Config) -> Finding:
    """Whether there is a model that faces can be given to; whether OpenCV can run it shows when it is measured."""
    name = "identity_model"
    try:
        given = embedding_of(config.identity_model, config.identity_model_input)
    except InputError as fault:
        return warning(name, f"identity_model_input: {fault.message}", fault.remedy)
    if given is None:
        what = "no model is set; only the extra metric identity_embedding needs one"
        if not _asked("identity_embedding", config):
            return good(name, what)
        return warning(name, what, "Set identity_model, or take identity_embedding out of extra_metrics.")
    file = model_file(given.path)
    if isinstance(file, str):
        return warning(name, file, "Correct identity_model in the configuration.")
    width, height = file.width_px or given.size, file.height_px or given.size
    if not (width and height):
        what = f"{given.path} takes pictures of any size"
        return warning(name, what, "Say which it was trained on: identity_model_input = size=PIXELS")
    return good(name, f"{given.path} takes faces of {width}x{height} pixels, sha256 {file.sha256[:12]}")


def _asked(metric: str, config: Config) -> bool:
    try:
        return metric in extras_of(config.extra_metrics)
    except InputError:
        return False
