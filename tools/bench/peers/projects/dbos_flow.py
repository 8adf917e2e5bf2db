"""The tasks for dbos, with its ledger in SQLite."""

import child
from dbos import DBOS

DBOS(config={"name": "bench", "system_database_url": "sqlite:///dbos.sqlite", "log_level": "ERROR"})


@DBOS.step()
def step(number: int) -> None:
    """Do a step."""
    child.run(number)


@DBOS.workflow()
def one(number: int) -> None:
    """A step as a workflow of its own, so that two run at a time."""
    step(number)


@DBOS.workflow()
def chain(tasks: int) -> None:
    """Steps one after the other."""
    for number in range(tasks):
        step(number)


DBOS.launch()
queue = DBOS.register_queue("steps", worker_concurrency=2, polling_interval_sec=0.01)
if child.WORK["chain"]:
    chain(child.WORK["tasks"])
else:
    for handle in [queue.enqueue(one, number) for number in range(child.WORK["tasks"])]:
        handle.get_result(polling_interval_sec=0.01)
DBOS.destroy()
