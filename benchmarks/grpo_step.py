"""What a step of GRPO costs when the prompt is computed once a group: CPU seconds and memory.

The random model of `queries.py` in the proportions of Qwen2.5-VL-7B (32-bit floats, one thread),
prompts of a clip of 448x252 and a sentence, G completions. Beside ours, in its two forms
(`GroupScorer`), stand two ways of doing everything G times, both a row at a time, the usual
micro-batch for video:

Plain. The class's own forward on prompt and completion, pixels included, as trainers do. "loss" is
forward and backward of the clipped loss with a reference, the vision tower trained; "features
given" leaves the tower out on both sides. "step" is sampling, reference (another model) and loss,
the tower frozen: `generate` on G copies of the prompt, then reference and loss with only
completions projected. It is the path of TRL's trainer with the video put in.

TRL. Its own `GRPOTrainer` (1.16), see `_trl_group.py`, where `import trl` works. It takes no
video, so the frames of the clip are images, of which half as many make as many tokens. "loss" is
its `compute_loss` and backward on inputs that it has prepared, "step" its `training_step` from
images to gradient; ours reads the same images, scores what it sampled with the same advantages,
and for "step" samples as much itself. TRL gives placeholders their probability, so ours does
there. Without Triton its head projects every token of the prompt too, a twentieth of its work.

Reward, optimiser and reading the video are the same for all and left out.

Memory: largest resident size during the loss above that before it, each way in a process of its own
(Linux); 8 completions of 50 tokens, the tower trained.

CPU seconds are of the process, ways in turns (A B, B A), median of the repetitions.

Run:  python benchmarks/grpo_step.py [--quick] [--json] [--repetitions N]
Takes a quarter of an hour on one core, ten minutes without TRL (the longest cases twice, all else
three times); with --quick one repetition of short prompts in under a minute. Exits with 1 when a
loss or log-probabilities of ours differ from the other way's by more than 1e-5, or gradients by
more than 1e-4 of their length.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import transformers
from _models import IMAGE, VIDEO, VISION_END, VISION_START, make_model
from rich.console import Console
from rich.table import Table
from transformers.modeling_outputs import BaseModelOutputWithPooling

from stvg.backbones import positions
from stvg.backbones.choosing import log_probabilities
from stvg.backbones.positions import token_types
from stvg.backbones.prefix import Features
from stvg.backbones.preprocess import video_inputs
from stvg.backbones.qwen import QwenBackbone
from stvg.train.group import Form, Group, GroupScorer, Scores
from stvg.train.group_loss import grpo_loss

SIZE = (448, 252)
SECONDS_PER_STEP = 1.0
SENTENCE = list(range(300, 315))
KL = 0.04
PLAIN, TRL, ROW, CACHE = "a row at a time", "TRL's trainer", "ours, row", "ours, cache"
AT_ONCE = "all rows at once"
MEMORY_GOAL = 3.0
EXACT, EXACT_GRADIENTS = 1e-5, 1e-4
NO_TRL = "trl is not installed; pip install trl"


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        what: Of the loss alone or of the whole step.
        against: Which other way.
        frames: Frames of the clip; every 2 are 144 tokens.
        length: Tokens C of each completion.
        count: Completions G.
        goal: How many times faster the form ``row`` should at least be.
        given: Whether features are given.
        most: Repetitions at most.
    """

    what: Literal["loss", "step"]
    against: str
    frames: int
    length: int = 50
    count: int = 8
    goal: float | None = None
    given: bool = False
    most: int = 3


