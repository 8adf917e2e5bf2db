"""The rules of this workspace: one public file, the work is in private/.

    py_module   one Python module, its imports checked against its direct dependencies
    py_command  a program of the orchestrator that starts fast
    image_referrers
                an image's bill of materials and provenance, with the image as their subject
    processor   what ``run_processor`` runs: a checked registry and a tree of files
    processor_image
                its image, and the digest that gets pinned
    lane_test   a pytest file; its folder is its lane
    crane_binary
                crane, as a file of a fixed name
    own_predicates
                the table of the predicates that this repository adds
    sources     every Python file of a package, for lint and types
    wheel_script
                a program that a wheel carries
"""

load("//tools/rules/private:crane.bzl", _crane_binary = "crane_binary")
load("//tools/rules/private:image.bzl", _processor_image = "processor_image", _protocol_layer = "protocol_layer")
load("//tools/rules/private:lane_test.bzl", _lane_test = "lane_test")
load("//tools/rules/private:own_predicates.bzl", _own_predicates = "own_predicates")
load("//tools/rules/private:processor.bzl", _processor = "processor")
load("//tools/rules/private:py_command.bzl", _py_command = "py_command")
load("//tools/rules/private:py_module.bzl", _py_module = "py_module")
load("//tools/rules/private:referrers.bzl", _image_referrers = "image_referrers")
load("//tools/rules/private:sources.bzl", _sources = "sources")
load("//tools/rules/private:wheel_script.bzl", _wheel_script = "wheel_script")

image_referrers = _image_referrers
crane_binary = _crane_binary
lane_test = _lane_test
own_predicates = _own_predicates
processor = _processor
processor_image = _processor_image
protocol_layer = _protocol_layer
py_command = _py_command
py_module = _py_module
sources = _sources
wheel_script = _wheel_script
