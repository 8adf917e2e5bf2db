"""Whether a document proves what it claims: a plan that it reaches the wants, or that nothing does.

Made to be read in one sitting and to share nothing with the planner but the values of ``domain``:
it has its own reading of templates. It never looks for a plan. A plan is accepted if

- it is for this goal, head and list of transitions;
- each step is an operator with all wildcards bound, its paths are those of the templates, and they
  are paths of a world; steps are numbered in order and follow the transitions;
- each input comes from an earlier step that makes it, or exists and is under no step's write
  prefix; no write prefix is another's or lies in another's;
- each want is shown by the facts that it asks for, with sources of the same kind;
- each step makes something that another step or a want takes; costs and times add up.

A certificate that there is no plan lists instances of operators. It is accepted if what exists and
what these instances make is closed (no operator leads out of it) and the named want is outside.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from orchestrator.goals.domain import (
    NO_PLAN_SCHEMA,
    OUTPUTS,
    PLAN_SCHEMA,
    WORLD,
    AtLeast,
    Exists,
    Operator,
    Task,
    Want,
)
from processors.protocol import paths
from processors.protocol.errors import ContractError

_PLAN = frozenset(
    ("cost_micro_usd", "goal", "head", "schema", "span_ms", "steps", "time_ms", "transitions")
) | {"wants"}
_NO_PLAN = frozenset(("goal", "head", "missing", "reachable", "schema", "transitions", "want"))
_STEP = frozenset(
    ("bindings", "cost_micro_usd", "id", "inputs", "operator", "produces", "ref", "sources")
) | {"time_ms", "write_prefix"}
_RESERVED = (paths.ATTACHED, paths.EXECUTIONS)


class Verdict:
    """What the checker found.

    Attributes:
        claim: ``plan`` or ``no_plan``, or None for a document that claims neither.
        reason: Why the claim is not proved, as a slug; None if it is.
        where: The part of the document that the reason is about.
    """

    __slots__ = ("claim", "reason", "where")

    def __init__(self, claim: str | None, reason: str | None, where: str) -> None:
        self.claim = claim
        self.reason = reason
        self.where = where

    @property
    def accepted(self) -> bool:
        """Whether the document proves its claim."""
        return self.reason is None


def check(document: object, task: Task) -> Verdict:
    """Judge a document, whatever it is, against the task that it should answer."""
    claim = None
    try:
        if isinstance(document, dict) and document.get("schema") == PLAN_SCHEMA:
            claim = "plan"
            _check_plan(document, task)
        elif isinstance(document, dict) and document.get("schema") == NO_PLAN_SCHEMA:
            claim = "no_plan"
            _check_no_plan(document, task)
        else:
            raise _RejectedError("bad_schema", "schema")
    except _RejectedError as rejected:
        return Verdict(claim, rejected.reason, rejected.where)
    return Verdict(claim, None, "")


class _RejectedError(Exception):
    def __init__(self, reason: str, where: str) -> None:
        self.reason = reason
        self.where = where
        super().__init__(reason)


def _require(holds: bool, reason: str, where: str) -> None:  # noqa: FBT001 - it is the condition
    if not holds:
        raise _RejectedError(reason, where)


class _Pattern:
    """A template: its segments as (before, name or None, after), and a form to fill in."""

    __slots__ = ("form", "lead", "names", "segments")

    def __init__(self, text: str) -> None:
        self.segments: list[tuple[str, str | None, str]] = []
        pieces: list[str] = []
        for segment in text.split("/"):
            before, opened, rest = segment.partition("{")
            name, _, after = rest.partition("}")
            self.segments.append((before, name if opened else None, after))
            fixed = before.replace("%", "%%"), after.replace("%", "%%")
            pieces.append(f"%({name})s".join(fixed) if opened else fixed[0])
        self.names = list(dict.fromkeys(name for _, name, _ in self.segments if name is not None))
        self.lead = text.split("{", maxsplit=1)[0]
        self.form = "/".join(pieces)

    def fill(self, values: Mapping[str, str]) -> str:
        return self.form % values

    def match(self, path: str) -> dict[str, str] | None:
        segments = path.split("/")
        if len(segments) != len(self.segments):
            return None
        values: dict[str, str] = {}
        for text, (before, name, after) in zip(segments, self.segments, strict=True):
            if name is None:
                if text != before:
                    return None
                continue
            value = text[len(before) : len(text) - len(after)]
            if not value or before + value + after != text or values.get(name, value) != value:
                return None
            values[name] = value
        return values

    def among(self, listed: list[str]) -> list[dict[str, str]]:
        """The matches in a sorted list."""
        place = bisect_left(listed, self.lead)
        found = []
        while place < len(listed) and listed[place].startswith(self.lead):
            if (values := self.match(listed[place])) is not None:
                found.append(values)
            place += 1
        return found


class _Effects:
    """An operator's templates."""

    __slots__ = ("bound", "names", "operator", "prefix", "produces", "requires", "stage")

    def __init__(self, operator: Operator, stage: int) -> None:
        self.operator = operator
        self.stage = stage
        self.requires = {name: _Pattern(template) for name, template in operator.requires}
        self.produces = [_Pattern(template) for template in operator.produces]
        self.prefix = _Pattern(operator.produces[0].split(f"/{OUTPUTS}/")[0] + "/")
        self.bound = self.prefix.names
        self.names = {*self.bound}.union(*(each.names for each in self.requires.values()))


