"""Functions: what a deployment says about one, and the variants that ``with_options`` makes of it.

A definition takes effect when its app is published.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.definitions import Bindings, Definition, data_of, varied
from tools.modal_local.session import Caller, Table, new_id

INLINE_BYTES = 1 << 40  # What a container sends is always inline: it has no network.


@dataclass
class Function:
    """One function of an app, or a variant of one.

    Attributes:
        current: What is published; None before the first time, and after the app was stopped.
        drafts: Definitions by their id, published or not.
        base: The function that this is a variant of, or empty.
        options: How the variant differs.
    """

    function_id: str
    app_id: str
    environment: str
    name: str
    function_type: int
    current: Definition | None = None
    base: str = ""
    options: api_pb2.FunctionOptions | None = None


class Functions:
    """All functions."""

    def __init__(self, bindings: Bindings) -> None:
        # Where calls go if not to the control plane; set once the port is known.
        self.input_plane_url = ""
        self.definitions: dict[str, Definition] = {}
        self._bindings = bindings
        self._all: dict[str, Function] = {}
        self._variants: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        return len(self._all)

    def table(self) -> Table:
        """What is served of them; the lookup by name is the apps'."""
        return {
            "FunctionBindParams": self._bind,
            "FunctionCreate": self._create,
            "FunctionGetById": self._by_id,
        }

    def get(self, function_id: str) -> Function:
        """One of them."""
        if function_id not in self._all:
            raise failures.not_found(f"Function {function_id} not found")
        return self._all[function_id]

    def definition(self, function_id: str) -> Definition:
        """What runs when a function is called now."""
        found = self.get(function_id)
        if found.base:
            assert found.options is not None
            return varied(self.definition(found.base), found.options, found.function_id)
        if found.current is None:
            raise failures.not_found(f"Function {found.name!r} is not deployed")
        return found.current

    def precreate(
        self, request: api_pb2.FunctionPrecreateRequest, environment: str
    ) -> api_pb2.FunctionPrecreateResponse:
        """Give a function its id, before it is known what it does."""
        if request.HasField("webhook_config") or request.method_definitions:
            raise failures.unimplemented("a web endpoint or a class")
        found = self._all.get(request.existing_function_id)
        if found is None or found.app_id != request.app_id:
            found = Function(
                new_id("fu"),
                request.app_id,
                environment,
                request.function_name,
                request.function_type,
            )
            self._all[found.function_id] = found
        return api_pb2.FunctionPrecreateResponse(
            function_id=found.function_id,
            handle_metadata=api_pb2.FunctionHandleMetadata(
                function_name=request.function_name,
                function_type=request.function_type,
                function_schema=request.function_schema,
                supported_input_formats=request.supported_input_formats,
                supported_output_formats=request.supported_output_formats,
                app_id=request.app_id,
            ),
        )

    def metadata(self, function_id: str, definition: Definition) -> api_pb2.FunctionHandleMetadata:
        """What a client's handle of a function holds."""
        function = definition.function
        found = api_pb2.FunctionHandleMetadata(
            function_name=function.function_name,
            function_type=function.function_type,
            function_schema=function.function_schema,
            supported_input_formats=function.supported_input_formats,
            supported_output_formats=function.supported_output_formats,
            definition_id=definition.definition_id,
            app_id=self.get(function_id).app_id,
        )
        if self.input_plane_url:
            found.input_plane_url = self.input_plane_url
            found.input_plane_region = "loopback"
        return found

    def layout_for_a_container(self, function_id: str) -> api_pb2.AppLayout:
        """What a container is told about its app: its function, and what that depends on."""
        definition = self.definition(function_id)
        inside = self.metadata(function_id, definition)
        inside.ClearField("input_plane_url")
        inside.max_object_size_bytes = INLINE_BYTES
        inside.max_async_object_size_bytes = INLINE_BYTES
        objects = [api_pb2.Object(object_id=function_id, function_handle_metadata=inside)]
        for each in definition.function.object_dependencies:
            entry = api_pb2.Object(object_id=each.object_id)
            if each.object_id.startswith("vo-"):
                entry.volume_metadata.CopyFrom(
                    self._bindings.volumes.get(each.object_id).metadata()
                )
            elif each.object_id.startswith("mo-"):
                entry.mount_handle_metadata.SetInParent()
            objects.append(entry)
        names = {definition.function.function_name: function_id}
        return api_pb2.AppLayout(objects=objects, function_ids=names)

    async def _create(
        self, request: api_pb2.FunctionCreateRequest, _: Caller
    ) -> api_pb2.FunctionCreateResponse:
        if request.HasField("function_data"):
            raise failures.unimplemented("a choice of GPUs")
        function = request.function
        self._bindings.check(function)
        found = self._all.get(request.existing_function_id)
        if found is None or found.app_id != request.app_id:
            raise failures.not_found(f"Function {request.existing_function_id} was not made first")
        summary = hashlib.sha256(function.SerializeToString(deterministic=True)).hexdigest()
        # The same words have the same id, so that a deployment without a change can be told.
        definition = Definition(f"de-{summary[:22]}", function)
        self.definitions[definition.definition_id] = definition
        return api_pb2.FunctionCreateResponse(
            function_id=found.function_id,
            function=function,
            function_data=data_of(function),
            handle_metadata=self.metadata(found.function_id, definition),
        )

    async def _bind(
        self, request: api_pb2.FunctionBindParamsRequest, _: Caller
    ) -> api_pb2.FunctionBindParamsResponse:
        base = self.get(request.function_id)
        options = request.function_options
        if request.serialized_params or base.base:
            raise failures.unimplemented("a class, or a variant of a variant")
        self._bindings.check_options(options)
        key = (base.function_id, options.SerializeToString(deterministic=True).hex())
        if key not in self._variants:
            made = Function(
                new_id("fu"), base.app_id, base.environment, base.name, base.function_type
            )
            made.base, made.options = base.function_id, options
            self._all[made.function_id] = made
            self._variants[key] = made.function_id
        bound = self._variants[key]
        return api_pb2.FunctionBindParamsResponse(
            bound_function_id=bound, handle_metadata=self.metadata(bound, self.definition(bound))
        )

    async def _by_id(
        self, request: api_pb2.FunctionGetByIdRequest, _: Caller
    ) -> api_pb2.FunctionGetByIdResponse:
        definition = self.definition(request.function_id)
        return api_pb2.FunctionGetByIdResponse(
            function=data_of(definition.function),
            handle_metadata=self.metadata(request.function_id, definition),
        )
