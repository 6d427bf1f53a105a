"""From what a person types to the units that are meant."""

from __future__ import annotations

import pytest

from harness_core.domain.errors import NotFound, UsageError
from harness_core.domain.select import one, select, with_dependencies, with_dependents
from harness_core.domain.spec import UnitSpec
from harness_core.domain.unit import Unit
from harness_core.domain.world import World
from tests.domain.build import service, stack


def spec(stack_name: str, name: str, *needs: str, base_dir: str = "/") -> UnitSpec:
    return service(name, *needs, base_dir=base_dir).model_copy(update={"stack": stack_name})


SPECS = [
    spec("shop", "db", base_dir="/src/shop"),
    spec("shop", "api", "db", base_dir="/src/shop"),
    spec("shop", "web-1", "api", base_dir="/src/shop"),
    spec("shop", "web-2", "api", base_dir="/src/shop"),
    spec("blog", "db", base_dir="/src/shop/blog"),
    spec("blog", "site", "db", base_dir="/src/shop/blog"),
]
WORLD = World(
    {name: stack().model_copy(update={"name": name}) for name in ("shop", "blog", "empty")},
    {each.key: Unit(each) for each in SPECS},
)


def chosen(*names: str, stack: str | None = None, cwd: str = "") -> list[str]:
    return [unit.key for unit in select(WORLD, names, stack=stack, cwd=cwd)]


def test_nothing_named_means_everything() -> None:
    assert chosen() == [each.key for each in SPECS]
    assert chosen(stack="blog") == ["blog/db", "blog/site"]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("api", ["shop/api"]),
        ("shop/db", ["shop/db"]),
        ("*/db", ["shop/db", "blog/db"]),
        ("web-*", ["shop/web-1", "shop/web-2"]),
        ("web-[2-9]", ["shop/web-2"]),
        ("web-?", ["shop/web-1", "shop/web-2"]),
        ("blog", ["blog/db", "blog/site"]),
        ("empty", []),
    ],
)
def test_a_name_a_glob_or_a_stack_means_its_units(name: str, keys: list[str]) -> None:
    assert chosen(name) == keys


def test_what_is_named_twice_comes_once_and_in_the_order_of_the_files() -> None:
    assert chosen("web-1", "api", "shop/api", "web-*") == ["shop/api", "shop/web-1", "shop/web-2"]


def test_a_name_in_several_stacks_is_asked_back_with_an_answer_to_give() -> None:
    with pytest.raises(UsageError, match="'db' is in several stacks: shop/db, blog/db") as caught:
        chosen("db")
    assert caught.value.hint == "say which: shop/db"


@pytest.mark.parametrize(
    ("cwd", "key"), [("/src/shop", "shop/db"), ("/src/shop/blog/posts", "blog/db"), ("/src/shop/api", "shop/db")]
)
def test_a_name_in_several_stacks_means_the_one_whose_directory_the_caller_is_in(cwd: str, key: str) -> None:
    assert chosen("db", cwd=cwd) == [key]


def test_a_directory_that_only_begins_with_the_same_letters_does_not_count() -> None:
    with pytest.raises(UsageError):
        chosen("db", cwd="/src/shopping")


def test_within_a_stack_a_name_is_never_ambiguous() -> None:
    assert chosen("db", stack="blog") == ["blog/db"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("apii", "did you mean 'api'?"), ("shp", "did you mean 'shop'?"), ("zzz*", "known: api, blog, db")],
)
def test_an_unknown_name_is_answered_with_what_comes_near(name: str, hint: str) -> None:
    with pytest.raises(NotFound, match="no service, task or stack is called") as caught:
        chosen(name)
    assert caught.value.hint.startswith(hint)


def test_an_unknown_stack_is_said_to_be_one() -> None:
    with pytest.raises(NotFound, match="no stack is called 'shp'") as caught:
        chosen(stack="shp")
    assert caught.value.data == {"did_you_mean": "shop"}


def test_another_stack_than_the_given_one_is_empty_and_not_the_other() -> None:
    with pytest.raises(NotFound):
        chosen("blog", stack="shop")


def test_with_nothing_registered_the_hint_says_how_to_begin() -> None:
    with pytest.raises(NotFound) as caught:
        select(World(), ["db"])
    assert caught.value.hint == "nothing is registered yet: harness start FILE"


def test_exactly_one_is_given_or_all_candidates_are_named() -> None:
    assert one(WORLD, "api").key == "shop/api"
    with pytest.raises(UsageError, match="'web-\\*' means 2 units: shop/web-1, shop/web-2"):
        one(WORLD, "web-*")


def test_closures_stay_within_each_stack() -> None:
    units = select(WORLD, ["api", "blog/db"])
    assert with_dependencies(WORLD, units) == ["shop/db", "shop/api", "blog/db"]
    assert with_dependents(WORLD, units) == ["shop/api", "shop/web-1", "shop/web-2", "blog/db", "blog/site"]