def _effects(task: Task) -> dict[str, _Effects]:
    return {each.name: _Effects(each, task.stage(each)) for each in task.operators}


def _check_plan(document: dict[object, object], task: Task) -> None:
    _require(document.keys() == _PLAN, "bad_shape", "plan")
    _check_question(document, task)
    steps = document["steps"]
    if not isinstance(steps, list):
        raise _RejectedError("bad_shape", "steps")
    sources = _Sources(task, steps)
    _check_wants(document["wants"], task, sources)
    if not task.facts.paths.issuperset(sources.taken):
        missing = min(fact for fact in sources.taken if fact not in task.facts.paths)
        raise _RejectedError("not_in_world", missing)
    _check_prefixes(sources)
    for id_ in sources.ends:
        _require(id_ in sources.used, "unjustified_step", id_)
    for key, total in sources.totals.items():
        _require(_is_count(document[key], total), "wrong_total", key)


def _check_question(document: dict[object, object], task: Task) -> None:
    _require(document["goal"] == task.goal, "wrong_goal", "goal")
    head = document["head"]
    count, hash_ = task.head
    _require(isinstance(head, dict) and head.keys() == {"count", "hash"}, "bad_shape", "head")
    assert isinstance(head, dict)
    _require(_is_count(head["count"], count) and head["hash"] == hash_, "wrong_head", "head")
    listed = None if task.transitions is None else list(task.transitions)
    _require(document["transitions"] == listed, "wrong_transitions", "transitions")


class _Sources:
    """What the steps of a plan make and take."""

    __slots__ = ("ends", "made", "prefixes", "taken", "totals", "used")

    def __init__(self, task: Task, steps: list[object]) -> None:
        self.made: dict[str, str] = {}  # each fact's step
        self.ends: dict[str, int] = {}
        self.used: set[str] = set()
        self.taken: list[str] = []  # facts of the world
        self.prefixes: list[str] = []
        self.totals = {"cost_micro_usd": 0, "span_ms": 0, "time_ms": 0}
        effects = _effects(task)
        for ref, group in _grouped(steps, effects).items():
            self._check_instances(group, effects[ref])
        self._link(steps)  # type: ignore[arg-type] # grouping has looked at them

    def _check_instances(self, group: list[dict[str, Any]], effects: _Effects) -> None:
        """Compare all steps of one operator with its templates, column by column."""
        bindings = [step["bindings"] for step in group]
        for step in group:
            if not _are_bindings(step["bindings"], effects.names):
                raise _RejectedError("bad_bindings", step["id"])
        requires = [(name, pattern.form) for name, pattern in effects.requires.items()]
        produces = [pattern.form for pattern in effects.produces]
        prefixes = list(map(effects.prefix.form.__mod__, bindings))
        inputs = [{name: form % values for name, form in requires} for values in bindings]
        products = [[form % values for form in produces] for values in bindings]
        _compare(group, "write_prefix", prefixes, "wrong_prefix")
        _compare(group, "inputs", inputs, "wrong_inputs")
        _compare(group, "produces", products, "wrong_products")
        cost, time = effects.operator.cost_micro_usd, effects.operator.time_ms
        for step in group:
            if type(step["cost_micro_usd"]) is not int or step["cost_micro_usd"] != cost:
                raise _RejectedError("wrong_cost", step["id"])
            if type(step["time_ms"]) is not int or step["time_ms"] != time:
                raise _RejectedError("wrong_time", step["id"])
        self.prefixes += prefixes
        self.totals["cost_micro_usd"] += cost * len(group)
        self.totals["time_ms"] += time * len(group)

    def _link(self, steps: list[dict[str, Any]]) -> None:
        """Check where inputs come from, step by step; note what each makes."""
        made, ends, count = self.made, self.ends, 0
        for step in steps:
            where = step["id"]
            inputs, sources = step["inputs"], step["sources"]
            if not isinstance(sources, dict) or sources.keys() != inputs.keys():
                raise _RejectedError("bad_shape", where)
            start = self.take(inputs.values(), [sources[name] for name in inputs], where)
            ends[where] = start + step["time_ms"]
            products = step["produces"]
            count += len(products)
            for fact in products:
                made[fact] = where
        if len(made) != count:
            raise _RejectedError("made_twice", "steps")
        self.totals["span_ms"] = max(ends.values(), default=0)

    def take(self, facts: Iterable[str], sources: Iterable[object], where: str) -> int:
        """Check that steps make facts, or leave them to the world; return when all are there."""
        start = 0
        made, ends = self.made, self.ends
        for fact, source in zip(facts, sources, strict=False):
            if source == WORLD:
                self.taken.append(fact)
            elif type(source) is str and made.get(fact) == source:
                self.used.add(source)
                if ends[source] > start:
                    start = ends[source]
            else:
                raise _RejectedError("not_made_before", where)
        return start


