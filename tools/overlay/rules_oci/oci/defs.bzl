"""Every public name that this stand-in has."""

load(
    "//oci/private:macros.bzl",
    _oci_image = "oci_image",
    _oci_image_index = "oci_image_index",
)

oci_image = _oci_image
oci_image_index = _oci_image_index
