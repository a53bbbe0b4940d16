"""Checks built distributions: the wheel has its data, the sdist carries no plugin.

Run as ``python tests/check_dist.py FOLDER``; ``tox run -e dist`` does.
"""

import sys
import tarfile
import zipfile
from pathlib import Path


def main(folder: Path) -> int:
    faults = []
    wheels = {path.name.partition("-")[0]: zipfile.ZipFile(path).namelist() for path in folder.glob("*.whl")}
    for name in (
        "wilk",
        "wilk_tokens",
        "wilk_audit",
        "wilk_keywords",
        "wilk_hnsw",
        "wilk_openai",
        "wilk_local",
        "wilk_redis",
        "wilk_langgraph",
        "wilk_mongo",
        "wilk_postgres",
    ):
        names = wheels.get(name, [])
        if f"{name}/py.typed" not in names:
            faults.append(f"{name}: the wheel has no py.typed")
        if any("tests/" in entry or entry.endswith(".pyc") for entry in names):
            faults.append(f"{name}: the wheel carries tests or bytecode")
    for needed in (
        "wilk/migrations/0001_initial.py",
        "wilk/cli/__init__.py",
        "wilk/cli/skeletons/backend/opening.py.txt",
    ):
        if needed not in wheels.get("wilk", []):
            faults.append(f"wilk: the wheel lacks {needed}")
    for path in folder.glob("wilk-*.tar.gz"):
        with tarfile.open(path) as archive:
            inside = [name.partition("/")[2] for name in archive.getnames()]
        if any(name.startswith(("plugins/", "examples/", "tests/")) for name in inside):
            faults.append(f"{path.name} carries plugins, examples or tests")
        if "pyproject.toml" not in inside or "core/wilk/__init__.py" not in inside:
            faults.append(f"{path.name} cannot be built from")
    print("\n".join(faults) or f"{len(wheels)} wheels and their sdists are sound")
    return 1 if faults or not wheels else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