def _grouped(steps: list[object], effects: dict[str, _Effects]) -> dict[str, list[dict[str, Any]]]:
    """The steps of each operator, if they are numbered in order and follow the transitions."""
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in effects}
    stage = 0
    for number, step in enumerate(steps, 1):
        where = f"s{number}"
        if not isinstance(step, dict) or step.keys() != _STEP:
            raise _RejectedError("bad_shape", where)
        name = step["operator"]
        if not isinstance(name, str) or name not in effects:
            raise _RejectedError("unknown_operator", where)
        _require(step["ref"] == effects[name].operator.ref, "wrong_ref", where)
        if step["id"] != where:
            raise _RejectedError("bad_id", where)
        if effects[name].stage < stage:
            raise _RejectedError("against_transitions", where)
        stage = effects[name].stage
        groups[name].append(step)
    return groups


def _compare(
    group: list[dict[str, Any]], key: str, expected: Sequence[object], reason: str
) -> None:
    found = [step[key] for step in group]
    if found != expected:
        pairs = zip(group, found, expected, strict=True)
        raise _RejectedError(reason, next(step["id"] for step, one, other in pairs if one != other))


def _check_wants(listed: object, task: Task, sources: _Sources) -> None:
    if not isinstance(listed, list) or len(listed) != len(task.wants):
        raise _RejectedError("bad_shape", "wants")
    for number, (proved, want) in enumerate(zip(listed, task.wants, strict=True), 1):
        where = f"want {number}"
        if not isinstance(proved, dict) or proved.keys() != {"facts", "sources", "want"}:
            raise _RejectedError("bad_shape", where)
        facts, origins = proved["facts"], proved["sources"]
        _require(_is_want(proved["want"], want), "wrong_want", where)
        if (
            not isinstance(facts, list)
            or not isinstance(origins, list)
            or len(facts) != len(origins)
            or any(type(fact) is not str for fact in facts)
        ):
            raise _RejectedError("bad_shape", where)
        if isinstance(want, AtLeast):
            pattern = _Pattern(want.template)
            _require(len(facts) >= want.count and _is_ascending(facts), "want_not_proved", where)
            _require(
                all(pattern.match(fact) is not None for fact in facts), "want_not_proved", where
            )
        else:
            _require(facts == _targets(want, task), "want_not_proved", where)
        sources.take(facts, origins, where)


def _targets(want: Want, task: Task) -> list[str]:
    """The facts that a want asks for by name."""
    if isinstance(want, Exists):
        return [want.path]
    assert not isinstance(want, AtLeast)
    pattern = _Pattern(want.template)
    given = _Pattern(want.given).among(task.facts.sorted)
    return sorted({pattern.fill(values) for values in given})


def _check_prefixes(sources: _Sources) -> None:
    """No prefix in another, no fact of the world in a prefix, only paths of a world."""
    prefixes = set(sources.prefixes)
    _require(len(prefixes) == len(sources.prefixes), "prefix_taken", "steps")
    covered: dict[str, bool] = {"": False}

    def is_covered(folder: str) -> bool:
        known = covered.get(folder)
        if known is None:
            known = f"{folder}/" in prefixes or is_covered(folder.rpartition("/")[0])
            covered[folder] = known
        return known

    for prefix in sources.prefixes:
        _require(not is_covered(prefix[:-1].rpartition("/")[0]), "prefix_nested", prefix)
    for fact in sources.taken:
        _require(not is_covered(fact.rpartition("/")[0]), "overwritten", fact)
    _require(_are_of_a_world(sources.prefixes, sources.made), "bad_path", "steps")


def _check_no_plan(document: dict[object, object], task: Task) -> None:
    _require(document.keys() == _NO_PLAN, "bad_shape", "certificate")
    _check_question(document, task)
    effects = list(_effects(task).values())
    listed = document["reachable"]
    if not isinstance(listed, list) or len(listed) != len(effects):
        raise _RejectedError("bad_shape", "reachable")
    made = [_instances(one, of) for one, of in zip(listed, effects, strict=True)]
    reached = set(task.facts.paths)
    for stage in sorted({each.stage for each in effects}):
        here = [place for place, each in enumerate(effects) if each.stage == stage]
        for place in here:
            reached.update(made[place])
        ordered = sorted(reached)
        for place in here:
            _check_closed(effects[place], ordered, reached)
    _check_outside(document, task, reached)