CASES = (
    Case("loss", PLAIN, 14, goal=5.0),
    Case("loss", PLAIN, 14, count=16, goal=8.0),
    Case("loss", PLAIN, 28, goal=5.5),
    Case("loss", PLAIN, 28, length=200, goal=4.0),
    Case("loss", PLAIN, 28, given=True),
    Case("loss", PLAIN, 56, goal=6.5, most=2),
    Case("step", PLAIN, 28, goal=6.0),
    Case("step", PLAIN, 28, length=200, goal=4.0, most=2),
    Case("loss", TRL, 14, goal=5.0),
    Case("loss", TRL, 14, count=16, goal=8.0),
    Case("loss", TRL, 56, goal=6.5, most=2),
    Case("step", TRL, 28, goal=6.0),
)
QUICK_CASES = (
    Case("loss", PLAIN, 10),
    Case("step", PLAIN, 10),
    Case("loss", TRL, 6),
    Case("step", TRL, 6),
)


class Result(NamedTuple):
    """What all ways must agree on: the loss, log-probabilities (G, C), the gradient (all of it)."""

    loss: float
    log_probs: Any
    gradient: Any


Way = Callable[[], Result]


@dataclass(frozen=True)
class Scene:
    """Two models, a prompt with a video or images, completions of it and what their loss needs.

    Attributes:
        backbone: The policy.
        reference: Another model.
        frames: (T, H, W, 3) uint8.
        kind: Whether they are a video or images, a constant of ``backbones.positions``.
        prompt: Tokens.
        completions: Tokens, G of C.
        advantages: (G,).
        old: Log-probabilities (G, C) by an earlier policy; None where it is the policy itself.
        others: Log-probabilities (G, C) by the reference.
    """

    backbone: QwenBackbone
    reference: QwenBackbone
    frames: Any
    kind: int
    prompt: list[int]
    completions: list[list[int]]
    advantages: Any
    old: Any
    others: Any

    @property
    def length(self) -> int:
        """Tokens of a completion."""
        return len(self.completions[0])

    def pixels(self) -> list[tuple[Any, Any]]:
        """Values and grid of the video, or of each image."""
        clips = [self.frames] if self.kind == positions.VIDEO else self.frames[:, None]
        return [video_inputs(clip, self.backbone.layout) for clip in clips]

    def features(self, pixels: Sequence[tuple[Any, Any]]) -> list[Features]:
        """What the tower makes of them."""
        return [
            self.backbone.encode_video(
                values, grid, seconds_per_step=SECONDS_PER_STEP, kind=self.kind
            )
            for values, grid in pixels
        ]

    def loss(self, log_probs: Any, rows: slice) -> Any:
        """The share of some of the completions in the mean over all tokens."""
        weights = torch.full_like(log_probs, 1 / (len(self.completions) * self.length))
        old = None if self.old is None else self.old[rows]
        values, others = self.advantages[rows], self.others[rows]
        return grpo_loss(log_probs, old, values, weights, reference=others, kl=KL).loss

    def inputs(
        self, rows: Sequence[Sequence[int]], pixels: Any, given: Sequence[Features] | None = None
    ) -> dict[str, Any]:
        """What the class wants for rows of tokens, the video in each."""
        count, ((values, grid),) = len(rows), pixels
        found = {
            "input_ids": torch.tensor(rows),
            "mm_token_type_ids": torch.from_numpy(token_types(rows, IMAGE, VIDEO)),
            "video_grid_thw": torch.from_numpy(grid).repeat(count, 1),
            "second_per_grid_ts": torch.tensor([SECONDS_PER_STEP] * count),
        }
        if given is not None:
            pooled = BaseModelOutputWithPooling(pooler_output=(given[0].tokens,) * count)
            return found | {"mm_encoder_outputs": {"video": pooled}}
        return found | {"pixel_values_videos": torch.from_numpy(values).repeat(count, 1)}

    def plain(self, model: Any, rows: slice, pixels: Any, given: Any = None) -> Any:
        """Log-probabilities (B, C) of some of the completions by the class itself."""
        completions = self.completions[rows]
        inputs = self.inputs([[*self.prompt, *each] for each in completions], pixels, given)
        logits = model(**inputs, logits_to_keep=self.length + 1, use_cache=False).logits
        every = log_probabilities(logits[:, :-1], self.backbone.banned_tokens)
        return every.gather(-1, torch.tensor(completions)[..., None])[..., 0]


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="shorter prompts, one repetition")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--repetitions", type=int, default=3, help="how often; 1 with --quick")
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    if options.peak:
        print(peak_of(options.peak))
        return 0
    trl = trl_version()
    cases, repetitions = (QUICK_CASES, 1) if options.quick else (CASES, options.repetitions)
    rows = [compare(case, repetitions) for case in cases if trl or case.against != TRL]
    document = {
        "benchmark": "grpo_step", "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__, "transformers": transformers.__version__,
        "trl": trl or NO_TRL,
        "rows": rows, "memory": None if options.quick else compare_memory(),
    }  # fmt: skip
    if options.json:
        print(json.dumps(document))
    else:
        show(document)
    return 0 if all(row["is_exact"] for row in rows) else 1


