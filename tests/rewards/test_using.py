"""Rewards by name, mixes, both adapters to TRL, and that the page says what the code does."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stvg.config import Config
from stvg.errors import UsageError
from stvg.rewards import (
    Answer,
    FromTrl,
    Mix,
    Reward,
    Score,
    StvgO1Rewards,
    StvgR1Rewards,
    Target,
    as_trl,
    available_rewards,
    find_reward,
    trl_columns,
)
from stvg.rewards.boxes import BoxConfig
from stvg.rewards.terms.number import NumberConfig
from stvg.rewards.trl import TrlConfig
from stvg.text import Parsed, find_codec
from tests.rewards.answers import SIZE, VIEW, target, tube

ROOT = Path(__file__).resolve().parents[2]
OWN = """
from stvg.rewards import Reward, Score

class Length(Reward):
    name = "length"
    bounds = (0.0, 1.0)
    def judge(self, answer, target):
        return Score(float(len(answer.text) < 9), f"{len(answer.text)} signs")

def by_trl(completions, wanted, **columns):
    return [float(each[0]["content"] == want) for each, want in zip(completions, wanted)]

class Nothing: pass
"""
ANSWER = Answer("yes", Parsed(None, None, problem="no boxes"), prompt="is it?", ids=(3, 4))
NO_TARGET = Target((), SIZE)


def test_rewards_are_found_by_file() -> None:
    files = {path.stem for path in (ROOT / "src/stvg/rewards/terms").glob("[a-z]*.py")}
    assert set(available_rewards()) == files
    for name in available_rewards():
        reward = find_reward(name)
        assert reward.name == name
        assert reward.bounds[0] < reward.bounds[1]
    with pytest.raises(UsageError, match="did you mean 'temporal'"):
        find_reward("temporl")
    with pytest.raises(UsageError, match="there is no option 'l2', known: empty_overlap_value"):
        find_reward("spatial", {"l2": 1})


def test_rewards_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    assert find_reward(f"{path}:Length")([ANSWER], [NO_TARGET])[0].value == 1.0
    function = find_reward(f"{path}:by_trl")
    truths = [Target((), SIZE, columns={"wanted": want}) for want in ("yes", "no")]
    assert [score.value for score in function([ANSWER] * 2, truths)] == [1.0, 0.0]
    with pytest.raises(UsageError, match=r"a subclass of stvg\.rewards\.Reward or a function"):
        find_reward(f"{path}:Nothing")
    mix = StvgO1Rewards.of({"others": {f"{path}:Length": 2.0}}).mix()
    (total,) = mix([ANSWER], [NO_TARGET])
    assert total.value == 2.0  # the form is not there, nothing else applies


def test_scores_are_finite_and_have_a_reason() -> None:
    with pytest.raises(UsageError, match="must be finite or None, found nan: because"):
        Score(math.nan, "because")
    with pytest.raises(UsageError, match="needs a reason"):
        Score(1.0, "")
    with pytest.raises(UsageError, match="found 1 for 2 answers"):
        find_reward("format")([ANSWER, ANSWER], [NO_TARGET])


class Breaks(Reward):
    """Breaks down on one text."""

    name = "breaks"
    bounds = (0.0, 1.0)

    def judge(self, answer: Answer, target: Target) -> Score:
        del target
        if answer.text == "bad":
            raise ValueError("what is\nthis")
        return Score(0.5, "fine")


def test_a_reward_that_raises_is_told_and_left_out() -> None:
    bad = Answer("bad", ANSWER.parsed)
    mix = Mix({"breaks": Breaks(), "format": find_reward("format")}, {"breaks": 1, "format": 1})
    totals = mix([ANSWER, bad, ANSWER], [NO_TARGET] * 3)
    assert [total.value for total in totals] == [0.5, 0.0, 0.5]
    assert totals[1].scores["breaks"] == Score(None, "raised ValueError: what is this", failed=True)
    alone = Mix({"breaks": Breaks()}, {"breaks": 1})
    assert alone([bad], [NO_TARGET])[0].value is None
    with pytest.raises(UsageError, match="found 0 for 1 answers"):
        alone([bad], [])


def test_weights() -> None:
    answer = Answer.of("<t_0> <t_4> : <t_0> 30 20 60 90", find_codec("compact"), VIEW)
    mix = Mix.of({"temporal": 3.0, "format": 0.0})
    (total,) = mix([answer], [target(tube(0, 8))])
    assert total.value == pytest.approx(1.5)  # 3 x 4 / 8; the form is scored and does not count
    assert total.scores["format"].value == 1.0
    assert mix.bounds == (0.0, 3.0)
    assert StvgO1Rewards().mix().bounds == (-2.0, 6.0)  # 1 + 1 + 1 + 2 + 0.5 x 2, not all at once
    assert Mix.of({"format": 0.0})([answer], [NO_TARGET])[0].value is None
    for weights, options, match in (
        ({}, {}, "at least one reward"),
        ({"format": 1}, {"l1": 1}, "no reward here has an option 'l1'"),
        ({"spatial": 1}, {"gio": 1}, "did you mean 'giou'"),
    ):
        with pytest.raises(UsageError, match=match):
            Mix.of(weights, options)


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match="nothing is left of the spatial reward"):
        StvgO1Rewards.of({"boxes": {"giou": False, "l1": False}})
    with pytest.raises(UsageError, match=r"think: Input should be less than or equal to 1"):
        StvgO1Rewards.of({"think": 1.5})
    with pytest.raises(UsageError, match="did you mean 'temporal'"):
        StvgO1Rewards.of({"tempral": 1})


def test_our_reward_as_trl_calls_it() -> None:
    texts = ["<t_0> <t_4> : <t_0> 30 20 60 90", "no"]
    columns = [trl_columns(VIEW, target(tube(0, 8))), trl_columns(VIEW, target())]
    logged: dict[str, list[str]] = {}
    call = as_trl(find_reward("temporal"), find_codec("compact"))
    assert call.__name__ == "temporal"
    completions: list[Any] = [texts, [[{"role": "assistant", "content": text}] for text in texts]]
    for each in completions:
        values = call(
            prompts=["q", "q"],
            completions=each,
            completion_ids=[[1], [2]],
            trainer_state=None,
            log_extra=logged.__setitem__,
            log_metric=print,
            **{name: [row[name] for row in columns] for name in columns[0]},
        )
        assert values == [0.5, None]
    assert logged["temporal_reason"][1] == "there is no target"
    with pytest.raises(UsageError, match="lacks the columns targets, view; make them with"):
        call(prompts=["q"], completions=["no"], completion_ids=[[1]])


def test_columns_go_there_and_back() -> None:
    codec = find_codec("o1")
    text = codec.render(tube(1, 5), VIEW)
    truth = target(tube(1, 5), tube(6, 8))
    ours = find_reward("spatial")([Answer.of(text, codec, VIEW)], [truth])
    row = {name: [value] for name, value in trl_columns(VIEW, truth).items()}
    assert as_trl(find_reward("spatial"), codec)(["q"], [text], **row) == [ours[0].value]


def test_a_function_of_trl_as_ours() -> None:
    seen: dict[str, Any] = {}

    def function(**given: Any) -> list[float | None]:
        seen.update(given)
        return [1, None, math.nan, math.inf]

    truths = [Target((), SIZE, columns={"solution": number}) for number in range(3)]
    scores = FromTrl(function)([ANSWER] * 4, [*truths, NO_TARGET])
    assert [score.value for score in scores] == [1.0, None, None, None]
    assert [score.failed for score in scores] == [False, False, True, True]
    assert scores[2].reason == "function returned nan"
    assert seen["prompts"][0] == [{"role": "user", "content": "is it?"}]
    assert seen["completions"][0] == [{"role": "assistant", "content": "yes"}]
    assert seen["completion_ids"][0] == [3, 4]
    assert seen["solution"] == [0, 1, 2, None]
    seen["log_extra"]("name", ["x"])  # may be called
    FromTrl(function, TrlConfig(conversational=False))([ANSWER] * 4, [NO_TARGET] * 4)
    assert seen["completions"][0] == "yes"
    with pytest.raises(UsageError, match="function returned 4 rewards for 1 completions"):
        FromTrl(function).judge(ANSWER, NO_TARGET)

    async def later(**given: Any) -> list[float | None]:
        del given
        return []

    with pytest.raises(UsageError, match="asynchronous"):
        FromTrl(later)


def test_there_and_back_is_the_same() -> None:
    codec = find_codec("compact")
    text, truth = "<t_0> <t_4> : <t_0> 30 20 60 90", target(tube(0, 8))
    around = FromTrl(as_trl(find_reward("temporal"), codec))
    row = Target((), SIZE, columns=trl_columns(VIEW, truth))
    assert around([Answer(text, ANSWER.parsed)], [row])[0].value == 0.5


@pytest.mark.parametrize(
    ("mark", "options"),
    [
        ("o1", StvgO1Rewards),
        ("r1", StvgR1Rewards),
        ("boxes", BoxConfig),
        ("number", NumberConfig),
        ("trl", TrlConfig),
    ],
)
def test_options_are_documented(mark: str, options: type[Config]) -> None:
    page = (ROOT / "docs/rewards.md").read_text()
    table = page.split(f"<!-- {mark} -->")[1].split(f"<!-- /{mark} -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (.+) \|$", table, re.MULTILINE)
    expected = []
    for name, default, description in options.describe():
        shown = str(default) if not isinstance(default, Config) else "below"
        expected.append((name, shown, description))
    assert rows == expected


def test_every_reward_is_documented() -> None:
    page = (ROOT / "docs/rewards.md").read_text()
    table = page.split("<!-- rewards -->")[1].split("<!-- /rewards -->")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == available_rewards()


def test_the_package_loads_nothing_heavy() -> None:
    program = "import stvg.rewards, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "trl", "scipy"} & set(loaded)


def test_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/rewards.md").read_text()
    first, _, own = re.findall(r"```python\n(.*?)```", page, re.DOTALL)  # the second needs TRL
    exec(compile(first, "rewards.md", "exec"), {})
    # all five: 1 + 1 + 1 + (R_spa of the draft + 1) + 0.5 x its gain; the draft is 9 % to the right
    # of 50 x 50 %: GIoU 41 / 59 (the hull is the union), L1 (0.09 + 0.09) / 4
    draft = 41 / 59 - 0.045
    assert float(capsys.readouterr().out.split()[0]) == pytest.approx(4 + draft + (1 - draft) / 2)
    scope: dict[str, Any] = {}
    exec(compile(own, "rewards.md", "exec"), scope)
    assert scope["Brief"]()([ANSWER], [NO_TARGET])[0].value == 1.0