def _instances(entry: object, effects: _Effects) -> list[str]:
    """What the listed instances of one operator make."""
    where = effects.operator.name
    if not isinstance(entry, dict) or entry.keys() != {"instances", "names", "operator"}:
        raise _RejectedError("bad_shape", where)
    _require(entry["operator"] == where and entry["names"] == effects.bound, "bad_shape", where)
    rows = entry["instances"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise _RejectedError("bad_shape", where)
    size = len(effects.bound)
    made: list[str] = []
    prefixes: list[str] = []
    for row in rows:
        values = dict(zip(effects.bound, row, strict=False))
        if len(row) != size or not _are_bindings(values, {*effects.bound}):
            raise _RejectedError("bad_bindings", where)
        prefixes.append(effects.prefix.fill(values))
        made += [pattern.fill(values) for pattern in effects.produces]
    _require(_is_ascending(rows), "not_ascending", where)
    _require(_are_of_a_world(prefixes, made), "bad_path", where)
    return made


def _check_closed(effects: _Effects, ordered: list[str], reached: set[str]) -> None:
    """That an operator makes nothing new of what is reached: join its requirements over it."""
    patterns = list(effects.requires.values())
    names: list[str] = []
    rows: set[tuple[str, ...]] = {()}
    for place, pattern in enumerate(patterns):
        later = {*effects.bound}.union(*(each.names for each in patterns[place + 1 :]))
        shared = [name for name in pattern.names if name in names]
        fresh = [name for name in pattern.names if name not in names and name in later]
        index: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        for values in pattern.among(ordered):
            key = tuple([values[name] for name in shared])
            index.setdefault(key, set()).add(tuple([values[name] for name in fresh]))
        kept = [place for place, name in enumerate(names) if name in later]
        by = [names.index(name) for name in shared]
        rows = {
            tuple([row[each] for each in kept]) + more
            for row in rows
            for more in index.get(tuple([row[each] for each in by]), ())
        }
        names = [names[each] for each in kept] + fresh
    for row in rows:
        values = dict(zip(names, row, strict=True))
        made = [pattern.fill(values) for pattern in effects.produces]
        if not reached.issuperset(made) and _are_of_a_world([effects.prefix.fill(values)], made):
            raise _RejectedError("not_closed", effects.operator.name)


def _check_outside(document: dict[object, object], task: Task, reached: set[str]) -> None:
    claimed = [want for want in task.wants if _is_want(document["want"], want)]
    _require(len(claimed) == 1, "wrong_want", "want")
    [want] = claimed
    missing = document["missing"]
    if isinstance(want, AtLeast):
        _require(missing is None, "bad_shape", "missing")
        found = _Pattern(want.template).among(sorted(reached))
        _require(len(found) < want.count, "want_reachable", "want")
    else:
        _require(type(missing) is str and missing in _targets(want, task), "wrong_want", "missing")
        _require(missing not in reached, "want_reachable", "missing")


def _is_want(value: object, want: Want) -> bool:
    if not isinstance(value, dict) or value != want.document():
        return False
    return not isinstance(want, AtLeast) or _is_count(value["at_least"], want.count)


def _is_count(value: object, expected: int) -> bool:
    """Equality that tells 1 from true and from 1.0."""
    return type(value) is int and value == expected


def _is_ascending[T: (str, list[str])](listed: list[T]) -> bool:
    return all(one < other for one, other in pairwise(listed))


def _are_bindings(value: object, names: set[str]) -> bool:
    if not isinstance(value, dict) or value.keys() != names:
        return False
    for each in value.values():  # noqa: SIM110 - all() of a generator takes twice the time
        if type(each) is not str or not each or "/" in each:
            return False
    return True


def _are_of_a_world(prefixes: list[str], facts: Collection[str]) -> bool:
    """Whether all are paths that a world can have, and prefixes that a step may have.

    They come from templates, which are under ``/artifacts/`` and canonical by themselves, so one
    look at all of them together shows for nearly all that no value spoils that.
    """
    text = " ".join([*prefixes, *facts])
    if (
        text.isascii()
        and text.isprintable()
        and "%" not in text
        and "/." not in text
        and max(map(len, facts), default=0) <= paths.SEGMENT_BYTES_MAX
        and not any(prefix.startswith(_RESERVED) for prefix in prefixes)
    ):
        return True
    try:
        return all(paths.canonical_prefix(each) == each for each in prefixes) and all(
            paths.canonical_path(each) == each for each in facts
        )
    except ContractError:
        return False