# --- the ways -----------------------------------------------------------------------------------


def ways_of(case: Case) -> tuple[Scene, dict[str, Way]]:
    """What a case is measured on, and its ways, the other one first."""
    scene, ways = (trl_ways if case.against == TRL else plain_ways)(case)
    scene.backbone.model.model.visual.requires_grad_(case.what == "loss" and not case.given)
    return scene, ways


def plain_ways(case: Case) -> tuple[Scene, dict[str, Way]]:
    """With a video; pixels are made beforehand for all."""
    scene = video_scene(case)
    pixels = scene.pixels()
    if case.what == "step":
        return scene, {
            PLAIN: lambda: plain_step(scene, pixels),
            ROW: lambda: our_step(scene, pixels, "row"),
            CACHE: lambda: our_step(scene, pixels, "cache"),
        }
    with torch.no_grad():
        given = scene.features(pixels) if case.given else None
    return scene, {
        PLAIN: lambda: plain_loss(scene, pixels, given, 1),
        ROW: lambda: our_loss(scene, pixels, given, "row"),
        CACHE: lambda: our_loss(scene, pixels, given, "cache"),
    }


def trl_ways(case: Case) -> tuple[Scene, dict[str, Way]]:
    """With images; in a step all make their pixels themselves."""
    from _trl_group import TrlGroup

    model, other = make_models()
    frames = make_frames(case.frames // 2)
    group = TrlGroup(model, other, frames, SENTENCE, count=case.count, length=case.length, kl=KL)
    scene = Scene(
        Unbanned(model), Unbanned(other), frames, positions.IMAGE, prompt=group.prompt,
        completions=group.completions, advantages=group.advantages, old=None,
        others=group.reference,
    )  # fmt: skip
    pixels = scene.pixels()

    def theirs() -> Result:
        return Result(*(group.loss if case.what == "loss" else group.step)(), gradient_of(model))

    def ours(form: Form) -> Result:
        if case.what == "loss":
            return our_loss(scene, pixels, None, form)
        return our_step(scene, scene.pixels(), form)

    return scene, {TRL: theirs, ROW: lambda: ours("row"), CACHE: lambda: ours("cache")}


def plain_loss(scene: Scene, pixels: Any, given: Any, at_once: int) -> Result:
    """Forward and backward, a few rows at a time."""
    model, found, total = scene.backbone.model, [], 0.0
    for first in range(0, len(scene.completions), at_once):
        rows = slice(first, first + at_once)
        log_probs = scene.plain(model, rows, pixels, given)
        loss = scene.loss(log_probs, rows)
        loss.backward()
        found.append(log_probs.detach())
        total += float(loss.detach())
    return Result(total, torch.cat(found), gradient_of(model))


def plain_step(scene: Scene, pixels: Any) -> Result:
    """Sampling, reference and loss, everything G times.

    What is scored are completions of the scene, not those sampled, which differ between the ways.
    """
    count = len(scene.completions)
    scene.backbone.model.generate(
        **scene.inputs([scene.prompt] * count, pixels),
        max_new_tokens=scene.length,
        do_sample=True,
        suppress_tokens=list(scene.backbone.banned_tokens),
    )
    with torch.no_grad():
        rows = [slice(number, number + 1) for number in range(count)]
        others = torch.cat([scene.plain(scene.reference.model, each, pixels) for each in rows])
    return plain_loss(replace(scene, others=others), pixels, None, 1)


def our_loss(scene: Scene, pixels: Any, given: list[Features] | None, form: Form) -> Result:
    """Forward and backward, the prompt once."""
    group = Group(scene.prompt, given or scene.features(pixels), scene.completions)
    shares = []

    def loss(part: Scores, rows: slice) -> Any:
        shares.append(scene.loss(part.log_probs, rows))
        return shares[-1]

    scores = GroupScorer(scene.backbone, form).backward(group, loss)
    total = sum(float(share.detach()) for share in shares)
    return Result(total, scores.log_probs, gradient_of(scene.backbone.model))


def our_step(scene: Scene, pixels: Any, form: Form) -> Result:
    """As :func:`plain_step`, the prompt once in each part."""
    backbone = scene.backbone
    with torch.no_grad():
        features = scene.features(pixels)
        backbone.generate(
            backbone.prefill(scene.prompt, features),
            max_new_tokens=scene.length,
            samples=len(scene.completions),
            temperature=1.0,
            stop=(),
        )
        group = Group(scene.prompt, features, scene.completions)
        others = GroupScorer(scene.reference, form).score(group).log_probs
    return our_loss(replace(scene, others=others), pixels, features, form)


def gradient_of(model: Any) -> Any:
    """Of all parameters, one after the other; it is forgotten."""
    found = torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None])
    model.zero_grad()
    return found


