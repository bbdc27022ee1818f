"""Which id a job has when its file and its document disagree."""

from typing import Final

import msgspec

from caf.contracts.job import JobDocument
from caf.contracts.types import JobIdText
from caf.errors import DocumentError

__all__ = ["canonical_job"]

_SUFFIX: Final = ".job"


def canonical_job(doc: JobDocument, stem: str) -> tuple[JobDocument, str | None]:
    """The job under its canonical id, the file's stem, and a warning if the document said another.

    `stem` is the file name without `.json`; a `.job` at its end is taken off too. Raises
    `DocumentError` when the stem is no job id.
    """
    job_id = stem.removesuffix(_SUFFIX)
    try:
        msgspec.convert(job_id, JobIdText)
    except msgspec.ValidationError as fault:
        raise DocumentError(
            f"the job file is named {job_id!r}, which is no job id: it must be 6 to 200 of a-z, 0-9 and '-'.",
            remedy="Rename the file, for example to my-first-cat.job.json.",
        ) from fault
    if doc.job_id == job_id:
        return doc, None
    warning = f"the document says job_id {doc.job_id!r}, its file is named {job_id!r}; {job_id!r} is used."
    return msgspec.structs.replace(doc, job_id=job_id), warning
