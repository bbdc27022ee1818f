"""Where a job's results lie, below the workspace."""

__all__ = ["final_path", "output_folder"]


def output_folder(job_id: str) -> str:
    """A job's results and documents."""
    return f"sandbox/output/{job_id}"


def final_path(job_id: str) -> str:
    """A completed job's clip."""
    return f"{output_folder(job_id)}/final.mp4"
