"""How every property is searched: the same examples on every machine and at every run.

The runner gives each search one seed (``tools/testing/runner.py``), which its result records. A
failure prints the smallest counter-example and a line to paste that repeats it; a counter-example
that was found once becomes a unit test, since a search by chance belongs to no lane.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

EXAMPLES = 300
RUNS = 10  # where every example starts programs

searched = settings(
    max_examples=EXAMPLES,
    derandomize=False,  # which would take a seed that nobody sees
    database=None,
    deadline=None,  # a busy machine is no counter-example
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
searched_by_runs = settings(searched, max_examples=RUNS)
