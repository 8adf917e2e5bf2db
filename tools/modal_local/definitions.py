"""What one deployment says about one function, and what of that this plane can do.

What it cannot do is refused by the name of the field that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.images import Images
from tools.modal_local.mounts import Mounts
from tools.modal_local.secrets import Secrets
from tools.modal_local.volumes import Volumes

TIMEOUT_S = 300  # What the service takes if nothing was said.
# What a function may say. Those without effect here are the ones that name hardware and placement.
_TAKEN = frozenset(
    {
        "_experimental_concurrent_cancellations",
        "app_name",
        "autoscaler_settings",
        "concurrency_limit",
        "definition_type",
        "function_name",
        "function_schema",
        "function_serialized",
        "function_type",
        "image_id",
        "implementation_name",
        "max_inputs",
        "method_definitions_set",
        "module_name",
        "mount_client_dependencies",
        "mount_ids",
        "object_dependencies",
        "resources",
        "retry_policy",
        "runtime",
        "secret_ids",
        "single_use_containers",
        "startup_timeout_secs",
        "supported_input_formats",
        "supported_output_formats",
        "task_idle_timeout_secs",
        "timeout_secs",
        "volume_mounts",
    }
)
_OPTIONS = frozenset(
    {
        "concurrency_limit",
        "replace_secret_ids",
        "replace_volume_mounts",
        "retry_policy",
        "secret_ids",
        "task_idle_timeout_secs",
        "timeout_secs",
        "volume_mounts",
    }
)


@dataclass(frozen=True)
class Definition:
    """What one deployment said about one function."""

    definition_id: str
    function: api_pb2.Function

    @property
    def timeout_s(self) -> int:
        """How long an input may take."""
        return self.function.timeout_secs or TIMEOUT_S

    @property
    def start_s(self) -> int:
        """How long a container may take to ask for its first input."""
        return self.function.startup_timeout_secs or self.timeout_s


class Bindings:
    """What a function can be tied to, and whether it all exists."""

    def __init__(self, images: Images, mounts: Mounts, secrets: Secrets, volumes: Volumes) -> None:
        self.volumes = volumes
        self._images = images
        self._mounts = mounts
        self._secrets = secrets

    def check(self, function: api_pb2.Function) -> None:
        """Refuse a function that this plane cannot run as it was meant."""
        for name, value in failures.said(function):
            if name not in _TAKEN:
                raise failures.unimplemented(f"a function with {name}={value!r:.40}")
        if function.function_type != api_pb2.Function.FUNCTION_TYPE_FUNCTION:
            raise failures.unimplemented("a generator")
        if function.resources.HasField("gpu_config") and function.resources.gpu_config.gpu_type:
            raise failures.unimplemented("a GPU")
        settings = function.autoscaler_settings
        if settings.min_containers or settings.buffer_containers:
            raise failures.unimplemented("a container that waits before it is needed")
        self._images.get(function.image_id)
        for mount_id in function.mount_ids:
            self._mounts.get(mount_id)
        self._check_bindings(function.secret_ids, function.volume_mounts)

    def check_options(self, options: api_pb2.FunctionOptions) -> None:
        """Refuse what a variant cannot be."""
        for name, value in failures.said(options):
            if name not in _OPTIONS:
                raise failures.unimplemented(f"the option {name}={value!r:.40}")
        self._check_bindings(options.secret_ids, options.volume_mounts)

    def _check_bindings(
        self, secret_ids: Iterable[str], mounts: Iterable[api_pb2.VolumeMount]
    ) -> None:
        for secret_id in secret_ids:
            self._secrets.get(secret_id)
        for mount in mounts:
            self.volumes.get(mount.volume_id)
            if mount.sub_path:
                raise failures.unimplemented("a part of a volume")


def data_of(function: api_pb2.Function) -> api_pb2.FunctionData:
    """The form in which a lookup answers; the SDK wants one ranked function or more."""
    return api_pb2.FunctionData(
        module_name=function.module_name,
        function_name=function.function_name,
        function_type=function.function_type,
        timeout_secs=function.timeout_secs,
        startup_timeout_secs=function.startup_timeout_secs,
        supported_input_formats=function.supported_input_formats,
        supported_output_formats=function.supported_output_formats,
        autoscaler_settings=function.autoscaler_settings,
        ranked_functions=[api_pb2.FunctionData.RankedFunction(rank=0, function=function)],
    )


def varied(base: Definition, options: api_pb2.FunctionOptions, function_id: str) -> Definition:
    """A definition with a variant's options."""
    function = api_pb2.Function()
    function.CopyFrom(base.function)
    for name in ("timeout_secs", "concurrency_limit", "task_idle_timeout_secs"):
        if options.HasField(name):
            setattr(function, name, getattr(options, name))
    if options.HasField("timeout_secs"):
        function.startup_timeout_secs = max(base.start_s, options.timeout_secs)
    if options.HasField("retry_policy"):
        function.retry_policy.CopyFrom(options.retry_policy)
    if options.replace_secret_ids:
        del function.secret_ids[:]
    function.secret_ids.extend(options.secret_ids)
    if options.replace_volume_mounts:
        del function.volume_mounts[:]
    function.volume_mounts.extend(options.volume_mounts)
    return Definition(f"{base.definition_id}+{function_id}", function)
