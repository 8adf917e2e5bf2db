"""The tasks for redun."""

import child
from redun import task

redun_namespace = "bench"


@task()
def step(number: int, before: int = 0) -> int:  # noqa: ARG001 - it waits for that
    """Do a step, after another one."""
    child.run(number)
    return number


@task()
def main() -> list[int]:
    """All of them."""
    last, made = 0, []
    for number in range(child.WORK["tasks"]):
        last = step(number, last) if child.WORK["chain"] else step(number)
        made.append(last)
    return made
