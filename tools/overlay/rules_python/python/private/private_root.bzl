"""Where the private root is, and its interpreter and pip."""

PYTHON_VERSION = "3.13"

def private_root(ctx):
    """Returns the absolute path of the private root.

    Args:
      ctx: a repository or module context; it is evaluated again when the private root changes.

    Returns:
      A string.
    """
    root = ctx.getenv("MONOREPO_PRIVATE_ROOT")
    if not root:
        fail("MONOREPO_PRIVATE_ROOT is not set: tools/overlay works only in Bazel that tools/bazel starts from the private root")
    return root

def private_python(ctx):
    """Returns the absolute path of the private root's interpreter; `ctx` as for private_root."""
    return private_root(ctx) + "/usr/bin/python" + PYTHON_VERSION

def check_python_version(where, version):
    """Fails unless `version` is the one that the private root has."""
    if version != PYTHON_VERSION:
        fail("{}: python_version is {}; the private root has {} and no other".format(
            where,
            repr(version),
            repr(PYTHON_VERSION),
        ))

def run_wheels_program(ctx, doing, request):
    """Runs wheels.py with `request` and returns its answer.

    Args:
      ctx: a repository or module context.
      doing: what is being done, for the error message.
      request: a dict that can be written as JSON.

    Returns:
      The answer, as json.decode gives it.
    """
    python = private_python(ctx)
    program = ctx.path(Label("//python/private:wheels.py"))
    done = ctx.execute(
        [python, "-P", "-s", "-B", program, json.encode(request)],
        timeout = 1800,  # seconds; one large wheel over a slow line
    )
    if done.return_code != 0:
        fail("{}:\n{}".format(doing, done.stderr.strip() or "ended with {}".format(done.return_code)))
    return json.decode(done.stdout)
