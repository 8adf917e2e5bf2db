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
from itertools import chain, compress, pairwise, repeat
from operator import itemgetter

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any

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
    """A template: the text around its wildcards, and where these stand."""

    __slots__ = ("_form", "_literals", "_places", "_size", "_wild", "lead", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = text.replace("}", "{").split("{")
        self._literals, self._places = pieces[::2], pieces[1::2]
        self.lead = self._literals[0]
        self.names = list(dict.fromkeys(self._places))
        self._form = "%s".join(literal.replace("%", "%%") for literal in self._literals)
        self._wild: list[tuple[str, int, int, int | None]] = []
        segments = text.split("/")
        self._size = len(segments)
        for place, segment in enumerate(segments):
            before, opened, rest = segment.partition("{")
            name, _, after = rest.partition("}")
            if opened:
                self._wild.append((name, place, len(before), -len(after) or None))

    def fill(self, values: Mapping[str, str]) -> str:
        return self._form % tuple([values[name] for name in self._places])

    def filled(self, values: Mapping[str, Sequence[str]], count: int) -> list[str]:
        """What rows of values make, which are given column by column."""
        paths = [self.lead] * count
        for name, text in zip(self._places, self._literals[1:], strict=True):
            paths = [path + value + text for path, value in zip(paths, values[name], strict=True)]
        return paths

    def match(self, path: str) -> dict[str, str] | None:
        segments = path.split("/")
        if len(segments) != self._size:
            return None
        values = {name: segments[place][start:end] for name, place, start, end in self._wild}
        return values if all(values.values()) and self.fill(values) == path else None

    def among(self, listed: list[str]) -> list[dict[str, str]]:
        """The matches in a sorted list."""
        first = bisect_left(listed, self.lead)
        beyond = bisect_left(listed, 1, first, key=lambda path: not path.startswith(self.lead))
        return [values for path in listed[first:beyond] if (values := self.match(path)) is not None]


class _Effects:
    """An operator's templates, and the steps that claim to be of it."""

    __slots__ = (
        *("bound", "ids", "names", "operator", "prefix"),
        *("produces", "requires", "stage", "steps"),
    )

    def __init__(self, operator: Operator, stage: int) -> None:
        self.operator = operator
        self.stage = stage
        self.requires = {name: _Pattern(template) for name, template in operator.requires}
        self.produces = [_Pattern(template) for template in operator.produces]
        self.prefix = _Pattern(operator.produces[0].split(f"/{OUTPUTS}/")[0] + "/")
        self.bound = self.prefix.names
        self.names = {*self.bound}.union(*(each.names for each in self.requires.values()))
        self.ids: list[str] = []  # which its steps should have
        self.steps: list[object] = []


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
    if idle := [id_ for id_ in sources.ids if id_ not in sources.used]:
        raise _RejectedError("unjustified_step", idle[0])
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
    """What the steps of a plan make and take, looked at column by column."""

    __slots__ = ("_takes", "ids", "made", "parts", "prefixes", "taken", "totals", "used")

    def __init__(self, task: Task, steps: list[object]) -> None:
        self.ids = [f"s{number}" for number in range(1, len(steps) + 1)]
        self.made: dict[str, str] = {}  # each fact's step
        self.used: set[str] = set()
        self.taken: list[str] = []  # facts of the world
        self.prefixes: list[str] = []
        self.parts: list[str] = []  # what the paths of steps are put together from
        self.totals = {"cost_micro_usd": 0, "span_ms": 0, "time_ms": 0}
        self._takes: list[tuple[list[str], list[object], list[str]]] = []
        count = 0
        for effects in _grouped(steps, self.ids, task):
            self._check_instances(effects)
            count += len(effects.produces) * len(effects.ids)
        _require(len(self.made) == count, "made_twice", "steps")
        self.totals["span_ms"] = self._span(steps)
        for facts, sources, where in self._takes:
            self.take(facts, sources, where)

    def _check_instances(self, effects: _Effects) -> None:
        """Compare all steps of one operator with what it says; note what they make."""
        ids, operator = effects.ids, effects.operator
        step = _columns(effects.steps, _STEP, "bad_shape", ids)
        _compare(step["id"], ids, "bad_id", ids)
        _compare(step["ref"], [operator.ref] * len(ids), "wrong_ref", ids)
        _compare(step["cost_micro_usd"], [operator.cost_micro_usd] * len(ids), "wrong_cost", ids)
        _compare(step["time_ms"], [operator.time_ms] * len(ids), "wrong_time", ids)
        values = _columns(step["bindings"], effects.names, "bad_bindings", ids)
        for column in values.values():
            if not _are_values(column):
                bad = [not _are_values([value]) for value in column]
                raise _RejectedError("bad_bindings", next(compress(ids, bad)))
        prefixes = effects.prefix.filled(values, len(ids))
        _compare(step["write_prefix"], prefixes, "wrong_prefix", ids)
        inputs = _columns(step["inputs"], effects.requires, "wrong_inputs", ids)
        sources = _columns(step["sources"], effects.requires, "bad_shape", ids)
        for name, pattern in effects.requires.items():
            _compare(inputs[name], pattern.filled(values, len(ids)), "wrong_inputs", ids)
            self._takes.append((inputs[name], sources[name], ids))
        places = range(len(effects.produces))
        products = _columns(step["produces"], places, "wrong_products", ids, list)
        for place, pattern in enumerate(effects.produces):
            _compare(products[place], pattern.filled(values, len(ids)), "wrong_products", ids)
            self.made.update(zip(products[place], ids, strict=True))
        self.prefixes += prefixes
        self.parts += [pattern.text for pattern in effects.produces]
        self.parts += chain.from_iterable(values.values())
        self.totals["cost_micro_usd"] += operator.cost_micro_usd * len(ids)
        self.totals["time_ms"] += operator.time_ms * len(ids)

    def _span(self, steps: list[Any]) -> int:
        """When the last step ends, if what each takes is from steps before it."""
        ends: dict[object, int] = {}
        for id_, step in zip(self.ids, steps, strict=True):
            start = 0
            try:
                for source in step["sources"].values():
                    if source != WORLD and ends[source] > start:
                        start = ends[source]
            except (KeyError, TypeError):
                raise _RejectedError("not_made_before", id_) from None
            ends[id_] = start + step["time_ms"]
        return max(ends.values(), default=0)

    def take(self, facts: Iterable[str], sources: Sequence[Any], where: Iterable[str]) -> None:
        """Check that facts come from the steps that make them, or from the world."""
        made, taken = self.made, self.taken
        for fact, source, at in zip(facts, sources, where, strict=False):
            if source == WORLD:
                taken.append(fact)
            elif made.get(fact, WORLD) != source:
                raise _RejectedError("not_made_before", at)
        self.used.update(sources)


def _grouped(steps: list[Any], ids: list[str], task: Task) -> list[_Effects]:
    """The operators that steps claim to be of, each with its steps, if they follow transitions."""
    known = {each.name: _Effects(each, task.stage(each)) for each in task.operators}
    stage = 0
    for id_, step in zip(ids, steps, strict=True):
        try:
            effects = known[step["operator"]]
        except (KeyError, TypeError):
            named = isinstance(step, dict) and "operator" in step
            reason = "unknown_operator" if named else "bad_shape"
            raise _RejectedError(reason, id_) from None
        if effects.stage < stage:
            raise _RejectedError("against_transitions", id_)
        stage = effects.stage
        effects.ids.append(id_)
        effects.steps.append(step)
    return [effects for effects in known.values() if effects.ids]


def _columns(
    listed: list[Any], keys: Collection[Any], reason: str, ids: Iterable[str], kind: type = dict
) -> dict[Any, list[Any]]:
    """What objects hold under these keys, which are all that they have, key by key."""
    if (columns := _read(listed, keys, kind)) is None:
        bad = [_read([each], keys, kind) is None for each in listed]
        raise _RejectedError(reason, next(compress(ids, bad)))
    return columns


def _read(listed: list[Any], keys: Collection[Any], kind: type) -> dict[Any, list[Any]] | None:
    if {*map(type, listed)} <= {kind} and {*map(len, listed)} <= {len(keys)}:
        try:
            return {key: list(map(itemgetter(key), listed)) for key in keys}
        except KeyError:
            pass
    return None


def _compare(found: list[Any], expected: list[Any], reason: str, ids: Iterable[str]) -> None:
    """Compare two columns of one type each, telling 1 from true and from 1.0."""
    if found != expected or {*map(type, found)} != {*map(type, expected[:1])}:
        pairs = zip(found, expected, strict=True)
        bad = [one != other or type(one) is not type(other) for one, other in pairs]
        raise _RejectedError(reason, next(compress(ids, bad)))


def _check_wants(listed: object, task: Task, sources: _Sources) -> None:
    if not isinstance(listed, list) or len(listed) != len(task.wants):
        raise _RejectedError("bad_shape", "wants")
    for number, (proved, want) in enumerate(zip(listed, task.wants, strict=True), 1):
        where = f"want {number}"
        if not isinstance(proved, dict) or proved.keys() != {"facts", "sources", "want"}:
            raise _RejectedError("bad_shape", where)
        facts, origins = proved["facts"], proved["sources"]
        _require(_is_want(proved["want"], want), "wrong_want", where)
        if {type(facts), type(origins)} != {list} or len(facts) != len(origins):
            raise _RejectedError("bad_shape", where)
        _require({*map(type, facts)} <= {str}, "bad_shape", where)
        if isinstance(want, AtLeast):
            _require(len(facts) >= want.count and _is_ascending(facts), "want_not_proved", where)
            found = _Pattern(want.template).among(facts)
            _require(len(found) == len(facts), "want_not_proved", where)
        else:
            _require(facts == _targets(want, task), "want_not_proved", where)
        sources.take(facts, origins, repeat(where))


def _targets(want: Want, task: Task) -> list[str]:
    """The facts that a want asks for by name."""
    if isinstance(want, Exists):
        return [want.path]
    assert not isinstance(want, AtLeast)
    given = _Pattern(want.given).among(task.facts.sorted)
    pattern = _Pattern(want.template)
    values = {name: [each[name] for each in given] for name in pattern.names}
    return sorted({*pattern.filled(values, len(given))})


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
    of_a_world = _are_of_a_world(sources.prefixes, sources.made, sources.parts)
    _require(of_a_world, "bad_path", "steps")


def _check_no_plan(document: dict[object, object], task: Task) -> None:
    _require(document.keys() == _NO_PLAN, "bad_shape", "certificate")
    _check_question(document, task)
    effects = [_Effects(each, task.stage(each)) for each in task.operators]
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
    places = range(len(effects.bound))
    columns = _columns(rows, places, "bad_bindings", repeat(where), list)
    values = dict(zip(effects.bound, columns.values(), strict=True))
    _require(all(map(_are_values, values.values())), "bad_bindings", where)
    _require(_is_ascending(rows), "not_ascending", where)
    filled = [pattern.filled(values, len(rows)) for pattern in effects.produces]
    prefixes, made = effects.prefix.filled(values, len(rows)), list(chain.from_iterable(filled))
    _require(_are_of_a_world(prefixes, made, made), "bad_path", where)
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
        prefix = effects.prefix.fill(values)
        if not reached.issuperset(made) and _are_of_a_world([prefix], made, made):
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


def _are_values(column: list[Any]) -> bool:
    """Whether wildcards may stand for these: text within one segment."""
    return {*map(type, column)} <= {str} and all(column) and "/" not in "".join(column)


def _are_of_a_world(prefixes: list[str], facts: Collection[str], parts: list[str]) -> bool:
    """Whether all are paths that a world can have, and prefixes that a step may have.

    They come from templates, which are under ``/artifacts/`` and canonical by themselves, so one
    look at all that they are put together from shows for nearly all that no value spoils that.
    """
    text = "/".join(["", *parts])
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
