"""The function that is deployed. Modal imports this module in the container, by its name.

Nothing of Modal is imported before the first call, and nothing but the volume is used of it.
"""

from __future__ import annotations

import os
from functools import cache

from modal_app.run import App, Edges
from processors.protocol import content, remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modal import Volume


def run(request: bytes) -> bytes:
    """Run the image's processor on one request; see ``processors.protocol.remote``."""
    return _app().run(request)


@cache
def _app() -> App:
    return App(
        Edges(
            folder=content.FOLDER,
            python=content.PYTHON,
            volume=remote.VOLUME_FOLDER,
            scratch="/tmp",  # noqa: S108 - a container's own
            environ=os.environ,
            reload=_reload,
            commit=_commit,
        )
    )


@cache
def _volume() -> Volume:
    import modal  # the container's own; nothing else of this app needs it

    return modal.Volume.from_name(remote.VOLUME)


def _reload() -> None:
    _volume().reload()


def _commit() -> None:
    _volume().commit()
