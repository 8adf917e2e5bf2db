"""How every property is searched: the same examples on every machine and at every run.

A counter-example that was found once becomes a unit test; a search by chance belongs to no lane.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

EXAMPLES = 300

searched = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,  # a busy machine is no counter-example
    suppress_health_check=[HealthCheck.too_slow],
)
