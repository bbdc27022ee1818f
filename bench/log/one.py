"""One question to one subject, in a process of its own: `python -m bench.log.one TASK ANSWER_FILE`.

So that no subject pays for another's threads, caches and garbage, and a crash is a word in the table.
"""

import sys
import traceback
from pathlib import Path

import msgspec

from bench.log.measures import answer
from bench.log.question import Answer, Task
from bench.log.subject import NotOffered


def main() -> None:
    """Answer, whatever happens."""
    task = msgspec.json.decode(sys.argv[1], type=Task)
    try:
        told = Answer(samples=answer(task.question, task.path))
    except NotOffered as why:
        told = Answer(why=str(why))
    except ModuleNotFoundError as fault:
        told = Answer(why=f"{fault.name} is not installed")
    except Exception as fault:  # noqa: BLE001 - told in the table
        traceback.print_exc()
        told = Answer(why=f"failed: {type(fault).__name__}")
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(told))


if __name__ == "__main__":
    main()
