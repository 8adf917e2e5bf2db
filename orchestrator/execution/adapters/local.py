"""``adapter=local``: the processor's entrypoint as a subprocess, from source.

Its environment is scrubbed, and it is never a container.
"""

from __future__ import annotations

import sys

from orchestrator.execution import relay
from orchestrator.execution.trail import Trail
from orchestrator.images.processors import Processor
from orchestrator.world.staging import Staging
from processors.protocol import spawn
from processors.protocol.envelope import ENVELOPE_BYTES_MAX
from processors.protocol.errors import adapter_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def invoke(
    processor: Processor,
    payload: bytes,
    *,
    staging: Staging,
    mark: str,
    secrets: Mapping[str, str],
    timeout_s: int,
    registry_file: str,
    trail: Trail,
    stop: spawn.Stop,
) -> spawn.Ended:
    """Run a processor to its end.

    Args:
        processor: What to start.
        payload: The bytes for its stdin.
        staging: Where it works.
        mark: What its processes carry.
        secrets: Names and values for its environment.
        timeout_s: Wall-clock limit in seconds.
        registry_file: The registry it reads.
        trail: Takes its breadcrumbs.
        stop: Ends it early.

    Raises:
        ContractError: ``ERR_ADAPTER_INVOCATION`` / ``spawn_failed``.
    """
    places = {"python": sys.executable, "tree": processor.tree}
    argv = [word.format_map(places) for word in processor.argv]
    env = {
        **spawn.PROCESSOR_ENV,
        "HOME": staging.tmp,
        "TMPDIR": staging.tmp,
        **secrets,
    }
    lines = relay.Relay(trail)
    try:
        ended = spawn.run(
            [*argv, "--root", staging.tree, "--registry", registry_file],
            attempt=mark,
            env=env,
            secret_values=list(secrets.values()),
            stdin=payload,
            timeout_s=timeout_s,
            memory_bytes_max=processor.limit("memory_mb") * 1_048_576,
            stdout_bytes_max=ENVELOPE_BYTES_MAX,
            on_stderr_line=lines.line,
            stop=stop,
        )
    except OSError as error:
        raise adapter_error("spawn_failed", f"{argv[0]}: {error.strerror}") from None
    finally:
        lines.close()
    return ended