# --- what they are given ------------------------------------------------------------------------


class Unbanned(QwenBackbone):
    """Placeholders keep their probability, as in TRL."""

    @property
    def banned_tokens(self) -> tuple[int, ...]:
        """None."""
        return ()


def video_scene(case: Case) -> Scene:
    """Completions, old and reference log-probabilities at random."""
    backbone, reference = (QwenBackbone(each, convention="installed") for each in make_models())
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(2)
    shape = (case.count, case.length)
    old, others = (torch.randn(shape, generator=generator) * 0.1 - 7 for _ in range(2))
    tokens = case.frames // 2 * SIZE[0] * SIZE[1] // backbone.layout.cell**2
    return Scene(
        backbone, reference, make_frames(case.frames), positions.VIDEO,
        prompt=[VISION_START, *[VIDEO] * tokens, VISION_END, *SENTENCE],
        completions=rng.integers(300, 1000, shape).tolist(),
        advantages=torch.linspace(-1.5, 1.5, case.count), old=old, others=others,
    )  # fmt: skip


def make_models() -> tuple[Any, Any]:
    """The policy, and a reference that differs a little."""
    model = make_model()
    other = copy.deepcopy(model).requires_grad_(False)
    torch.manual_seed(1)
    for each in other.model.language_model.layers.parameters():
        each.add_(torch.randn_like(each) * 0.002)
    return model, other


def make_frames(count: int) -> Any:
    """Noise."""
    return np.random.default_rng(0).integers(0, 256, (count, SIZE[1], SIZE[0], 3), np.uint8)


def trl_version() -> str | None:
    """None where it does not import."""
    try:
        import trl
    except ImportError:
        return None
    return str(trl.__version__)


# --- measuring ----------------------------------------------------------------------------------


