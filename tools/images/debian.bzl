"""debian_packages: the locked files of a Debian base, as a repository.

The lock names no host, so that any mirror serves it: the one in DEBIAN_MIRROR, else the one that
this machine's apt uses. A file counts only with the locked bytes, so a mirror is never trusted.
Nothing is fetched before a target needs the repository.
"""

_REFRESH = "tools/bazel run //tools/images:refresh_base"
_NAME_A_MIRROR = "Name a mirror: --repo_env=DEBIAN_MIRROR=ADDRESS, the folder that has dists/ and pool/."

def _releases(ctx):
    """Debian's releases by the names under which apt may know them on this machine.

    Those of updates and security fixes are not among them: their mirrors may lack the whole pool. Nor
    are those of vendors. The launcher (tools/launcher/_apt.py) chooses by the same names.
    """
    system = ctx.path("/etc/os-release")
    lines = ctx.read(system, watch = "no").splitlines() if system.exists else []
    named = [line.removeprefix("VERSION_CODENAME=").strip("\"") for line in lines if line.startswith("VERSION_CODENAME=")]
    return named + ["stable", "oldstable", "testing", "unstable", "sid"]

def _apt_mirror(ctx):
    """The mirror that apt uses, without a slash at the end; fails by name if there is none."""
    apt = ctx.which("apt-get")
    if not apt:
        fail("the base image: DEBIAN_MIRROR is not set, and this machine has no apt to ask. " + _NAME_A_MIRROR)
    done = ctx.execute([
        apt,
        "indextargets",
        "--no-release-info",  # Answers before the first "apt-get update", too.
        "--format",
        "$(RELEASE) $(COMPONENT) $(REPO_URI)",
        "Created-By: Packages",
    ])
    if done.return_code != 0:
        fail("the base image: apt-get indextargets ended with {} and said:\n{}\n{}".format(
            done.return_code,
            done.stderr.strip(),
            _NAME_A_MIRROR,
        ))
    releases = _releases(ctx)
    found = []
    for line in done.stdout.splitlines():
        release, component, address = line.split(" ", 2)
        if component == "main" and release in releases:
            found.append(address.rstrip("/"))

    # Vendors use Debian's code names for their own repositories; Debian's own ends in /debian.
    debian = [address for address in found if address.endswith("/debian")]
    if not found:
        fail("the base image: DEBIAN_MIRROR is not set, and this machine's apt knows no Debian repository. " + _NAME_A_MIRROR)
    return (debian or found)[0]

def _without_password(address):
    """The address as it may be shown."""
    scheme, slashes, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return scheme + slashes + host.rpartition("@")[2] + slash + path

def _debian_packages_impl(ctx):
    named = ctx.getenv("DEBIAN_MIRROR")
    mirror = named.rstrip("/") if named else _apt_mirror(ctx)
    packages = json.decode(ctx.read(ctx.attr.lock))["packages"]
    downloads = [
        (package, ctx.download(
            # Exactly one slash: some mirrors refuse two.
            url = mirror + "/" + package["path"],
            output = package["name"] + ".deb",
            sha256 = package["sha256"],
            # Bazel may take it from its cache whatever the mirror; without this it wonders aloud.
            canonical_id = package["path"],
            allow_fail = True,
            block = False,
        ))
        for package in packages
    ]
    lost = [package for package, download in downloads if not download.wait().success]
    source = "{} ({})".format(
        _without_password(mirror),
        "DEBIAN_MIRROR" if named else "from this machine's apt configuration",
    )
    if len(lost) == len(packages):
        fail("the base image: {} is out of reach or no Debian mirror: it served none of {} packages. {}".format(
            source,
            len(packages),
            _NAME_A_MIRROR,
        ))
    if lost:
        fail("the base image: {} does not have, with the locked bytes:\n{}\nIf it has newer ones, refresh the lock: {}".format(
            source,
            "\n".join(["  {name} {version} ({path})".format(**package) for package in lost]),
            _REFRESH,
        ))
    ctx.file("BUILD.bazel", """\
filegroup(
    name = "packages",
    srcs = {},
    visibility = ["//visibility:public"],
)
""".format(json.encode_indent([package["name"] + ".deb" for package in packages], prefix = "    ", indent = "    ")))

debian_packages = repository_rule(
    implementation = _debian_packages_impl,
    doc = "The package files that a lock names.",
    attrs = {
        "lock": attr.label(mandatory = True, allow_single_file = [".json"]),
    },
)
