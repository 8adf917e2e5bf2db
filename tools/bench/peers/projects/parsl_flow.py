"""The tasks for parsl."""

import child
import parsl
from parsl.config import Config
from parsl.executors import ThreadPoolExecutor


@parsl.python_app
def step(number: int, before: object = None) -> None:  # noqa: ARG001 - it waits for that
    """Do a step, after another one."""
    child.run(number)


config = Config(executors=[ThreadPoolExecutor(max_threads=2)], initialize_logging=False)
with parsl.load(config):
    last, made = None, []
    for number in range(child.WORK["tasks"]):
        last = step(number, last if child.WORK["chain"] else None)
        made.append(last)
    for one in made:
        one.result()
