"""One seed's story for a person: `python -m tests.simulation SEED`."""

import sys

from tests.simulation.checkers import check, check_at_rest
from tests.simulation.simulator import Simulation

simulation = Simulation(int(sys.argv[1]))
simulation.run()
for job_id in simulation.specs:
    entries = simulation.entries(job_id)
    sys.stdout.write(f"{job_id}: {entries[-1].job.status}\n")
    for entry in entries:
        sys.stdout.write(f"  {entry.recorded.version:3} {entry.event}\n")
    for problem in check(entries) + check_at_rest(entries, simulation.edge.files):
        sys.stdout.write(f"  PROBLEM {problem}\n")
