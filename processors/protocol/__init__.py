"""The contract between the orchestrator and every processor.

Standard library only, so that the same files run in a bare interpreter, in a pinned image and
inside the orchestrator. Nothing in here imports anything of ``orchestrator``.

Modules avoid ``typing``, ``dataclasses`` and ``pathlib`` at run time on purpose: every execution
imports this package twice (once in the orchestrator, once in the processor), and those three cost
more than the rest of the package (docs/decisions/0006-start-up.md has the figures).
"""
