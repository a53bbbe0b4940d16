"""What a backend must bear: kills, a full disk, a storm of writers, clocks that jump, odd text, a cut line.

::

    class TestMine(BackendFaults):
        @pytest.fixture
        def url(self, tmp_path):
            return f"mine:///{tmp_path}/t.db"

:class:`~wilk.testing.BackendSuite` has it all in it.
"""

from __future__ import annotations

from wilk.testing.faults.backend_kills import KilledBackend
from wilk.testing.faults.backend_storms import StormedBackend
from wilk.testing.faults.backend_texts import ToldBackend
from wilk.testing.grades import FAULTS


class BackendFaults(KilledBackend, StormedBackend, ToldBackend):
    """Subclass it with a fixture ``url``, a place where no database is yet."""

    faults = FAULTS
