"""Answers for programs: JSON, JSON lines, YAML and bare names, always with the version of their form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["API_VERSION", "as_json", "as_jsonl", "as_yaml", "document", "error_document"]

#: fields may be added under the same version; removing or changing one makes a new version
API_VERSION = "harness/v1"


def document(body: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` with its version first."""
    return {"api_version": API_VERSION, **body}


def as_json(body: Mapping[str, Any]) -> str:
    """One indented JSON document."""
    return json.dumps(document(body), indent=2, ensure_ascii=False)


def as_jsonl(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """One compact JSON object a row."""
    return [json.dumps(document(row), ensure_ascii=False, separators=(",", ":")) for row in rows]


def as_yaml(body: Mapping[str, Any], *, versioned: bool = True) -> str:
    """One YAML document, keys in the order of the answer."""
    import yaml

    text: str = yaml.safe_dump(
        document(body) if versioned else dict(body), sort_keys=False, allow_unicode=True, width=120
    )
    return text.rstrip("\n")


def error_document(message: str, code: str, hint: str, exit_code: int, detail: Mapping[str, Any]) -> dict[str, Any]:
    """What ``-o json`` writes when a command fails."""
    error: dict[str, Any] = {"code": code, "message": message, "hint": hint, "exit_code": exit_code}
    if detail:
        error["detail"] = dict(detail)
    return document({"error": error})
