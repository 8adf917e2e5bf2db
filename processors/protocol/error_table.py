"""The table of errors: every (code, reason), when it is answered, whether a retry can help.

Code, documentation (docs/reference/errors.md) and tests all read ``ERRORS``. A row is owned by the
module that raises it; nothing outside the table can be answered. The rows say who must act: the
caller (``ERR_INPUTS``, ``ERR_CI_SAFETY``), the operator (images, Modal, secrets) or the author of
the processor (``ERR_ADAPTER_INVOCATION``).
"""

from __future__ import annotations

CODES = (
    "ERR_IMAGE_UNPINNED",
    "ERR_IMAGE_UNAVAILABLE",
    "ERR_REGISTRY_MISMATCH",
    "ERR_MODAL_LOOKUP",
    "ERR_MODAL_INVOCATION",
    "ERR_MODAL_TIMEOUT",
    "ERR_ADAPTER_INVOCATION",
    "ERR_INPUTS",
    "ERR_MISSING_SECRET",
    "ERR_CI_SAFETY",
)

# What a processor may answer by itself; anything else from it is an invalid envelope.
PROCESSOR_CODES = ("ERR_INPUTS", "ERR_MISSING_SECRET", "ERR_ADAPTER_INVOCATION")

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_INPUTS = 2
EXIT_TIME_LIMIT = 124  # as timeout(1)
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_TERMINATED = 143  # 128 + SIGTERM


class Row:
    """One (code, reason): when it is answered, whether a retry can help, what to do."""

    __slots__ = ("action", "code", "exit_code", "reason", "retry", "trigger")

    def __init__(
        self, code: str, reason: str, retry: str, exit_code: int, trigger: str, action: str
    ) -> None:
        self.code = code
        self.reason = reason
        self.retry = retry  # "never", "once" or "bounded"
        self.exit_code = exit_code
        self.trigger = trigger
        self.action = action


def _inputs(reason: str, trigger: str, action: str) -> Row:
    return Row("ERR_INPUTS", reason, "never", EXIT_INPUTS, trigger, action)


def _safety(reason: str, trigger: str, action: str) -> Row:
    return Row("ERR_CI_SAFETY", reason, "never", EXIT_ERROR, trigger, action)


def _image(code: str, reason: str, trigger: str, action: str) -> Row:
    return Row(code, reason, "never", EXIT_ERROR, trigger, action)


def _unavailable(reason: str, trigger: str, action: str) -> Row:
    return _image("ERR_IMAGE_UNAVAILABLE", reason, trigger, action)


def _mismatch(reason: str, trigger: str, action: str) -> Row:
    return _image("ERR_REGISTRY_MISMATCH", reason, trigger, action)


def _secret(reason: str, trigger: str, action: str) -> Row:
    return _image("ERR_MISSING_SECRET", reason, trigger, action)


def _lookup(reason: str, trigger: str, action: str) -> Row:
    return Row("ERR_MODAL_LOOKUP", reason, "bounded", EXIT_ERROR, trigger, action)


def _invocation(reason: str, trigger: str, action: str) -> Row:
    return Row("ERR_MODAL_INVOCATION", reason, "bounded", EXIT_ERROR, trigger, action)


def _timeout(reason: str, trigger: str, action: str) -> Row:
    return Row("ERR_MODAL_TIMEOUT", reason, "once", EXIT_TIME_LIMIT, trigger, action)


def _adapter(
    reason: str, trigger: str, action: str, *, retry: str = "never", exit_code: int = EXIT_ERROR
) -> Row:
    return Row("ERR_ADAPTER_INVOCATION", reason, retry, exit_code, trigger, action)


