"""Packages with real metadata are found, and a broken one takes nothing with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness_core.domain.executor import ExecutorPlugin
from harness_core.runtime.plugins import find_entry_points, load_plugins
from tests.plugins.installing import HERE, install, write_metadata

GROUP = "harness.executors"


def test_an_installed_package_is_found_and_a_broken_one_is_named(site: Path) -> None:
    install("broken", site)
    install("good", site)
    plugins = load_plugins()
    assert isinstance(plugins.executors["detached"], ExecutorPlugin)
    assert "process" in plugins.executors
    rows = {row["distribution"]: row for row in plugins.rows}
    assert rows["harness-detached"] == {
        "name": "detached",
        "distribution": "harness-detached",
        "version": "1.2.0",
        "types": ["detached"],
        "status": "ok",
        "problem": "",
    }
    assert rows["harness-broken"]["status"] == "broken"
    assert rows["harness-broken"]["problem"] == "SystemExit: this plugin wants no guests"


def test_our_own_come_first_and_the_rest_in_the_order_of_their_names(site: Path) -> None:
    for name in ("zebra", "Ant_Hill", "bee"):
        write_metadata(site, name, "1", {GROUP: {"two": "nowhere", "one": "nowhere"}})
    found = [(point.dist.name, point.name) for point in find_entry_points() if point.dist]
    assert found[0][0] == "service-harness"
    others = ("Ant_Hill", "bee", "zebra")
    assert [one for one in found if one[0] in others] == [(dist, name) for dist in others for name in ("one", "two")]


def test_a_second_copy_further_down_the_path_is_shadowed(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    write_metadata(site, "some-plugin", "1", {GROUP: {"old": "nowhere"}})
    write_metadata(first, "Some.Plugin", "2", {GROUP: {"new": "nowhere"}})
    monkeypatch.syspath_prepend(first)
    assert [point.name for point in find_entry_points() if point.name in ("old", "new")] == ["new"]


def test_unreadable_metadata_hides_only_itself(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    (write_metadata(site, "torn", "1", {}) / "entry_points.txt").write_text(f"[{GROUP}]\nno equals sign\n")
    (write_metadata(site, "binary", "1", {}) / "entry_points.txt").write_bytes(b"[\xff\xfe\0")
    install("good", site)
    assert "detached" in load_plugins().executors
    assert "cannot read the metadata of an installed distribution" in caplog.text


def test_the_packages_name_what_they_need() -> None:
    assert 'dependencies = ["service-harness"]' in (HERE / "good" / "pyproject.toml").read_text(encoding="utf-8")
