"""The plan of a training run: what each step, forward pass and process sees."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unwaver.errors import RecipeError
from unwaver.recipe import TrainSettings
from unwaver.training.batches import BatchPlan, plan, spread

KINDS = ["shuffled", "grouped", "packed"]


def train(**changes: Any) -> TrainSettings:
    return TrainSettings(**{"global_batch": 8, "micro_batch": 2, "max_tokens": 128, **changes})


def mixed(count: int) -> tuple[list[int], list[str]]:
    """Lengths and parts of a mix in which length goes with class."""
    parts = ["benign" if index % 4 == 0 else "safety" for index in range(count)]
    return [100 - index % 20 if part == "benign" else 20 + index % 20 for index, part in enumerate(parts)], parts


def seen(made: BatchPlan) -> Counter[int]:
    return Counter(index for step in range(len(made.steps)) for index in made.examples(step))


@settings(max_examples=80, deadline=None)
@given(
    count=st.integers(1, 70),
    batching=st.sampled_from(KINDS),
    processes=st.sampled_from([1, 2, 4]),
    epochs=st.sampled_from([0.5, 1.0, 2.5]),
    seed=st.integers(0, 5),
)
def test_each_example_is_trained_on_once_an_epoch(
    count: int, batching: str, processes: int, epochs: float, seed: int
) -> None:
    lengths, parts = mixed(count)
    made = plan(lengths, parts, train(batching=batching, epochs=epochs), processes, seed)
    times = seen(made)
    total = max(1, round(epochs * count))
    assert sum(times.values()) == total
    assert set(times.values()) <= {int(epochs), -(-total // count)}
    assert [len(made.examples(step)) for step in range(len(made.steps) - 1)] == [8] * (len(made.steps) - 1)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 70),
    batching=st.sampled_from(KINDS),
    processes=st.sampled_from([2, 4]),
    seed=st.integers(0, 5),
)
def test_the_number_of_processes_changes_no_step(count: int, batching: str, processes: int, seed: int) -> None:
    lengths, parts = mixed(count)
    one, several = (plan(lengths, parts, train(batching=batching), n, seed) for n in (1, processes))
    assert len(one.steps) == len(several.steps)
    for step in range(len(one.steps)):
        assert sorted(one.examples(step)) == sorted(several.examples(step))
    shares = [several.of_process(rank) for rank in range(processes)]
    assert len({len(share) for share in shares}) == 1, "no process may wait for another"
    assert all(batch for share in shares for batch in share)
    dealt = Counter(index for share in shares for batch in share for index in batch if index != several.filler)
    assert dealt == seen(several)


@settings(max_examples=60, deadline=None)
@given(groups=st.lists(st.sampled_from("abc"), min_size=1, max_size=80), seed=st.integers(0, 10))
def test_every_group_is_spread_over_the_whole(groups: list[str], seed: int) -> None:
    order = spread(groups, seed)
    assert sorted(order) == list(range(len(groups)))
    sizes = Counter(groups)
    for group, size in sizes.items():
        places = [at for at, index in enumerate(order) if groups[index] == group]
        # Between two of a group lie less than two of its stretches, and in each of these at most n/size + 1 of another, cut at both ends.
        most = sum(2 * other / size + 2 for name, other in sizes.items() if name != group)
        assert all(later - earlier - 1 <= most for earlier, later in pairwise(places))


def test_every_step_holds_every_part_and_the_last_ones_are_no_class_of_their_own() -> None:
    lengths, parts = mixed(400)
    made = plan(lengths, parts, train(global_batch=16), 1, 0)
    for step in range(len(made.steps)):
        counts = Counter(parts[index] for index in made.examples(step))
        assert 2 <= counts["benign"] <= 6, "a quarter of 16, give or take"


def padding(made: BatchPlan, lengths: list[int]) -> float:
    """The share of a padded batch that would be padding."""
    batches = [[lengths[index] for index in batch if index < len(lengths)] for step in made.steps for batch in step]
    return 1 - sum(map(sum, batches)) / sum(max(batch) * len(batch) for batch in batches if batch)


def test_grouping_inside_a_step_saves_padding_and_leaves_the_step_alone() -> None:
    lengths, parts = mixed(256)
    made = {name: plan(lengths, parts, train(global_batch=16, batching=name), 1, 0) for name in ("shuffled", "grouped")}
    assert padding(made["grouped"], lengths) < 0.5 * padding(made["shuffled"], lengths)


def test_packed_rows_are_few_and_none_is_longer_than_asked() -> None:
    lengths, parts = mixed(256)
    made = plan(lengths, parts, train(global_batch=16, batching="packed", max_tokens=256), 1, 0)
    rows = [sum(lengths[index] for index in batch if index < 256) for step in made.steps for batch in step]
    assert max(rows) <= 2 * 256
    assert made.accumulation == 2, "16 examples of 45 tokens on average in rows of 512"


def test_the_order_is_the_seeds_and_an_epoch_differs_from_the_next() -> None:
    lengths, parts = mixed(64)
    first, again, other = (plan(lengths, parts, train(epochs=2), 1, seed) for seed in (1, 1, 2))
    assert first == again != other
    steps = first.steps
    assert steps[: len(steps) // 2] != steps[len(steps) // 2 :]


def test_names_of_another_numbering_keep_the_plan() -> None:
    lengths, parts = mixed(9)
    made = plan(lengths, parts, train(), 2, 0)
    renamed = made.renumbered([*range(10, 19), 99])
    assert renamed.filler == 99
    assert seen(renamed) == Counter({index + 10: count for index, count in seen(made).items()})


@pytest.mark.parametrize(
    ("changes", "processes", "sentence"),
    [
        ({"global_batch": 8, "micro_batch": 3}, 1, "8 is no multiple of 3"),
        ({"global_batch": 8, "micro_batch": 4}, 4, r"no multiple of 16 \(micro_batch 4 x processes 4\)"),
        ({"global_batch": 2, "batching": "packed"}, 4, "less than one example for each process"),
    ],
)
def test_a_global_batch_that_cannot_be_kept_is_refused(changes: dict[str, Any], processes: int, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        plan([10] * 20, ["safety"] * 20, train(**changes), processes, 0)