ERRORS: tuple[Row, ...] = (
    # The command line.
    _inputs(
        "missing_flag", "a required flag or word is absent", "give everything the message names"
    ),
    _inputs("unknown_flag", "a word that the command does not know", "see --help"),
    _inputs("repeated_flag", "a flag that may be given once is given twice", "give it once"),
    _inputs("missing_value", "a flag without its value", "give the value after the flag"),
    _inputs("bad_value", "a flag's value is outside its grammar", "use a value the message lists"),
    _inputs("conflicting_flags", "two flags that exclude each other", "give only one of them"),
    _inputs("unknown_ref", "no embedded registry has this ref", "use a ref the message lists"),
    _inputs("unreadable_file", "a named file is absent or not readable", "check path and rights"),
    _inputs(
        "unwritable_target",
        "what is to be written is there already, or its folder cannot be written",
        "choose another target",
    ),
    _inputs(
        "unknown_artifact", "a world path or an execution that does not exist is named", "check it"
    ),
    _inputs(
        "invalid_goal",
        "a goal file cannot be read or breaks its schema",
        "correct the line that the message names",
    ),
    _inputs(
        "no_plan",
        "no processor that may be used leads to what a goal needs",
        "bring in what the message names, or allow a processor that makes it",
    ),
    _inputs(
        "goal_unproved",
        "a predicate is not true, and there is nothing more to make for it",
        "see what the predicate looks at; correct the goal or what was brought in",
    ),
    _inputs("unknown_goal", "a goal that the world does not have is named", "achieve it first"),
    _inputs(
        "goal_cycle", "a goal rests on goals that rest on it", "take goal.satisfied out of one"
    ),
    _inputs("execution_exists", "the world has an execution of this id", "choose another id"),
    _inputs(
        "prefix_occupied",
        "the write prefix or path overlaps other artifacts",
        "choose another prefix or path",
    ),
    _inputs(
        "world_unwritable", "the world folder cannot be written", "check path, rights and space"
    ),
    _inputs("world_absent", "the folder holds no world", "check the path given with --world"),
    _inputs(
        "world_busy",
        "another process held the world for longer than the patience for it",
        "run it again when the other is done",
    ),
    _inputs(
        "world_corrupt",
        "what the world holds is not what was written: ledger, its export, head or bytes",
        "verify the ledger, then mend what the message names as it says",
    ),
    _inputs(
        "world_format",
        "the world was written by a newer program",
        "use a program of at least that format",
    ),
    # The payload.
    _inputs("bad_json", "the text is not JSON (RFC 8259)", "correct it at the position named"),
    _inputs(
        "bad_encoding",
        "the bytes are not UTF-8, or not of the encoding they declare",
        "use UTF-8, without a byte order mark",
    ),
    _inputs("bad_unicode", "a string holds a lone surrogate", "use whole characters"),
    _inputs("duplicate_key", "an object names a key twice", "keep one of them"),
    _inputs("number_out_of_range", "a number is NaN, infinite or beyond 2^53 - 1", "use a string"),
    _inputs("too_deep", "the value is nested too deeply", "flatten it"),
    _inputs("too_large", "the document is larger than its limit", "attach large data as a file"),
    _inputs("not_an_object", "the document is not a JSON object", "wrap it in an object"),
    _inputs(
        "schema_violation", "the inputs break the processor's input schema", "correct the field"
    ),
    _inputs("unknown_name", "the inputs refer to an artifact that was not given", "attach it"),
    # World paths.
    _inputs("path_not_absolute", "a world path does not start with /", "start it with /"),
    _inputs("path_empty_segment", "a world path has an empty segment", "remove the extra slash"),
    _inputs("path_dot_segment", "a world path has a . or .. segment", "spell the path out"),
    _inputs("path_bad_percent", "a percent sign starts no escape, or stays one", "avoid it"),
    _inputs("path_encoded_slash", "a world path hides a slash in an escape", "write the slash"),
    _inputs("path_bad_character", "a world path holds a control character", "remove it"),
    _inputs("path_unknown_facet", "the first segment is no known facet", "start with /artifacts/"),
    _inputs("path_too_long", "a world path or a segment is too long", "shorten it"),
    _inputs(
        "path_bad_prefix",
        "a write prefix or path is not under /artifacts/, or is reserved",
        "see the message",
    ),
    # Documents and other data that a processor judges.
    _inputs("empty_input", "an attached artifact has no bytes", "attach the right file"),
    _inputs(
        "input_too_large",
        "an artifact, or what it unpacks to, is larger than a limit of the registry",
        "split or shrink it",
    ),
    _inputs("unsupported_format", "the artifact's format is not one of those read", "convert it"),
    _inputs("format_mismatch", "the artifact is not what its name says", "correct name or file"),
    _inputs("corrupt_document", "the document cannot be parsed", "repair or export it again"),
    _inputs(
        "no_text", "the document holds no text, as a scan does", "recognise its text first (OCR)"
    ),
    _inputs("encrypted_document", "the document needs a password", "remove the password first"),
    _inputs(
        "unknown_endpoint", "the inputs name an endpoint the registry lacks", "use a listed one"
    ),
    _inputs("unknown_price", "the registry has no price for the model", "use a listed model"),
    # Policy.
    _safety("lane_adapter", "the lane does not allow this adapter", "use an adapter of the lane"),
    _safety("lane_mode", "the lane does not allow this mode", "use a mode of the lane"),
    _safety("lane_real_unconfirmed", "real mode in this lane needs --allow-real", "confirm it"),
    _safety("lane_allow_real", "--allow-real has no meaning in this lane", "leave it out"),
    _safety("lane_override", "the lane forbids --image-override", "pin the image instead"),
    _safety("lane_secrets", "the lane forbids --allow-env", "leave it out"),
    _safety(
        "lane_registry_root", "the lane forbids --registry-root", "use the embedded registries"
    ),
    _safety(
        "override_without_image",
        "--image-override with an adapter that runs no image",
        "use --adapter modal, or leave the override out",
    ),
    _safety(
        "step_refused",
        "admission refused a step of a plan; the ledger holds the receipt, with every verdict",
        "see the reason in the message, put that right and run again",
    ),
    _safety(
        "verdict_differs",
        "an admission of the ledger is not what its recorded inputs give, or not about them",
        "look at the event named, and at the program that wrote it",
    ),
    _safety(
        "protected_branch",
        "a pin is to be edited on a branch that takes changes by review alone",
        "make a branch, pin there, and open it for review",
    ),
    _safety(
        "unknown_branch",
        "a pin is to be edited where no branch is checked out, or git cannot tell which",
        "check out a branch of your own, in a working tree of git",
    ),
    # Images, registries, secrets.
    _image(
        "ERR_IMAGE_UNPINNED",
        "no_pin",
        "the adapter or the lane needs an image and the registry pins none",
        "pin the processor's image",
    ),
    _image(
        "ERR_IMAGE_UNPINNED",
        "bad_pin",
        "the pin is no full digest: a tag, a short hash, upper case, or zeros in a digest's place",
        "pin the processor's image",
    ),
    _unavailable(
        "not_built",
        "the build left no image, or nothing readable in its place",
        "build the processor's image",
    ),
    _unavailable(
        "not_in_store",
        "the digest is in no registry that can be reached",
        "push the image again",
    ),
    _unavailable(
        "platform_missing",
        "the image of one of the platforms of an index is not there",
        "push the image again",
    ),
    _unavailable(
        "registry_unreachable",
        "the registry cannot be reached, or did not answer in time",
        "check address, network and --timeout-s, then run it again: what arrived is not sent again",
    ),
    _unavailable(
        "registry_denied",
        "the registry refuses the credentials, or there are none",
        "log in, so that the docker configuration has them (DOCKER_CONFIG or ~/.docker)",
    ),
    _unavailable(
        "registry_throttled",
        "the registry refused by rate, after every wait that it asked for",
        "run it again later: what arrived is not sent again",
    ),
    _unavailable(
        "remote_refused",
        "Modal cannot take the image from its registry, or it is not the one of its digest",
        "see the message; push the image again where Modal can reach it",
    ),
    _unavailable(
        "registry_failed",
        "the registry answered with an error, or with something that is not of the protocol",
        "see the message",
    ),
    _mismatch(
        "invalid_registry",
        "a registry.yaml, or what the build made of it, cannot be read or breaks its schema",
        "correct the field named",
    ),
    _mismatch(
        "ref_mismatch",
        "registry.yaml, its folder, the image and the requested ref differ",
        "make them agree",
    ),
    _mismatch(
        "build_stale",
        "the registry.yaml to be pinned is not the one that the image was built from",
        "run the command from the tree that it pins, through the build",
    ),
    _mismatch(
        "layout_invalid",
        "what should be an image layout is none of the agreed form",
        "build the image again, or name another folder",
    ),
    _mismatch(
        "digest_mismatch",
        "a manifest that was built, stored or fetched is not the one of its digest",
        "build and push the image again; then look at the registry",
    ),
    _mismatch(
        "blob_corrupt",
        "the bytes of a config or a layer are not those of their digest",
        "build and push the image again; then look at the disk or the registry",
    ),
    _mismatch(
        "referrer_mismatch",
        "a bill of materials or a provenance statement is about another image",
        "build and push the image again",
    ),
    _mismatch(
        "pin_stale",
        "the sources have moved on from the pin: another digest is built than is pinned",
        "run the command that the message names, on a branch",
    ),
    _mismatch(
        "digest_chain",
        "two hops of an image, from build to run, have different digests",
        "repeat the hop that the message names",
    ),
    _mismatch(
        "content_mismatch",
        "the files of an image are not the ones that were built",
        "build, push and deploy the image again, and find out who changed it",
    ),
    _secret(
        "absent",
        "real mode and a declared secret is not given",
        "set it and name it with --allow-env",
    ),
    _secret(
        "not_synced",
        "the environment has not been given this processor's secrets since its registry changed",
        "run //:sync_modal_secrets for the environment, then deploy",
    ),
    _secret(
        "too_short",
        "a secret shorter than 8 bytes cannot be redacted safely",
        "use a real secret",
    ),
    _secret(
        "malformed",
        "a secret holds characters that cannot be sent",
        "set it again, without blanks and newlines",
    ),
    # Modal.
    _lookup(
        "not_deployed",
        "no deployment of the processor, in this environment and by this name, is known",
        "deploy it first",
    ),
    _lookup(
        "no_credentials",
        "Modal's token is not in the environment, or it is refused",
        "set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET to a token that may use the environment",
    ),
    _lookup(
        "unreachable",
        "Modal does not answer, or not as its protocol says",
        "check the network and MODAL_SERVER_URL; then retry",
    ),
    _invocation(
        "remote_error",
        "the remote call raised or the transport broke",
        "see the message; retry",
    ),
    _invocation(
        "exchange_invalid",
        "what the app was sent, or what it answered, is not of the contract",
        "deploy the image that belongs to this version; if that is done, find out who answered",
    ),
    _invocation(
        "file_lost",
        "a file that was sent to the volume, or that the app left on it, is not there as it was",
        "retry; then look at the volume",
    ),
    _timeout(
        "remote_time_limit",
        "the remote call ran out of time",
        "raise the limit or shrink the work",
    ),
    _timeout(
        "call_time_limit",
        "no answer came in time, waiting for a container included; the call was cancelled",
        "see whether the app gets containers; then retry",
    ),
    # The processor and its process.
    _adapter(
        "unsupported_platform",
        "the kernel lacks what the local adapter needs",
        "use Linux on x86-64, for example in a virtual machine",
    ),
    _adapter("spawn_failed", "the processor could not be started", "see the message"),
    _adapter(
        "exit_status",
        "the processor ended with a status other than 0, with no envelope or that of a success",
        "see the tail of its stderr",
    ),
    _adapter("killed", "a signal ended the processor", "see the message; often out of memory"),
    _adapter(
        "survivors",
        "processes that the processor started keep forking faster than they can be ended",
        "end them by hand, and correct the processor",
    ),
    _adapter(
        "time_limit",
        "the processor ran longer than its limit",
        "shrink the work",
        exit_code=EXIT_TIME_LIMIT,
    ),
    _adapter(
        "interrupted", "SIGINT reached the orchestrator", "run it again", exit_code=EXIT_INTERRUPTED
    ),
    _adapter(
        "terminated",
        "SIGTERM or SIGHUP reached the orchestrator",
        "run it again",
        exit_code=EXIT_TERMINATED,
    ),
    _adapter(
        "envelope_invalid",
        "the processor's stdout is not one valid envelope",
        "correct the processor",
    ),
    _adapter(
        "output_invalid", "what was written is not what the envelope says", "correct the processor"
    ),
    _adapter(
        "receipt_invalid",
        "a receipt is absent, differs from its copy or from the run",
        "correct the processor",
    ),
    _adapter("stray_file", "the processor wrote outside outputs/", "correct the processor"),
    _adapter(
        "effect_missing",
        "something that the registry's produces declares was not made",
        "correct the processor, or what its registry declares",
    ),
    _adapter(
        "processor_error",
        "the processor raised an exception of its own, or misnamed an output",
        "correct the processor; the tail of its stderr says where",
    ),
    _adapter(
        "orchestrator_error",
        "the orchestrator met an error it does not know",
        "run again with --debug and report it",
    ),
    _adapter("provider_auth", "the provider refused the credentials", "check the secret"),
    _adapter(
        "provider_quota",
        "the provider's account has no quota left",
        "add credit or use another account",
    ),
    _adapter(
        "provider_rate_limited",
        "the provider refused by rate, after every retry",
        "wait, then run again",
        retry="bounded",
    ),
    _adapter(
        "provider_timeout",
        "the provider did not answer in time, after every retry",
        "run again",
        retry="bounded",
    ),
    _adapter(
        "provider_unavailable",
        "the provider was unreachable or failed, after every retry",
        "run again",
        retry="bounded",
    ),
    _adapter("provider_refused", "the provider refused the request itself", "correct the inputs"),
    _adapter(
        "provider_bad_reply",
        "the provider's reply is not of the protocol",
        "check the endpoint",
        retry="bounded",
    ),
)
