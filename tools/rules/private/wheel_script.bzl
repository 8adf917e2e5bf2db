"""wheel_script: a program that a wheel carries, as an executable target."""

load(":python.bzl", "TOOLCHAIN", "run_script")
load(":tree.bzl", "whl")

def _wheel_script_impl(ctx):
    program = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    args.add("--wheel", ctx.file.wheel)
    args.add("--script", ctx.attr.script)
    args.add("--out", program)
    run_script(
        ctx,
        ctx.file._extract,
        [args],
        depset([ctx.file.wheel]),
        [program],
        "ExtractScript",
        "Taking %{label} out of its wheel",
    )
    return [DefaultInfo(
        executable = program,
        files = depset([program]),
        runfiles = ctx.runfiles(files = [program]),
    )]

_wheel_script = rule(
    implementation = _wheel_script_impl,
    doc = "A program out of a wheel.",
    attrs = {
        "script": attr.string(mandatory = True),
        "wheel": attr.label(allow_single_file = [".whl"], mandatory = True),
        "_extract": attr.label(
            default = "//tools/lint:extract_script.py",
            allow_single_file = True,
        ),
    },
    executable = True,
    toolchains = [TOOLCHAIN],
)

def wheel_script(name, package, script, **kwargs):
    """A program that a wheel carries in its folder of scripts, as compiled tools do.

    Args:
      name: The target's name.
      package: The package's label, ``@pypi//x``.
      script: The program's name in the wheel.
      **kwargs: Common attributes.
    """
    _wheel_script(
        name = name,
        script = script,
        wheel = whl(package),
        **kwargs
    )
