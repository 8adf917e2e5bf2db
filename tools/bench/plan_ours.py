"""Our side of the plan benchmark, a process of its own: ``plan_ours.py DOCUMENTS``.

It reads what exists from a list, plans, has the plan checked, writes its canonical bytes and hashes
them. It loads nothing that an answer does not need.
"""

from __future__ import annotations

import gc
import os
import sys

from orchestrator.goals.domain import ForEach, Operator, Task
from orchestrator.goals.plan_checker import check
from orchestrator.goals.planner import Plan, encoded, plan

TEXT = "/artifacts/text/{name}/outputs/text.md"
REPLY = "/artifacts/chat/{name}/outputs/reply.md"


def main() -> None:
    """One whole answer."""
    gc.disable()  # a program that answers and ends has no use for looking for cycles
    steps = 2 * int(sys.argv[1])
    operators = [
        Operator(
            ref="doc/extract@1",
            requires=(("source", "/artifacts/raw/{name}.pdf"),),
            produces=(TEXT, TEXT.replace("text.md", "metadata.json")),
            cost_micro_usd=1,
            time_ms=100,
        ),
        Operator(
            ref="llm/chat@1",
            requires=(("document", TEXT),),
            produces=(REPLY, REPLY.replace("reply.md", "response.json")),
            cost_micro_usd=5,
            time_ms=1_000,
        ),
    ]
    task = Task(
        goal="bench",
        head=(1, "sha256:" + "0" * 64),
        operators=operators,
        facts=[f"/artifacts/raw/{name}" for name in sorted(os.listdir("artifacts/raw"))],
        wants=[ForEach(REPLY, "/artifacts/raw/{name}.pdf")],
    )
    answer = plan(task)
    assert isinstance(answer, Plan)
    verdict = check(answer.document, task)
    data, digest = encoded(answer.document)
    listed = answer.document["steps"]
    assert verdict.accepted
    assert isinstance(listed, list)
    assert len(listed) == steps
    print(f"{steps} steps, {len(data)} bytes, {digest}")


if __name__ == "__main__":
    main()
