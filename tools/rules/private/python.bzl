"""Running a standard-library Python script as a build action, with the toolchain's interpreter."""

TOOLCHAIN = "@rules_python//python:toolchain_type"

def python_runtime(ctx):
    """The target's Python runtime (PyRuntimeInfo)."""
    return ctx.toolchains[TOOLCHAIN].py3_runtime

def run_script(ctx, script, arguments, inputs, outputs, mnemonic, message):
    """Runs a script in an isolated interpreter.

    Args:
      ctx: The rule's context.
      script: The script's File; it may import the standard library alone.
      arguments: A list of Args.
      inputs: A depset of Files.
      outputs: A list of Files.
      mnemonic: The action's kind.
      message: What the action says it does.
    """
    runtime = python_runtime(ctx)
    first = ctx.actions.args()
    first.add_all(["-I", "-S", "-B"])
    first.add(script)
    ctx.actions.run(
        executable = runtime.interpreter or runtime.interpreter_path,
        arguments = [first] + arguments,
        inputs = depset([script], transitive = [inputs]),
        tools = runtime.files or depset(),
        outputs = outputs,
        mnemonic = mnemonic,
        progress_message = message,
    )
