"""oci_image and oci_image_index: the rules with their helper targets.

The helpers have the names and files of the real ones, so that what clashes there clashes here.
"""

load("@bazel_skylib//rules:write_file.bzl", "write_file")
load(":rules.bzl", "layout_digest", _oci_image = "oci_image", _oci_image_index = "oci_image_index")

_COMMON = [
    "compatible_with",
    "deprecation",
    "exec_compatible_with",
    "exec_properties",
    "features",
    "restricted_to",
    "tags",
    "target_compatible_with",
    "testonly",
    "visibility",
]

def _common(attributes):
    return {key: value for key, value in attributes.items() if key in _COMMON}

def _refuse(name, kind, why):
    fail("{}: {} {}".format(native.package_relative_label(name), kind, why))

def _file(name, kind, value, wanted, lines, common):
    """Returns the label of the file that holds the attribute `kind`; `lines` makes its lines."""
    if value == None or type(value) in ("string", "Label"):
        return value
    if type(value) != wanted:
        _refuse(name, kind, "is a {}; expected a {} or the label of a file".format(type(value), wanted))
    if not value:
        _refuse(name, kind, "is empty; leave it out")
    target = "{}_write_{}".format(name, kind)
    write_file(
        name = target,
        out = "{}.{}.txt".format(name, kind),
        content = lines(name, kind, value),
        **common
    )
    return target

def _pairs(name, kind, value):
    for key, word in value.items():
        if not key or "=" in key or "\n" in key + word:
            _refuse(name, kind, "has {}: {}; expected a key without '=', and no newline in either".format(
                repr(key),
                repr(word),
            ))
    return ["{}={}".format(key, word) for key, word in value.items()]

def _words(_name, _kind, value):
    return [word.replace("\n", "%5Cn") for word in value]

def _joined(name, kind, value):
    for word in value:
        if not word or "," in word or "\n" in word:
            _refuse(name, kind, "has {}; expected a word without comma and newline".format(repr(word)))
    return [",".join(value)]

def _digest(name, common):
    native.filegroup(
        name = name + "_index_json",
        srcs = [name],
        **common
    )
    layout_digest(
        name = name + "_index_json_cp",
        digest = name + ".json.sha256",
        index_json = name + "_index.json",
        layout = name,
        **common
    )
    native.filegroup(
        name = name + ".digest",
        srcs = [name + ".json.sha256"],
        **common
    )

def oci_image(
        name,
        created = None,
        labels = None,
        annotations = None,
        env = None,
        cmd = None,
        entrypoint = None,
        exposed_ports = None,
        volumes = None,
        **kwargs):
    """An image: the OCI layout directory NAME, and the target NAME.digest.

    Args:
      name: The target's name.
      created: Label of a file with the time, without a newline at its end.
      labels: A dict, or the label of a file with lines KEY=VALUE.
      annotations: As labels, for the manifest.
      env: As labels; $KEY and ${KEY} stand for values of the base and of earlier keys.
      cmd: A list, or the label of a file with one item a line.
      entrypoint: As cmd; drops the base's cmd.
      exposed_ports: A list, or the label of a file with the items between commas.
      volumes: As exposed_ports.
      **kwargs: The rule's other attributes (base, or os, architecture and variant; tars, user, workdir),
        and common ones, which the helper targets get as well.
    """
    common = _common(kwargs)
    _oci_image(
        name = name,
        created = created,
        annotations = _file(name, "annotations", annotations, "dict", _pairs, common),
        labels = _file(name, "labels", labels, "dict", _pairs, common),
        env = _file(name, "env", env, "dict", _pairs, common),
        cmd = _file(name, "cmd", cmd, "list", _words, common),
        entrypoint = _file(name, "entrypoint", entrypoint, "list", _words, common),
        exposed_ports = _file(name, "exposed_ports", exposed_ports, "list", _joined, common),
        volumes = _file(name, "volumes", volumes, "list", _joined, common),
        **kwargs
    )
    _digest(name, common)

def oci_image_index(name, **kwargs):
    """An index of images: the OCI layout directory NAME, with real files, and the target NAME.digest.

    Args:
      name: The target's name.
      **kwargs: `images`, and common attributes, which the helper targets get as well.
    """
    _oci_image_index(name = name, **kwargs)
    _digest(name, _common(kwargs))
