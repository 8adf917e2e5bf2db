"""A gRPC server that takes thousands of requests on one connection.

Each caller that waits for an output holds a stream, and the HTTP/2 library allows a hundred by
default: with more callers than that, nobody could send anything any more. grpclib has no setting
for it.
"""

from __future__ import annotations

from asyncio.transports import BaseTransport

from grpclib.protocol import H2Protocol
from grpclib.server import Server
from h2.settings import SettingCodes

STREAMS_MAX = 10_000


class _WideProtocol(H2Protocol):
    def connection_made(self, transport: BaseTransport) -> None:
        """Tell the client at once how much it may ask for."""
        super().connection_made(transport)
        h2 = self.connection._connection  # noqa: SLF001 - there is no other way to it
        h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_MAX})
        self.connection.flush()


class WideServer(Server):
    """grpclib's server, but for the number of requests at once."""

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        return _WideProtocol(made.handler, made.config, made.h2_config)
