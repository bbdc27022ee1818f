"""A ComfyUI server and the prompts that run on it."""

__all__: list[str] = []
