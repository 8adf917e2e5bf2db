"""Every way that the image commands fail: by its row of the table, told in a way that helps.

Each case lays out what a build or a registry would have left broken, and runs the command that
meets it. No answer holds the credentials that every case has in its docker configuration.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from processors.protocol.errors import ERRORS, find_row
from tests.fixtures.bench import CRANE, REF, Bench
from tests.fixtures.programs import Answer, ledger
from tests.simulators import registry as simulated

SECRETS = (simulated.PASSWORD, simulated.TOKEN, simulated.basic().removeprefix("Basic "))
OTHER = "sha256:" + "ab" * 32
PROVED = {"ERR_IMAGE_UNPINNED", "ERR_IMAGE_UNAVAILABLE", "ERR_REGISTRY_MISMATCH", "ERR_CI_SAFETY"}
STALE = f"tools/bazel run //:pin_processor -- --ref {REF} --registry HOST[/PATH]"


class Place:
    """Where a case happens."""

    def __init__(self, base: Path, registry: simulated.Server) -> None:
        self.base = base
        self.registry = registry
        self.bench = Bench(base)
        self.bench.log_in(registry.host, simulated.basic())
        self.at = ("--registry", registry.host)

    def pushed(self, **changes: object) -> str:
        """Build and push an image; return its digest."""
        digest = self.bench.image(**changes)
        assert self.bench.push(*self.at).exit_code == 0
        return digest

    def repin(self, old: str, new: str) -> None:
        """Change one place of the working tree's registry.yaml."""
        text = self.bench.registry.read_text()
        assert text.count(old) == 1
        self.bench.registry.write_text(text.replace(old, new))

    def corrupt(self, digest: str, layout: str = "image") -> None:
        """Turn a bit of what was built."""
        file = self.bench.blob(digest, layout)
        data = file.read_bytes()
        file.write_bytes(bytes([data[0] ^ 1]) + data[1:])

    def parts(self, digest: str) -> tuple[str, str, str]:
        """The first image of an index, its config, its first layer."""
        image = self.bench.document(digest)["manifests"][0]["digest"]
        manifest = self.bench.document(image)
        return image, manifest["config"]["digest"], manifest["layers"][0]["digest"]


type Do = Callable[[Place], Answer]


class Case(NamedTuple):
    """How a command is brought to fail, by which row it must, and what the message says."""

    error: str
    do: Do
    says: tuple[str, ...] = ()


# The build.


def no_image(place: Place) -> Answer:
    return place.bench.build()


def half_a_referrer(place: Place) -> Answer:
    place.bench.referrers(place.bench.image())
    (place.bench.own / "image_sbom.digest").unlink()
    return place.bench.build()


def labels_of_another(place: Place) -> Answer:
    place.bench.image(labels={"processor.ref": "hostile/zoo@2"})
    return place.bench.build()


def no_content_root(place: Place) -> Answer:
    place.bench.image(labels={"processor.ref": REF})
    return place.bench.build()


def two_in_a_layout(place: Place) -> Answer:
    place.bench.image()
    file = place.bench.own / "image/index.json"
    index = json.loads(file.read_bytes())
    file.write_text(json.dumps({**index, "manifests": index["manifests"] * 2}))
    return place.bench.build()


def an_index_that_refers(place: Place) -> Answer:
    digest = place.bench.image()
    shutil.copytree(place.bench.own / "image", place.bench.own / "image_sbom")
    (place.bench.own / "image_sbom.digest").write_text(f"{digest}\n")
    return place.bench.build()


def no_layout_at_all(place: Place) -> Answer:
    place.bench.image()
    (place.bench.own / "image/oci-layout").write_text("{}")
    return place.bench.build()


def another_digest_file(place: Place) -> Answer:
    place.bench.image()
    (place.bench.own / "image.json.sha256").write_text(f"{OTHER}\n")
    return place.bench.build()


def a_broken_manifest(place: Place) -> Answer:
    place.corrupt(place.parts(place.bench.image())[0])
    return place.bench.push(*place.at)


def a_broken_config(place: Place) -> Answer:
    place.corrupt(place.parts(place.bench.image())[1])
    return place.bench.push(*place.at)


def a_broken_layer(place: Place) -> Answer:
    place.corrupt(place.parts(place.bench.image())[2])
    return place.bench.push("--layout", str(place.base / "images"))


