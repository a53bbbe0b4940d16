"""Measures an import of many messages: ``python -m benchmarks.importing [COUNT]``.

The source is written first. The import then runs in a process of its own, which tells messages a second,
processor time, and how far its memory grew beyond what an import of 2,000 messages had taken.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from tests.core.librechat import large

_RUN = """
    import resource, sys, time
    import wilk

    def memory():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    with wilk.open_store(home=sys.argv[1] + "/home") as store:
        store.imports.run("librechat", sys.argv[1] + "/small")
        before, processor, began = memory(), time.process_time(), time.perf_counter()
        result = store.imports.run("librechat", sys.argv[1] + "/large")
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
        count = {one.kind: one.created for one in result.kinds}["messages"]
        print(f"{count:,} in {seconds:.1f} s, {count / seconds:,.0f} a second, {result.failed} failed")
        print(f"processor time {processor:.1f} s ({count / processor:,.0f} a second)")
        print(f"peak memory {memory()} MB, {memory() - before} MB more than after 2,000 messages")
"""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        large.write(Path(folder) / "small", 2_000)
        large.write(Path(folder) / "large", count)
        subprocess.run([sys.executable, "-c", textwrap.dedent(_RUN), folder], check=True)


if __name__ == "__main__":
    main()
