"""What an execution says it brings about, and whether it did. Pure.

A registry's ``produces`` lists world paths with wildcards. Each has one ``/outputs/`` segment; what
stands before it is the write prefix, the same for all of a processor's products, since an execution
has one. The write prefix that an execution is given settles what its wildcards stand for. One that
is no instance of the declared prefix, as in a call by hand, settles nothing: then a product is
known by what follows the write prefix alone.

Every declared product must be there. What is there besides is an output, checked and attested like
every other, but no effect: nothing that was planned can rest on it.
"""

from __future__ import annotations

from functools import lru_cache

from orchestrator.goals.templates import Bindings, Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_OUTPUTS = "/outputs/"
_ROOT = "/artifacts/"  # stands for the write prefix, whose own braces are no wildcards


def prefix_of(product: str) -> str:
    """The write prefix of a product, wildcards and all."""
    return product[: product.index(_OUTPUTS) + 1]


def bindings(product: str, write_prefix: str) -> Bindings | None:
    """What a product's wildcards stand for under a write prefix; None if that is no instance."""
    return _template(prefix_of(product)[:-1]).match(write_prefix[:-1])


def declared(products: Sequence[str], write_prefix: str) -> list[str]:
    """Where an execution's products are to be; a wildcard that is not settled stays."""
    found = []
    for product in products:
        known = bindings(product, write_prefix) or {}
        rest = _rest(product)
        every = {name: known.get(name, f"{{{name}}}") for name in rest.names}
        found.append(write_prefix + rest.substitute(every).removeprefix(_ROOT))
    return found


def missing(products: Sequence[str], write_prefix: str, made: Iterable[str]) -> str | None:
    """Where the first declared product was to be that no output is, or None if all are there.

    Args:
        products: The registry's ``produces``.
        write_prefix: The execution's write prefix.
        made: The paths of its outputs, all of them under the write prefix.
    """
    below = [_ROOT + path.removeprefix(write_prefix) for path in made]
    for product, place in zip(products, declared(products, write_prefix), strict=True):
        known = bindings(product, write_prefix) or {}
        rest = _rest(product)
        if not any(_agrees(rest.match(path), known) for path in below):
            return place
    return None


def _rest(product: str) -> Template:
    """A product as it is called below its write prefix."""
    return _template(_ROOT + product.removeprefix(prefix_of(product)))


@lru_cache(maxsize=256)
def _template(text: str) -> Template:
    """A template of a registry, of which there are few, each for many executions."""
    return Template(text)


def _agrees(found: Bindings | None, known: Bindings) -> bool:
    return found is not None and all(known.get(name, text) == text for name, text in found.items())
