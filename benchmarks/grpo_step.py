"""What a step of GRPO costs when the prompt is computed once a group: CPU seconds and memory.

The random model of `queries.py` in the proportions of Qwen2.5-VL-7B (32-bit floats, one thread), a
clip of 28 frames of 448x252 (a prompt of 2,033 tokens), 8 completions of 50 or 200 tokens.

Loss: forward and backward of the clipped loss with a reference, the vision tower trained. Plain is
what trainers do: the class's own forward on prompt and completion, pixels included, a row at a time
(the usual micro-batch for video). Beside it the two forms of `GroupScorer`. "features given" leaves
the tower out on both sides.

Step: sampling, reference (a frozen copy) and loss, the tower frozen. The usual way is that of TRL's
trainer rebuilt from its calls, with the video put in (TRL 1.16 leaves it out of scoring):
`generate` on 8 copies of the prompt, then reference and loss a row at a time, only completions
projected.
Reward, optimiser and reading the video are the same for all and left out.

Memory: largest resident size during the loss above that before it, each way in a process of its own
(Linux); 50 tokens, the tower trained.

CPU seconds are of the process, ways in turns (A B, B A), median of the repetitions.

Run:  python benchmarks/grpo.py [--quick] [--json] [--repetitions N]
Takes seven minutes on one core, 30 s with --quick (14 frames, 50 tokens, no memory). Exits with 1
when log-probabilities of a way differ from plain ones by more than 1e-5, or gradients by more than
1e-4 of their length.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from _models import IMAGE, VIDEO, VISION_END, VISION_START, make_model
from rich.console import Console
from rich.table import Table
from transformers.modeling_outputs import BaseModelOutputWithPooling

from stvg.backbones.choosing import log_probabilities
from stvg.backbones.positions import token_types
from stvg.backbones.prefix import Features
from stvg.backbones.preprocess import normalise, video_inputs
from stvg.backbones.qwen import QwenBackbone
from stvg.train.group import Group, GroupScorer, Scores
from stvg.train.group_loss import grpo_loss, pick_weights

SIZE = (448, 252)
SECONDS_PER_STEP = 1.0
COMPLETIONS = 8
PLAIN, ROW, CACHE = "a row at a time", "ours, row", "ours, cache"
AT_ONCE = "all rows at once"
GOALS = {"loss_50": 4.0, "loss_200": 2.5, "step_50": 5.0, "step_200": 4.0, "memory": 3.0}
EXACT_LOG_PROBS, EXACT_GRADIENTS = 1e-5, 1e-4

Result = tuple[Any, Any]
"""Log-probabilities (G, C) and the gradient of all parameters, one after the other."""
Way = Callable[[], Result]


@dataclass(frozen=True)
class Scene:
    """Two models, a video and completions of a prompt with it."""

    backbone: QwenBackbone
    reference: QwenBackbone
    pixels: Any
    grid: Any
    length: int

    @property
    def prompt(self) -> list[int]:
        """Tokens of the video and a sentence."""
        count = int(self.grid.prod()) // self.backbone.layout.merge**2
        return [VISION_START, *[VIDEO] * count, VISION_END, *range(300, 315)]

    @property
    def completions(self) -> list[list[int]]:
        """Tokens at random, alike in length."""
        rng = np.random.default_rng(1)
        return rng.integers(300, 1000, (COMPLETIONS, self.length)).tolist()

    def features(self, *, graph: bool) -> Features:
        """What the tower makes of the video, once."""
        with torch.set_grad_enabled(graph):
            return self.backbone.encode_video(
                self.pixels, self.grid, seconds_per_step=SECONDS_PER_STEP
            )

    def loss(self, log_probs: Any, rows: slice) -> Any:
        """Of some of the completions, with old and reference log-probabilities at random."""
        generator = torch.Generator().manual_seed(2)
        shape = (COMPLETIONS, self.length)
        old, other = (torch.randn(shape, generator=generator) * 0.1 - 7 for _ in range(2))
        every = torch.ones(shape, dtype=torch.bool)
        weights = pick_weights(every, "token", completions=len(every), picks=every.sum())
        values = torch.linspace(-1.5, 1.5, COMPLETIONS)
        return grpo_loss(
            log_probs, old[rows], values[rows], weights[rows], reference=other[rows], kl=0.04
        ).loss

    def inputs(
        self, rows: Sequence[Sequence[int]], given: Features | None = None
    ) -> dict[str, Any]:
        """What the class wants for rows of tokens, the video in each."""
        count = len(rows)
        found = {
            "input_ids": torch.tensor(rows),
            "mm_token_type_ids": torch.from_numpy(token_types(rows, IMAGE, VIDEO)),
            "video_grid_thw": torch.from_numpy(self.grid).repeat(count, 1),
            "second_per_grid_ts": torch.tensor([SECONDS_PER_STEP] * count),
        }
        if given is not None:
            pooled = BaseModelOutputWithPooling(pooler_output=(given.tokens,) * count)
            return found | {"mm_encoder_outputs": {"video": pooled}}
        pixels = torch.from_numpy(normalise(self.pixels, self.backbone.layout))
        return found | {"pixel_values_videos": pixels.repeat(count, 1)}

    def plain(self, model: Any, completions: Any, given: Features | None = None) -> Any:
        """Log-probabilities (B, C) by the class itself."""
        rows = [[*self.prompt, *completion] for completion in completions]
        inputs = self.inputs(rows, given)
        logits = model(**inputs, logits_to_keep=self.length + 1, use_cache=False).logits
        every = log_probabilities(logits[:, :-1], self.backbone.banned_tokens)
        return every.gather(-1, torch.tensor(completions)[..., None])[..., 0]


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a shorter prompt, one repetition")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--repetitions", type=int, default=3, help="how often; 1 with --quick")
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    if options.peak:
        print(peak_of(options.peak))
        return 0
    frames, repetitions = (14, 1) if options.quick else (28, options.repetitions)
    losses = [compare_losses(make_scene(frames, 50), repetitions)]
    if not options.quick:
        losses.append(compare_losses(make_scene(frames, 200), repetitions))
        losses.append(compare_losses(make_scene(frames, 50), repetitions, given=True))
    steps = [
        compare_steps(make_scene(frames, length), repetitions)
        for length in ((50,) if options.quick else (50, 200))
    ]
    memory = {} if options.quick else compare_memory()
    document = {
        "benchmark": "grpo", "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__, "transformers": transformers.__version__,
        "prompt_tokens": len(make_scene(frames, 50).prompt), "completions": COMPLETIONS,
        "losses": losses, "steps": steps, "memory_mib": memory,
        "goals": goals_of(losses, steps, memory),
    }  # fmt: skip
    if options.json:
        print(json.dumps(document))
    else:
        show(document)
    return 0 if all(one["is_exact"] for one in (*losses, *steps)) else 1


# --- the ways -----------------------------------------------------------------------------------


def loss_ways(scene: Scene, *, given: bool = False) -> dict[str, Way]:
    """Forward and backward of the loss."""
    model = scene.backbone.model
    model.model.visual.requires_grad_(not given)
    ready = scene.features(graph=False) if given else None

    def plain(at_once: int) -> Result:
        found = []
        for first in range(0, COMPLETIONS, at_once):
            rows = slice(first, first + at_once)
            log_probs = scene.plain(model, scene.completions[rows], ready)
            scene.loss(log_probs, rows).backward()
            found.append(log_probs.detach())
        return torch.cat(found), gradient_of(model)

    def ours(form: Any) -> Result:
        video = ready or scene.features(graph=True)
        scores = GroupScorer(scene.backbone, form).backward(
            Group(scene.prompt, [video], scene.completions),
            lambda part, rows: scene.loss(part.log_probs, rows),
        )
        return scores.log_probs, gradient_of(model)

    return {
        PLAIN: lambda: plain(1), ROW: lambda: ours("row"), CACHE: lambda: ours("cache"),
        AT_ONCE: lambda: plain(COMPLETIONS),
    }  # fmt: skip


def step_ways(scene: Scene) -> dict[str, Way]:
    """Sampling, reference and loss, the tower frozen.

    What is scored are the same completions in all, not the sampled ones, which differ.
    """
    backbone, model, other = scene.backbone, scene.backbone.model, scene.reference
    model.model.visual.requires_grad_(False)

    def theirs() -> Result:
        model.generate(
            **scene.inputs([scene.prompt] * COMPLETIONS),
            max_new_tokens=scene.length,
            do_sample=True,
            suppress_tokens=list(backbone.banned_tokens),
        )
        with torch.no_grad():
            reference = torch.cat(
                [scene.plain(other.model, [completion]) for completion in scene.completions]
            )
        found = []
        for number, completion in enumerate(scene.completions):
            rows = slice(number, number + 1)
            found.append(scene.plain(model, [completion]))
            loss_against(found[-1], reference, rows).backward()
        return torch.cat(found).detach(), gradient_of(model)

    def ours(form: Any) -> Result:
        with torch.no_grad():
            video = scene.features(graph=False)
            prefix = backbone.prefill(scene.prompt, [video])
            backbone.generate(
                prefix, max_new_tokens=scene.length, samples=COMPLETIONS, temperature=1.0, stop=()
            )
            group = Group(scene.prompt, [video], scene.completions)
            reference = GroupScorer(other, form).score(group).log_probs

        def loss(part: Scores, rows: slice) -> Any:
            return loss_against(part.log_probs, reference, rows)

        scores = GroupScorer(backbone, form).backward(group, loss)
        return scores.log_probs, gradient_of(model)

    def loss_against(log_probs: Any, reference: Any, rows: slice) -> Any:
        values = torch.linspace(-1.5, 1.5, COMPLETIONS)[rows]
        weights = torch.full_like(log_probs, 1 / reference.numel())
        return grpo_loss(log_probs, None, values, weights, reference=reference[rows], kl=0.04).loss

    return {PLAIN: theirs, ROW: lambda: ours("row"), CACHE: lambda: ours("cache")}


def gradient_of(model: Any) -> Any:
    """Of all parameters, one after the other; it is forgotten."""
    found = torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None])
    model.zero_grad()
    return found


# --- measuring ----------------------------------------------------------------------------------


def compare_losses(scene: Scene, repetitions: int, *, given: bool = False) -> dict[str, Any]:
    """CPU seconds of the loss."""
    ways = loss_ways(scene, given=given)
    del ways[AT_ONCE]
    prompt, total = len(scene.prompt), COMPLETIONS * scene.length
    return {
        "tokens": scene.length,
        "features_given": given,
        "token_ratio": round((COMPLETIONS * prompt + total) / (prompt + total), 2),
        **measure(ways, repetitions),
    }


def compare_steps(scene: Scene, repetitions: int) -> dict[str, Any]:
    """CPU seconds of the whole step."""
    return {"tokens": scene.length, **measure(step_ways(scene), repetitions)}


def measure(ways: dict[str, Way], repetitions: int) -> dict[str, Any]:
    """CPU seconds of every way in turns, and how far results are from those of the plain one."""
    runs: dict[str, list[float]] = {way: [] for way in ways}
    results: dict[str, Result] = {}
    for repetition in range(repetitions):
        for way in ways if repetition % 2 == 0 else reversed(ways):
            before = time.process_time()
            results[way] = ways[way]()
            runs[way].append(round(time.process_time() - before, 3))
    seconds = {way: statistics.median(times) for way, times in runs.items()}
    log_probs, gradient = results[PLAIN]
    apart = {way: float((found[0] - log_probs).abs().max()) for way, found in results.items()}
    turned = {
        way: float((found[1] - gradient).norm() / gradient.norm()) for way, found in results.items()
    }
    return {
        "cpu_s": {way: round(value, 3) for way, value in seconds.items()},
        "spread_s": runs,
        "times_faster": {way: round(seconds[PLAIN] / value, 2) for way, value in seconds.items()},
        "log_prob_difference": apart,
        "gradient_difference": turned,
        "is_exact": max(apart.values()) <= EXACT_LOG_PROBS
        and max(turned.values()) <= EXACT_GRADIENTS,
    }


def compare_memory() -> dict[str, float]:
    """MiB of each way, in a process of its own; nothing where the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return {}
    found = {}
    for way in (AT_ONCE, PLAIN, ROW, CACHE):
        run = subprocess.run(
            [sys.executable, __file__, "--peak", way], capture_output=True, text=True, check=True
        )
        found[way] = float(run.stdout)
    return found


