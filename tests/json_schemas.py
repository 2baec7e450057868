"""The schemas in docs/schemas, made from the records: python tests/json_schemas.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from onnxray.gate.reports.json_schema import comparison_schema, evaluation_schema

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


def schemas() -> dict[str, dict[str, Any]]:
    """By the name of the file."""
    return {"compare.schema.json": comparison_schema(), "evaluate.schema.json": evaluation_schema()}


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (FOLDER / name).write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
