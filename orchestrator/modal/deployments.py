"""What is asked of Modal to deploy: the app, its secrets, and to stop it.

Runs in the process of ``calls``. An app is one function, its image by digest, no source besides;
what is deployed says by its tags what it is.
"""

from __future__ import annotations

import modal
import modal.exception as sdk

from modal_app import entry
from orchestrator.modal import failures, tags
from orchestrator.modal.answers import CallError
from processors.protocol import remote, shapes
from processors.protocol.canonical import Json


async def perform(name: str, document: dict[str, Json], client: modal.Client) -> Json:
    """Perform one operation of the deploy step.

    Raises:
        CallError: What kept it from being done.
    """
    operations = {
        "deploy": _deploy,
        "has_secret": _has_secret,
        "put_secret": _put_secret,
        "stop": _stop,
    }
    environment = shapes.text(document, "environment")
    try:
        return await operations[name](document, environment, client)
    except sdk.ImageBuildError as error:
        raise CallError(
            "ERR_IMAGE_UNAVAILABLE", "remote_refused", f"Modal: {failures.said(error)}"
        ) from None
    except (sdk.AuthError, sdk.PermissionDeniedError, sdk.NotFoundError) as error:
        raise failures.of_lookup(error, f"{name} in environment {environment}") from None
    except (sdk.Error, OSError) as error:
        raise failures.of_call(error, f"{name} in environment {environment}") from None


async def _deploy(document: dict[str, Json], environment: str, client: modal.Client) -> Json:
    """Deploy an app; the answer is its version, as Modal counts."""
    name, digest, root = (shapes.text(document, key) for key in ("app", "digest", "content_root"))
    app = modal.App(
        name,
        tags={tags.DIGEST: tags.short(digest), tags.CONTENT_ROOT: tags.short(root)},
        include_source=False,
    )
    app.function(
        # Modal starts a container with the image's entrypoint before its own words.
        image=modal.Image.from_registry(shapes.text(document, "image")).entrypoint([]),
        secrets=await _secrets(document, environment, client),
        volumes={remote.VOLUME_FOLDER: _volume(environment, client)},
        memory=shapes.count(document, "memory_mb"),
        retries=0,  # a processor that has begun is never begun again unasked
        timeout=shapes.count(document, "timeout_s"),
        startup_timeout=shapes.count(document, "startup_timeout_s"),
        name=remote.FUNCTION,
        include_source=False,
    )(entry.run)
    await app.deploy.aio(
        name=name, environment_name=environment, tag=tags.short(digest), client=client
    )
    known = await app.info.aio(refresh=True)
    return {"version": known.lifecycle.version}


async def _secrets(
    document: dict[str, Json], environment: str, client: modal.Client
) -> list[modal.Secret]:
    """The processor's secret, if it has one, and it must hold every name."""
    return [] if document["secret"] is None else [await _secret(document, environment, client)]


async def _has_secret(document: dict[str, Json], environment: str, client: modal.Client) -> Json:
    """See whether a secret holds every name."""
    await _secret(document, environment, client)
    return True


async def _secret(
    document: dict[str, Json], environment: str, client: modal.Client
) -> modal.Secret:
    keys = document["keys"]
    assert isinstance(keys, list)
    secret = modal.Secret.from_name(
        shapes.text(document, "secret"),
        environment_name=environment,
        required_keys=[str(key) for key in keys],
        client=client,
    )
    try:
        await secret.hydrate.aio(client)
    except (sdk.NotFoundError, sdk.InvalidError) as error:
        raise CallError(
            "ERR_MISSING_SECRET",
            "not_synced",
            f"environment {environment} has not all of {', '.join(map(str, keys))}"
            f" ({type(error).__name__}); run //:sync_modal_secrets",
        ) from None
    return secret


def _volume(environment: str, client: modal.Client) -> modal.Volume:
    return modal.Volume.from_name(
        remote.VOLUME,
        environment_name=environment,
        create_if_missing=True,
        version=2,
        client=client,
    )


async def _stop(document: dict[str, Json], environment: str, client: modal.Client) -> Json:
    """Stop an app, with what runs of it."""
    app = await modal.App.lookup.aio(
        shapes.text(document, "app"), client=client, environment_name=environment
    )
    await app.stop.aio(client=client)
    return {"app_id": app.app_id}


async def _put_secret(document: dict[str, Json], environment: str, client: modal.Client) -> Json:
    """Create a secret, or give it new values; the answer holds neither."""
    name = shapes.text(document, "secret")
    values = {key: str(value) for key, value in shapes.members(document, "values").items()}
    try:
        await modal.Secret.objects.create.aio(
            name, values, environment_name=environment, client=client
        )
    except sdk.AlreadyExistsError:
        secret = modal.Secret.from_name(name, environment_name=environment, client=client)
        await secret.update.aio(values)
        return {"created": False}
    return {"created": True}
