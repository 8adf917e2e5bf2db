"""What a goal may use: its processors, each with what it needs, makes, costs and is asked with."""

from __future__ import annotations

from orchestrator.goals.domain import DomainError, Operator
from orchestrator.images import processors
from processors.protocol import shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.refs import parse_ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.goal import Goal
    from orchestrator.images.processors import Processor


class Means:
    """A processor as a goal uses it.

    Attributes:
        processor: What runs.
        operator: What that needs and makes.
        inputs: What it is asked with.
    """

    __slots__ = ("inputs", "operator", "processor")

    def __init__(self, processor: Processor, operator: Operator, inputs: dict[str, Json]) -> None:
        self.processor = processor
        self.operator = operator
        self.inputs = inputs


def find(goal: Goal, folder: str) -> dict[str, Means]:
    """What a goal may use, by the name of its operator.

    Args:
        goal: The goal.
        folder: Where the build left the processors.

    Raises:
        ContractError: ``ERR_INPUTS``: ``invalid_goal`` if what the goal says of a processor does
            not fit it, ``unknown_ref``; ``ERR_REGISTRY_MISMATCH``.
    """
    listed = goal.processors or processors.known_refs(folder)
    if goal.transitions:
        every = [_spelled(goal, number, folder) for number in range(1, len(goal.transitions) + 1)]
    else:
        loaded = [_load(ref, folder) for ref in listed]
        every = [_declared(each, goal) for each in loaded if each.products]
    found = {each.operator.name: each for each in every}
    if unknown := sorted({*goal.inputs} - {*found}):
        raise invalid(goal, f"use: {unknown[0]} is none of the goal's processors")
    return found


def invalid(goal: Goal, why: str) -> ContractError:
    """The error of a goal that does not fit what it uses."""
    return inputs_error("invalid_goal", f"goal {goal.name}: {why}")


def _load(ref: str, folder: str) -> Processor:
    parsed = parse_ref(ref)
    assert parsed is not None
    return processors.load(folder, parsed)


def _declared(processor: Processor, goal: Goal) -> Means:
    """A processor by the effects that its registry declares."""
    requires = shapes.members(processor.registry, "requires")
    operator = _operator(processor, {name: str(each) for name, each in requires.items()})
    return Means(processor, operator, goal.inputs.get(str(processor.ref), {}))


def _spelled(goal: Goal, number: int, folder: str) -> Means:
    """A processor as a step of the goal file uses it: where it reads and writes is said there."""
    own = shapes.members({"step": goal.transitions[number - 1]}, "step")
    processor = _load(shapes.text(own, "ref"), folder)
    use = {name: str(path) for name, path in shapes.members(own, "use").items()}
    if lacks := sorted({*shapes.members(processor.registry, "requires")} - {*use}):
        place = f"transitions.{number - 1}.use"
        raise invalid(goal, f"{place}: no {', no '.join(lacks)}, which {processor.ref} requires")
    operator = _operator(processor, use, shapes.text(own, "write_prefix"), number)
    return Means(processor, operator, shapes.members(own, "inputs"))


def _operator(
    processor: Processor, requires: dict[str, str], prefix: str | None = None, number: int = 0
) -> Operator:
    cost = shapes.members(processor.registry, "cost")
    produces = processor.products
    if prefix is not None:
        produces = [prefix + each[each.index("/outputs/") + 1 :] for each in produces]
    try:
        return Operator(
            ref=str(processor.ref),
            requires=tuple(sorted(requires.items())),
            produces=tuple(produces),
            cost_micro_usd=shapes.count(cost, "estimate_micro_usd"),
            time_ms=shapes.count(cost, "estimate_ms") if "estimate_ms" in cost else 0,
            number=number,
        )
    except DomainError as error:
        raise inputs_error("invalid_goal", f"no plan can use {processor.ref}: {error}") from None