def a_lost_layer(place: Place) -> Answer:
    place.bench.blob(place.parts(place.bench.image())[2]).unlink()
    return place.bench.push(*place.at)


def a_foreign_referrer(place: Place) -> Answer:
    before = place.bench.image(contents=(b"before\n",))
    place.bench.referrers(before)
    for name in ("image_sbom", "image_provenance"):
        (place.bench.own / name).rename(place.base / name)
        (place.bench.own / f"{name}.digest").rename(place.base / f"{name}.digest")
    place.bench.image()
    for name in ("image_sbom", "image_provenance"):
        (place.base / name).rename(place.bench.own / name)
        (place.base / f"{name}.digest").rename(place.bench.own / f"{name}.digest")
    return place.bench.push(*place.at)


def a_broken_processor(place: Place) -> Answer:
    (place.bench.own / "processor.json").write_text("{}")
    return place.bench.build()


# The registry.


def nobody_listens(place: Place) -> Answer:
    place.bench.image()
    return place.bench.push("--registry", "127.0.0.1:9")


def a_registry_that_hangs(place: Place) -> Answer:
    place.bench.image()
    place.registry.tell(simulated.hangs, path="/v2/", times=9)
    return place.bench.push(*place.at, "--timeout-s", "2")


def wrong_credentials(place: Place, scheme: str = "Basic") -> Answer:
    place.bench.image()
    place.registry.require(scheme)
    place.bench.log_in(place.registry.host, simulated.basic(password="wrong-" + SECRETS[0]))
    return place.bench.push(*place.at)


def wrong_credentials_for_a_token(place: Place) -> Answer:
    return wrong_credentials(place, "Bearer")


def no_right_to_push(place: Place) -> Answer:
    place.bench.image()
    place.registry.tell(simulated.status(403, "DENIED"), method="POST", times=9)
    return place.bench.push(*place.at)


def refused_for_an_hour(place: Place) -> Answer:
    place.bench.image()
    place.registry.tell(simulated.throttled("3600"), method="HEAD", times=99)
    return place.bench.push(*place.at)


def a_registry_that_fails(place: Place) -> Answer:
    place.bench.image()
    place.registry.tell(simulated.status(500), method="POST", times=99)
    return place.bench.push(*place.at)


def a_registry_that_stores_something_else(place: Place) -> Answer:
    place.bench.image()
    place.registry.tell(simulated.corrupted, method="GET", path=simulated.MANIFESTS)
    return place.bench.push(*place.at)


def never_pushed(place: Place) -> Answer:
    place.bench.image()
    return place.bench.pin(*place.at)


def never_pushed_to_a_folder(place: Place) -> Answer:
    place.bench.image()
    return place.bench.pin("--layout", str(place.base / "images"))


def a_platform_less(place: Place) -> Answer:
    digest = place.pushed(architectures=("amd64", "arm64"))
    arm = place.bench.document(digest)["manifests"][1]["digest"]
    gone = simulated.status(404, "MANIFEST_UNKNOWN")
    place.registry.tell(gone, method="GET", path=f"{simulated.MANIFESTS}{arm}")
    return place.bench.pin(*place.at)


def a_platform_less_in_a_folder(place: Place) -> Answer:
    digest = place.bench.image(architectures=("amd64", "arm64"))
    folder = place.base / "images"
    place.bench.push("--layout", str(folder))
    arm = place.bench.document(digest)["manifests"][1]["digest"]
    (folder / "blobs/sha256" / arm[7:]).unlink()
    return place.bench.pin("--layout", str(folder))


def an_index_that_lists_less(place: Place) -> Answer:
    digest = place.pushed(architectures=("amd64", "arm64"))
    index = place.bench.document(digest)
    short = json.dumps({**index, "manifests": index["manifests"][:1]}, indent=2).encode() + b"\n"
    place.registry.tell(simulated.replaced(short), method="GET", path=simulated.MANIFESTS)
    return place.bench.pin(*place.at)


def a_blob_that_rots(place: Place) -> Answer:
    layer = place.parts(place.pushed())[2]
    path = simulated.BLOBS + layer[7:]
    place.registry.tell(simulated.corrupted, method="GET", path=path)
    return place.bench.pin(*place.at)


def a_blob_that_rots_in_a_folder(place: Place) -> Answer:
    folder = place.base / "images"
    layer = place.parts(place.bench.image())[2]
    place.bench.push("--layout", str(folder))
    (folder / "blobs/sha256" / layer[7:]).write_bytes(b"rotten")
    return place.bench.pin("--layout", str(folder))


