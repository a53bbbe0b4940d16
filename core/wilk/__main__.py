"""``python -m wilk`` is ``wilk``."""

from __future__ import annotations

import sys

from wilk.cli import main

if __name__ == "__main__":
    sys.exit(main())