def peak_of(way: str) -> float:
    """MiB that the loss takes at its highest, above what there is before."""
    run = loss_ways(make_scene(28, 50))[way]
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
    run()
    return round((resident("VmHWM") - before) / 1024, 1)


def resident(name: str) -> int:
    """A size of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def goals_of(losses: Any, steps: Any, memory: dict[str, float]) -> dict[str, Any]:
    """Goals with what was measured of the form ``row``; memory of the form that takes more."""
    found = {
        f"loss_{one['tokens']}": one["times_faster"][ROW]
        for one in losses
        if not one["features_given"]
    }
    found |= {f"step_{one['tokens']}": one["times_faster"][ROW] for one in steps}
    if memory:
        found["memory"] = round(memory[AT_ONCE] / max(memory[ROW], memory[CACHE]), 2)
    return {name: {"goal": GOALS[name], "measured": value} for name, value in found.items()}


def make_scene(frames: int, length: int) -> Scene:
    """The model, a copy that differs a little, a clip of noise."""
    backbone = QwenBackbone(make_model(), convention="installed")
    other = copy.deepcopy(backbone.model).requires_grad_(False)
    torch.manual_seed(1)
    for each in other.model.language_model.layers.parameters():
        each.add_(torch.randn_like(each) * 0.002)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (frames, SIZE[1], SIZE[0], 3), np.uint8)
    pixels, grid = video_inputs(noise, backbone.layout, keep_bytes=True)
    return Scene(backbone, QwenBackbone(other, convention="installed"), pixels, grid, length)


def show(document: dict[str, Any]) -> None:
    """Tables on the terminal."""
    console = Console()
    prompt = document["prompt_tokens"]
    for one in (*document["losses"], *document["steps"]):
        kind = "step" if one in document["steps"] else "loss"
        given = ", features given" if one.get("features_given") else ""
        title = f"{kind}, prompt {prompt}, {one['tokens']} tokens{given}"
        table = Table("way", "CPU s", "faster", "log-prob", "gradient", title=title)
        for way, seconds in one["cpu_s"].items():
            table.add_row(
                way, f"{seconds:.2f}", f"{one['times_faster'][way]:.2f}x",
                f"{one['log_prob_difference'][way]:.0e}", f"{one['gradient_difference'][way]:.0e}",
            )  # fmt: skip
        console.print(table)
    if document["memory_mib"]:
        table = Table("way", "MiB above the model", title="memory of the loss, 50 tokens")
        for way, size in document["memory_mib"].items():
            table.add_row(way, f"{size:.0f}")
        console.print(table)
    for name, goal in document["goals"].items():
        console.print(f"{name}: {goal['measured']:.2f}x, goal {goal['goal']}x")


if __name__ == "__main__":
    raise SystemExit(main())
