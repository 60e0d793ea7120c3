"""Print the oldest releases that pyproject.toml allows, as constraints for pip."""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def main() -> None:
    """Print ``name==version`` for each requirement that has a lower bound."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["leiden"]]:
        if match := re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement):
            print(f"{match[1]}=={match[2]}")


if __name__ == "__main__":
    main()
