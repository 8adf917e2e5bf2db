"""The least that can be done: the tasks from a pool of two threads, or one after the other."""

from concurrent.futures import ThreadPoolExecutor

import child

with ThreadPoolExecutor(1 if child.WORK["chain"] else 2) as pool:
    list(pool.map(child.run, range(child.WORK["tasks"])))