# The pin.


def on_branch(name: str) -> Do:
    def do(place: Place) -> Answer:
        place.pushed()
        place.bench.git("checkout", "--quiet", "-B", name)
        return place.bench.pin(*place.at)

    return do


def on_a_detached_head(place: Place) -> Answer:
    place.pushed()
    place.bench.git("checkout", "--quiet", "--detach")
    return place.bench.pin(*place.at)


def in_no_working_tree(place: Place) -> Answer:
    place.pushed()
    (place.bench.tree / ".git").rename(place.base / "no-git")
    return place.bench.pin(*place.at)


def git_says_why(place: Place) -> Answer:
    (place.bench.tree / ".git" / "config").write_text("[broken")
    return place.bench.pin(*place.at)


def without_git(place: Place) -> Answer:
    return place.bench.pin(*place.at, env={"PATH": str(place.base)})


def a_branch_by_variable(place: Place) -> Answer:
    """Variables of git name another repository, whose branch is nobody's; ours is main."""
    place.pushed()
    other = Bench(place.base / "other")
    place.bench.git("checkout", "--quiet", "-B", "main")
    env = {"GIT_DIR": str(other.tree / ".git"), "GIT_WORK_TREE": str(other.tree)}
    return place.bench.pin(*place.at, env=env)


def by_a_link(place: Place) -> Answer:
    """The tree that counts is the one that the file lies in."""
    place.pushed()
    other = Bench(place.base / "other")
    other.git("checkout", "--quiet", "-B", "staging")
    place.bench.registry.unlink()
    place.bench.registry.symlink_to(other.registry)
    return place.bench.pin(*place.at)


def other_sources(place: Place) -> Answer:
    place.pushed()
    place.repin("time_s: 20", "time_s: 21")
    return place.bench.pin(*place.at)


def another_repository(place: Place) -> Answer:
    place.pushed()
    place.repin("tests/hostile-zoo", "tests/other")
    return place.bench.pin(*place.at)


def a_form_that_cannot_be_edited(place: Place) -> Answer:
    place.pushed()
    place.repin("digest: null", "? digest")
    return place.bench.pin(*place.at)


def a_registry_of_another(place: Place) -> Answer:
    place.pushed()
    place.repin("hostile/zoo@1", "hostile/zoo@2")
    return place.bench.pin(*place.at)


# The check.


def checked(lane: str, pin: str | None) -> Do:
    def do(place: Place) -> Answer:
        place.bench.image()
        if pin is not None:
            place.repin("digest: null", f"digest: {pin}")
        return place.bench.check(lane)

    return do


def checked_without_an_image(place: Place) -> Answer:
    return place.bench.check("pr")


# The ledger.


def other_hops(place: Place) -> Answer:
    world = place.base / "world"
    place.bench.image(contents=(b"before\n",))
    place.bench.build("--world", str(world))
    place.bench.image()
    place.bench.push(*place.at, "--world", str(world))
    return ledger("images", "--ref", REF, world=world)


def words(*given: str) -> Do:
    def do(place: Place) -> Answer:
        place.bench.image()
        return place.bench.run(*given)

    return do


