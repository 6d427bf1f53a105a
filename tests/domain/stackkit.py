"""What the tests of the stack file share: models of target types as plugins would bring them, and one-line loading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness_core.domain.definition import StackDefinition
from harness_core.domain.loading import Loaded, load_stack
from harness_core.domain.protocol import Diagnostic, StackSource
from harness_core.domain.spec import UnitSpec


class Process(BaseModel):
    """Run a program on this machine."""

    model_config = ConfigDict(extra="forbid")

    binary: str
    args: list[str] = []
    env: dict[str, str] = {}
    working_dir: str | None = None
    nice: int = 0
    tty: bool = False


class Lenient(BaseModel):
    """Takes numbers for texts by itself, and judges itself as a whole."""

    args: list[str | float] = []
    share: float = 1.0
    mask: int = 0

    @model_validator(mode="after")
    def _some(self) -> Lenient:
        if self.share == 9.5:
            raise ValueError("share cannot be 9.5")
        return self


class Mount(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: str
    read_only: bool = False


class Container(BaseModel):
    """Run a container; has a field ``type`` of its own and a union in a list."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["container"]
    image: str
    env: dict[str, str] = {}
    ports: list[int | str] = []
    mounts: list[Annotated[Mount, Field(description="a folder")] | str] = []

    @field_validator("image")
    @classmethod
    def _lower(cls, value: str) -> str:
        if value != value.lower():
            raise ValueError(f"image {value} must be lower case")
        return value


class Broken(BaseModel):
    """A plugin's model with a defect."""

    @field_validator("*", mode="before")
    @classmethod
    def _fails(cls, value: object) -> object:
        raise RuntimeError("a defect")

    x: int


class Remote(Process):
    """Run a program on another machine."""

    host: str


OPTIONS: dict[str, type[BaseModel]] = {
    "process": Process,
    "container": Container,
    "broken": Broken,
    "remote": Remote,
    "lenient": Lenient,
}


def reader(files: Mapping[str, bytes | Exception]) -> Any:
    def read(path: str) -> bytes:
        content = files.get(path, FileNotFoundError(2, "No such file or directory"))
        if isinstance(content, Exception):
            raise content
        return content

    return read


def load(
    text: str,
    *,
    env: Mapping[str, str] | None = None,
    files: Mapping[str, bytes | Exception] | None = None,
    name: str | None = None,
    options: Mapping[str, type[BaseModel]] = OPTIONS,
    **more: Any,
) -> Loaded:
    source = StackSource(text=text, filename="stack.yaml", base_dir="/srv/shop", env=dict(env or {}), name=name)
    return load_stack(source, options, read=reader(files or {}), **more)


def good(text: str, **more: Any) -> StackDefinition:
    """The definition of a file that must be faultless."""
    loaded = load(text, **more)
    assert loaded.stack is not None, show(loaded.diagnostics)
    return loaded.stack


def services(text: str, **more: Any) -> dict[str, UnitSpec]:
    """The units of a stack of which only the services are given, indented by two."""
    return good(f"name: shop\nservices:\n{text}", **more).units


def found(text: str, **more: Any) -> list[str]:
    """The findings in short: ``["3:5 unknown-key"]``."""
    return [f"{d['line']}:{d['column']} {d['code']}" for d in load(text, **more).diagnostics]


def show(diagnostics: list[Diagnostic]) -> str:
    """Findings as people see them, one block each."""
    blocks = []
    for d in diagnostics:
        lines = [f"{d['severity']}[{d['code']}]: {d['message']}", f"  --> {d['file']}:{d['line']}:{d['column']}"]
        if d["text"]:
            caret = " " * (d["column"] - 1) + "^" * (d["end_column"] - d["column"])
            lines += [f"  | {d['text']}", f"  | {caret} {d['label']}".rstrip()]
        blocks.append("\n".join([*lines, *(f"  = {note}" for note in d["notes"])]))
    return "\n\n".join(blocks) + "\n"
