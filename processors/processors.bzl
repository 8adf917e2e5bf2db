"""The processors of this repository: the one list that programs, tests and lint take them from."""

# The package of each, a line a processor; docs/guides/processors.md.
PROCESSORS = [
    "//processors/doc/extract/v1",
    "//processors/llm/chat/v1",
]

def of_each(target):
    """The labels of one target of every processor, such as ``image_built``."""
    return [package + ":" + target for package in PROCESSORS]

def sources_of_each():
    """The targets ``sources`` of every processor's package and of the packages on the way to it.

    Returns:
      Their labels, each once.
    """
    found = {}
    for package in PROCESSORS:
        steps = package.removeprefix("//processors/").split("/")
        for count in range(1, len(steps) + 1):
            found["//processors/{}:sources".format("/".join(steps[:count]))] = None
    return found.keys()