PUSH = ("push_processor", "--ref", REF)
PIN = ("pin_processor", "--ref", REF)
FAILURES = (
    Case("ERR_IMAGE_UNAVAILABLE/not_built", no_image, (REF, "build //processors/hostile/zoo/v1")),
    Case("ERR_IMAGE_UNAVAILABLE/not_built", half_a_referrer, ("image_sbom",)),
    Case("ERR_IMAGE_UNAVAILABLE/not_built", checked_without_an_image, ("image.json.sha256",)),
    Case("ERR_REGISTRY_MISMATCH/ref_mismatch", labels_of_another, ("hostile/zoo@2",)),
    Case("ERR_REGISTRY_MISMATCH/ref_mismatch", a_registry_of_another, ("hostile/zoo@2",)),
    Case("ERR_REGISTRY_MISMATCH/layout_invalid", no_content_root, ("processor.content-root",)),
    Case("ERR_REGISTRY_MISMATCH/layout_invalid", two_in_a_layout, ("2 manifests", "not one")),
    Case("ERR_REGISTRY_MISMATCH/layout_invalid", an_index_that_refers, ("image_sbom", "no manif")),
    Case("ERR_REGISTRY_MISMATCH/layout_invalid", no_layout_at_all, ("image/oci-layout",)),
    Case("ERR_REGISTRY_MISMATCH/layout_invalid", a_lost_layer, ("blobs/sha256/", "No such")),
    Case("ERR_REGISTRY_MISMATCH/digest_mismatch", another_digest_file, (OTHER, "build it again")),
    Case("ERR_REGISTRY_MISMATCH/digest_mismatch", a_broken_manifest, ("image/blobs/sha256/",)),
    Case("ERR_REGISTRY_MISMATCH/blob_corrupt", a_broken_config, ("image/blobs/sha256/",)),
    Case("ERR_REGISTRY_MISMATCH/blob_corrupt", a_broken_layer, ("image/blobs/sha256/",)),
    Case(
        "ERR_REGISTRY_MISMATCH/referrer_mismatch", a_foreign_referrer, ("sbom.cdx.json", "subject")
    ),
    Case("ERR_REGISTRY_MISMATCH/invalid_registry", a_broken_processor, ("build it again",)),
    Case("ERR_IMAGE_UNAVAILABLE/registry_unreachable", nobody_listens, ("127.0.0.1:9", "refused")),
    Case("ERR_IMAGE_UNAVAILABLE/registry_unreachable", a_registry_that_hangs, ("2 seconds",)),
    Case("ERR_IMAGE_UNAVAILABLE/registry_denied", wrong_credentials, ("401",)),
    Case("ERR_IMAGE_UNAVAILABLE/registry_denied", wrong_credentials_for_a_token, ("UNAUTHORIZED",)),
    Case("ERR_IMAGE_UNAVAILABLE/registry_denied", no_right_to_push, ("DENIED",)),
    Case("ERR_IMAGE_UNAVAILABLE/registry_throttled", refused_for_an_hour, ("429", "wait 3600")),
    Case("ERR_IMAGE_UNAVAILABLE/registry_failed", a_registry_that_fails, ("status 500",)),
    Case(
        "ERR_REGISTRY_MISMATCH/digest_mismatch",
        a_registry_that_stores_something_else,
        ("does not match requested digest",),
    ),
    Case("ERR_IMAGE_UNAVAILABLE/not_in_store", never_pushed, ("tests/hostile-zoo@sha256:",)),
    Case("ERR_IMAGE_UNAVAILABLE/not_in_store", never_pushed_to_a_folder, ("images",)),
    Case("ERR_IMAGE_UNAVAILABLE/platform_missing", a_platform_less, ("linux/arm64",)),
    Case("ERR_IMAGE_UNAVAILABLE/platform_missing", a_platform_less_in_a_folder, ("linux/arm64",)),
    Case("ERR_REGISTRY_MISMATCH/digest_mismatch", an_index_that_lists_less, ("does not match",)),
    Case("ERR_REGISTRY_MISMATCH/blob_corrupt", a_blob_that_rots, ("tests/hostile-zoo@sha256:",)),
    Case("ERR_REGISTRY_MISMATCH/blob_corrupt", a_blob_that_rots_in_a_folder, ("6 bytes",)),
    Case("ERR_CI_SAFETY/protected_branch", on_branch("main"), ("branch main", "review")),
    Case("ERR_CI_SAFETY/protected_branch", on_branch("master"), ("branch master",)),
    Case("ERR_CI_SAFETY/protected_branch", on_branch("staging"), ("branch staging",)),
    Case("ERR_CI_SAFETY/protected_branch", a_branch_by_variable, ("branch main",)),
    Case("ERR_CI_SAFETY/protected_branch", by_a_link, ("branch staging",)),
    Case("ERR_CI_SAFETY/unknown_branch", on_a_detached_head, ("detached head",)),
    Case("ERR_CI_SAFETY/unknown_branch", in_no_working_tree, ("no working tree",)),
    Case("ERR_CI_SAFETY/unknown_branch", git_says_why, ("it says: fatal: bad config",)),
    Case("ERR_CI_SAFETY/unknown_branch", without_git, ("there is no git on PATH",)),
    Case("ERR_REGISTRY_MISMATCH/build_stale", other_sources, ("registry.yaml", "limits")),
    Case("ERR_REGISTRY_MISMATCH/build_stale", another_repository, ("image",)),
    Case("ERR_REGISTRY_MISMATCH/invalid_registry", a_form_that_cannot_be_edited, ("digest: null",)),
    *(
        Case("ERR_REGISTRY_MISMATCH/pin_stale", checked(lane, OTHER), (REF, OTHER, STALE))
        for lane in ("staging", "main")
    ),
    *(
        Case("ERR_IMAGE_UNPINNED/no_pin", checked(lane, None), (REF, "pinned to nothing", STALE))
        for lane in ("staging", "main")
    ),
    *(
        Case("ERR_IMAGE_UNPINNED/bad_pin", checked("staging", pin), (REF, pin.strip("'"), STALE))
        for pin in (
            "latest",
            "sha256:abcdef",
            OTHER.upper().replace("SHA", "sha"),
            "sha256:" + "0" * 64,
            "tests/hostile-zoo:1",
            "'" + OTHER[7:] + "'",
        )
    ),
    Case("ERR_REGISTRY_MISMATCH/digest_chain", other_hops, ("hop push", "hop build", "repeat")),
    Case("ERR_INPUTS/missing_flag", words(*PUSH), ("--registry or --layout",)),
    Case("ERR_INPUTS/missing_flag", words(*PIN), ("--registry or --layout",)),
    Case("ERR_INPUTS/missing_flag", words("pin_processor"), ("--ref",)),
    Case("ERR_INPUTS/missing_flag", words("pin_processor", "--check"), ("--lane",)),
    Case(
        "ERR_INPUTS/conflicting_flags",
        words(*PUSH, "--registry", "localhost", "--layout", "x"),
        ("only one",),
    ),
    Case("ERR_INPUTS/conflicting_flags", words(*PIN, "--check", "--lane", "pr", "--layout", "x")),
    Case("ERR_INPUTS/conflicting_flags", words(*PIN, "--lane", "pr", "--layout", "x")),
    Case("ERR_INPUTS/unknown_ref", words("build_processor", "--ref", "no/such@1"), ("zoo@1",)),
    Case("ERR_INPUTS/bad_value", words("build_processor", "--ref", "zoo"), ("'zoo'",)),
    Case("ERR_INPUTS/bad_value", words(*PIN, "--check", "--lane", "ci"), ("staging, main",)),
    Case("ERR_INPUTS/bad_value", words(*PUSH, "--registry", "acme"), ("names no host",)),
    Case("ERR_INPUTS/bad_value", words(*PUSH, "--registry", "http://localhost"), ("'http:'",)),
    Case("ERR_INPUTS/bad_value", words(*PUSH, "--registry", "u:p@localhost"), ("no host",)),
    Case("ERR_INPUTS/bad_value", words(*PUSH, "--layout", "x", "--timeout-s", "0"), ("86400",)),
    Case("ERR_INPUTS/unwritable_target", words(*PUSH, "--layout", "/dev/null/x"), ("Not a direc",)),
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with simulated.Server(CRANE) as server:
        yield Place(tmp_path, server)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=f"{number}-{case.error}",
            marks=pytest.mark.proves("EV-9", *PROVED.intersection(case.error.split("/"))),
        )
        for number, case in enumerate(FAILURES)
    ],
)
def test_a_failure_is_told_by_its_row(case: Case, place: Place) -> None:
    answer = case.do(place)

    code, reason = case.error.split("/")
    row = find_row(code, reason)
    assert row is not None
    assert answer.error == (code, reason, 2 if code == "ERR_INPUTS" else 1), answer.stdout
    assert answer.exit_code == row.exit_code
    assert [piece for piece in case.says if piece not in answer.message] == [], answer.message
    assert [secret for secret in SECRETS if secret.encode() in answer.stdout + answer.stderr] == []


@pytest.mark.proves("EV-9")
def test_every_row_of_images_is_reached() -> None:
    reached = {case.error for case in FAILURES}
    rows = {f"{row.code}/{row.reason}" for row in ERRORS if row.code in PROVED}
    others = ("/lane_", "/override_", "/step_", "/verdict_")  # of commands that see no image
    elsewhere = {row for row in rows if any(word in row for word in others)}
    elsewhere.add("ERR_REGISTRY_MISMATCH/content_mismatch")  # acceptance/pinned/test_images.py
    elsewhere.add("ERR_IMAGE_UNAVAILABLE/remote_refused")  # integration/test_modal_deploy.py

    assert rows - reached == elsewhere