def compare(case: Case, repetitions: int) -> dict[str, Any]:
    """CPU seconds of every way of a case in turns, and how far the others are from the first."""
    scene, ways = ways_of(case)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    results: dict[str, Result] = {}
    for repetition in range(min(repetitions, case.most)):
        for way in ways if repetition % 2 == 0 else reversed(ways):
            before = time.process_time()
            results[way] = ways[way]()
            seconds[way].append(round(time.process_time() - before, 3))
    middle = {way: statistics.median(times) for way, times in seconds.items()}
    faster = {way: round(middle[case.against] / value, 2) for way, value in middle.items()}
    apart = {way: differences(result, results[case.against]) for way, result in results.items()}
    prompt, total = len(scene.prompt), case.count * case.length
    return {
        "what": case.what, "against": case.against, "prompt_tokens": prompt,
        "tokens": case.length, "completions": case.count, "features_given": case.given,
        "token_ratio": round((case.count * prompt + total) / (prompt + total), 2),
        "cpu_s": {way: round(value, 3) for way, value in middle.items()}, "spread_s": seconds,
        "times_faster": faster, "differences": apart,
        "is_exact": all(is_exact(each) for each in apart.values()),
        "goal": None if case.goal is None else {"goal": case.goal, "measured": faster[ROW]},
    }  # fmt: skip


def differences(result: Result, expected: Result) -> dict[str, float]:
    """Largest ones of loss and log-probabilities; of the gradient, relative to its length."""
    turned = (result.gradient - expected.gradient).norm() / expected.gradient.norm()
    return {
        "loss": abs(result.loss - expected.loss),
        "log_probs": float((result.log_probs - expected.log_probs).abs().max()),
        "gradient": float(turned),
    }


def is_exact(apart: dict[str, float]) -> bool:
    """Whether differences are those of rounding."""
    return max(apart["loss"], apart["log_probs"]) <= EXACT and apart["gradient"] <= EXACT_GRADIENTS


def compare_memory() -> dict[str, Any] | None:
    """MiB of each way, in a process of its own; None where the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    sizes = {}
    for way in (AT_ONCE, PLAIN, ROW, CACHE):
        run = subprocess.run(
            [sys.executable, __file__, "--peak", way], capture_output=True, text=True, check=True
        )
        sizes[way] = float(run.stdout)
    less = round(sizes[AT_ONCE] / max(sizes[ROW], sizes[CACHE]), 2)
    return {"mib": sizes, "goal": {"goal": MEMORY_GOAL, "measured": less}}


def peak_of(way: str) -> float:
    """MiB that the loss takes at its highest, above what there is before."""
    scene, ways = ways_of(Case("loss", PLAIN, 28))
    pixels = scene.pixels()
    ways[AT_ONCE] = lambda: plain_loss(scene, pixels, None, len(scene.completions))
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
    ways[way]()
    return round((resident("VmHWM") - before) / 1024, 1)


def resident(name: str) -> int:
    """A size of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def show(document: dict[str, Any]) -> None:
    """A table on the terminal."""
    console, table = Console(), Table("", "way", "CPU s", "faster", "goal", "gradient apart")
    for row in document["rows"]:
        notes = [f"{row['what']}, {row['prompt_tokens']} + {row['completions']} x {row['tokens']}"]
        notes += [f"{row['token_ratio']}x tokens", "features given" * row["features_given"]]
        for note, (way, seconds) in zip(notes, row["cpu_s"].items(), strict=True):
            goal = f"{row['goal']['goal']}x" if row["goal"] and way == ROW else ""
            table.add_row(
                note, way, f"{seconds:.2f}", f"{row['times_faster'][way]:.2f}x", goal,
                f"{row['differences'][way]['gradient']:.0e}",
            )  # fmt: skip
        table.add_section()
    console.print(table)
    if document["trl"] == NO_TRL:
        console.print(f"Left out: TRL's trainer ({NO_TRL}).")
    if document["memory"]:
        sizes = ", ".join(f"{way} {size:.0f}" for way, size in document["memory"]["mib"].items())
        goal = document["memory"]["goal"]
        console.print(
            f"MiB above the model: {sizes}; {goal['measured']}x less, goal {goal['goal']}x"
        )


if __name__ == "__main__":
    raise SystemExit(main())
