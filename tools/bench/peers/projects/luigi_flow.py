"""The tasks for luigi."""

from __future__ import annotations

import child
import luigi


class Step(luigi.Task):
    """One step."""

    number = luigi.IntParameter()

    def requires(self) -> list[Step]:
        """The step before, in a chain."""
        return [Step(self.number - 1)] if child.WORK["chain"] and self.number else []

    def output(self) -> luigi.LocalTarget:
        """What the step makes."""
        return luigi.LocalTarget(child.target(self.number))

    def run(self) -> None:
        """Do the step."""
        child.run(self.number)


tasks = [Step(number) for number in range(child.WORK["tasks"])]
done = luigi.build(
    tasks[-1:] if child.WORK["chain"] else tasks,
    local_scheduler=True,
    workers=1 if child.WORK["chain"] else 2,
    log_level="CRITICAL",
)
assert done
