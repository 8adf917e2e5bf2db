"""Links within the page, and the small words that every part of it uses."""

from __future__ import annotations

from orchestrator.report.markup import Html, join, tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.report.gather import Gathered


class Links:
    """Where what is told of stands in the page; what is not shown gets words instead of a link."""

    def __init__(self, found: Gathered) -> None:
        self._anchors = {item.artifact.path: f"a-{at}" for at, item in enumerate(found.items)}
        self._refs = {run.row.execution_id: run.row.ref for run in found.runs}
        self._makers = found.makers

    def anchor(self, path: str) -> str | None:
        """The id of an artifact's card."""
        return self._anchors.get(path)

    def artifact(self, path: str) -> Html:
        """An artifact, by its path."""
        anchor = self.anchor(path)
        words = path_words(path)
        return words if anchor is None else tag("a", words, href=f"#{anchor}")

    def maker(self, seq: int) -> Html:
        """What put an artifact there: an execution, with its receipt, or somebody from outside."""
        execution_id = self._makers.get(seq)
        if execution_id is None:
            return join((f"brought in by event {seq}",))
        ref = self._refs.get(execution_id)
        if ref is None:
            return join(("made by ", tag("code", execution_id)))
        made = tag("a", ref, href=f"#x-{execution_id}")
        return join(("made by ", made, ", ", tag("a", "receipt", href=f"#r-{execution_id}")))


def badge(words: str, tone: str) -> Html:
    """A word that stands out; the tone is never all that tells."""
    return tag("span", words, class_=f"tag {tone}")


def path_words(path: str) -> Html:
    """A path, as it is."""
    return tag("span", path, class_="path")


def size_words(size_bytes: int) -> str:
    """A size, exactly where it is small."""
    if size_bytes < 10_000:
        return f"{size_bytes} bytes"
    amount = float(size_bytes)
    for unit in ("kB", "MB", "GB"):
        amount /= 1_000
        if amount < 1_000:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1_000:.1f} TB"
