"""What several sentences on one video, and an answer along a grammar, cost: CPU seconds and calls.

A random model of the real Qwen2.5-VL class with the proportions of the 7B model (4 layers of 256,
heads 4 to 2, a vision tower of 4 blocks of 80, vocabulary 1024; 32-bit floats, one thread) reads a
clip of 28 frames of 448x252, 2,016 visual tokens.

Sentences: 8 of 15 tokens, each answered with 20 tokens. Ours reads the video once and answers all
in one call; beside it 8 calls of the class's own ``generate``, which is what a user has, and 8
separate calls of ours, each with the vision tower and the whole prompt.

Boxes: the codec ``thousandths_json`` writes an answer of 16 boxes behind its interval. Token by
token and with what is forced read along (``jump``), for one sentence and for 8 at once; beside it
``generate`` of the class with the same grammar as a logits processor. Model calls are counted at
the language model; those that read the prompt are not among them, but CPU seconds include it.

CPU seconds are of the process, ways in turns (A B, B A), median of the repetitions.

Run:  python benchmarks/queries.py [--quick] [--json]
Takes three minutes on one core, 30 s with --quick. Exits with 1 when tokens of a way differ from
those of another, log-probabilities while writing from those while scoring, or jumping takes more
than 0.4 of the calls.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from _models import IMAGE, VIDEO, VISION_END, VISION_START, make_model
from rich.console import Console
from rich.table import Table

from stvg import Interval, Tube
from stvg.backbones.positions import token_types
from stvg.backbones.prefix import Prefix
from stvg.backbones.preprocess import PatchLayout, normalise, video_inputs
from stvg.backbones.qwen import QwenBackbone
from stvg.text import Position, View, Vocabulary, as_logits_processor, find_codec

SIZE = (448, 252)
FRAMES, SECONDS_APART = 28, 0.5
SENTENCES, SENTENCE_TOKENS, ANSWER_TOKENS = 8, 15, 20
BOXES = 16
STOP = 1
GOALS = {"sentences_time": 4.0, "boxes_calls": 0.4}
EXACT = 1e-4

Tokens = list[tuple[int, ...]]


@dataclass(frozen=True)
class Scene:
    """A model, a video for it and sentences on it."""

    backbone: QwenBackbone
    pixels: Any
    grid: Any
    sentences: list[list[int]]

    @property
    def shared(self) -> list[int]:
        """Tokens of the prompt in front of the sentence."""
        count = int(self.grid.prod()) // self.backbone.layout.merge**2
        return [VISION_START, *[VIDEO] * count, VISION_END]

    def read(self, sentences: Sequence[Sequence[int]]) -> Prefix:
        """The video once and sentences behind it."""
        seconds = SECONDS_APART * 2
        video = self.backbone.encode_video(self.pixels, self.grid, seconds_per_step=seconds)
        return self.backbone.extend(self.backbone.prefill(self.shared, [video]), sentences)

    def generate(self, sentence: Sequence[int], **options: Any) -> tuple[int, ...]:
        """The class's own way for one sentence: video, prompt and answer in one call."""
        ids = [[*self.shared, *sentence]]
        written = self.backbone.model.generate(
            input_ids=torch.tensor(ids),
            mm_token_type_ids=torch.from_numpy(token_types(ids, IMAGE, VIDEO)),
            pixel_values_videos=torch.from_numpy(normalise(self.pixels, self.backbone.layout)),
            video_grid_thw=torch.from_numpy(self.grid),
            second_per_grid_ts=torch.tensor([SECONDS_APART * 2]),
            do_sample=False,
            **options,
        )
        return tuple(written[0, len(ids[0]) :].tolist())


def main() -> int:
    """Measure both, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repetition, one sentence's boxes")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    scene = make_scene()
    sentences = compare_sentences(scene, 1 if options.quick else 5)
    boxes = [
        compare_boxes(scene, count, 1 if options.quick else 3)
        for count in ((1,) if options.quick else (1, SENTENCES))
    ]
    goals = {
        "sentences_time": {
            "goal": GOALS["sentences_time"],
            "measured": sentences["against_ours"]["generate, a call each"],
        },
        "boxes_calls": {
            "goal": GOALS["boxes_calls"],
            "measured": max(one["calls_against_walking"] for one in boxes),
        },
    }
    document = {
        "benchmark": "queries", "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__, "transformers": transformers.__version__,
        "prompt_tokens": len(scene.shared), "sentences": sentences, "boxes": boxes, "goals": goals,
    }  # fmt: skip
    if options.json:
        print(json.dumps(document))
    else:
        show(sentences, boxes)
    is_same = all(one["same_tokens"] and one["largest_difference"] <= EXACT for one in boxes)
    is_same = is_same and sentences["same_tokens"] and sentences["largest_difference"] <= EXACT
    return 0 if is_same and goals["boxes_calls"]["measured"] <= GOALS["boxes_calls"] else 1


# --- several sentences on one video -----------------------------------------------------------


def compare_sentences(scene: Scene, repetitions: int) -> dict[str, Any]:
    """CPU seconds of answering all sentences."""
    backbone = scene.backbone
    options = {"max_new_tokens": ANSWER_TOKENS, "stop": (), "ban": False}

    def theirs() -> Tokens:
        return [
            scene.generate(sentence, max_new_tokens=ANSWER_TOKENS) for sentence in scene.sentences
        ]

    def one_by_one() -> Tokens:
        return [
            backbone.generate(scene.read([sentence]), **options).ids[0]
            for sentence in scene.sentences
        ]

    def at_once() -> Tokens:
        return list(backbone.generate(scene.read(scene.sentences), **options).ids)

    found = measure(
        {"generate, a call each": theirs, "ours, a call each": one_by_one, "ours": at_once},
        repetitions,
    )
    prefix = scene.read(scene.sentences)
    written = backbone.generate(prefix, **options)
    scored = backbone.score(prefix, written.ids, ban=False)
    difference = float((scored.log_probs - written.log_probs).abs().max())
    return found | {"sentences": SENTENCES, "largest_difference": difference}


# --- an answer along a grammar ----------------------------------------------------------------


def compare_boxes(scene: Scene, count: int, repetitions: int) -> dict[str, Any]:
    """CPU seconds and model calls of writing an answer of 16 boxes to each of some sentences."""
    backbone = scene.backbone
    place, head = begun_answer(backbone.tokenizer)
    prompts = [[*sentence, *head] for sentence in scene.sentences[:count]]
    options: dict[str, Any] = {"max_new_tokens": 2000, "grammar": place, "stop": [STOP]}
    calls: dict[str, int] = {}

    def ours(jump: bool) -> Tokens:
        name = "ours" if jump else "ours, token by token"
        prefix = scene.read(prompts)
        with counted(backbone, calls, name):
            return list(backbone.generate(prefix, jump=jump, **options).ids)

    def theirs() -> Tokens:
        processor = as_logits_processor(place, len(scene.shared) + len(prompts[0]), STOP)
        with counted(backbone, calls, "generate, token by token"):
            found = scene.generate(
                prompts[0],
                max_new_tokens=2000,
                eos_token_id=STOP,
                pad_token_id=0,
                logits_processor=transformers.LogitsProcessorList([processor]),
            )
        calls["generate, token by token"] -= 1  # reading the prompt
        return [found]

    ways: dict[str, Callable[[], Tokens]] = {
        "ours, token by token": lambda: ours(False),
        "ours": lambda: ours(True),
    }
    if count == 1:
        ways = {"generate, token by token": theirs, **ways}
    found = measure(ways, repetitions)
    prefix = scene.read(prompts)
    written = backbone.generate(prefix, **options)
    scored = backbone.score(prefix, written.ids, grammar=place, stop=[STOP])
    texts = [backbone.tokenizer.decode([*head, *ids[:-1]]) for ids in written.ids]
    assert all(text.count("bbox_2d") == BOXES for text in texts)
    return found | {
        "sentences": count,
        "tokens": [len(ids) for ids in written.ids],
        "picks": written.picked.sum(-1).tolist(),
        "calls": calls,
        "calls_against_walking": round(calls["ours"] / calls["ours, token by token"], 4),
        "largest_difference": float((scored.log_probs - written.log_probs).abs().max()),
    }


def begun_answer(tokenizer: Any) -> tuple[Position, list[int]]:
    """The place behind the interval of an answer of 16 boxes, and the tokens up to there."""
    times_s = np.arange(2 * BOXES) * SECONDS_APART
    view = View(times_s, np.append(times_s, len(times_s) * SECONDS_APART), (1280, 720), SIZE)
    codec = find_codec("thousandths_json")
    boxes = np.tile([100.0, 200.0, 300.0, 400.0], (len(times_s), 1))
    tube = Tube(Interval(0.0, view.end_s), times_s, boxes)
    place = codec.grammar(view, Vocabulary(tokenizer, stop=STOP))
    head: list[int] = []
    for token in tokenizer(codec.render(tube, view).partition("]")[0])["input_ids"]:
        place, head = place.after(token), [*head, token]
    return place, head


@contextmanager
def counted(backbone: QwenBackbone, calls: dict[str, int], name: str) -> Iterator[None]:
    """Count the calls of the language model under a name."""
    calls[name] = 0

    def count(*_: Any) -> None:
        calls[name] += 1

    hook = backbone.model.model.language_model.register_forward_hook(count)
    try:
        yield
    finally:
        hook.remove()


# --- measuring --------------------------------------------------------------------------------


def measure(ways: dict[str, Callable[[], Tokens]], repetitions: int) -> dict[str, Any]:
    """CPU seconds of every way in turns, and whether all write the same."""
    runs: dict[str, list[float]] = {way: [] for way in ways}
    texts: set[str] = set()
    for repetition in range(repetitions):
        for way in ways if repetition % 2 == 0 else reversed(ways):
            before = time.process_time()
            written = ways[way]()
            runs[way].append(round(time.process_time() - before, 4))
            texts.add(str([tuple(ids) for ids in written]))
    seconds = {way: statistics.median(times) for way, times in runs.items()}
    return {
        "cpu_s": {way: round(value, 4) for way, value in seconds.items()},
        "spread_s": runs,
        "against_ours": {way: round(value / seconds["ours"], 3) for way, value in seconds.items()},
        "same_tokens": len(texts) == 1,
    }


def make_scene() -> Scene:
    """The model, a clip of noise and sentences at random."""
    rng = np.random.default_rng(0)
    backbone = QwenBackbone(make_model(), make_tokenizer(), convention="installed")
    frames = rng.integers(0, 256, (FRAMES, SIZE[1], SIZE[0], 3), np.uint8)
    pixels, grid = video_inputs(frames, PatchLayout(), keep_bytes=True)
    sentences = rng.integers(300, 1000, (SENTENCES, SENTENCE_TOKENS)).tolist()
    return Scene(backbone, pixels, grid, sentences)


def make_tokenizer() -> Any:
    """Byte pairs learned from two answers; digits stand alone, as in Qwen's tokenizer."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    cuts = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+"
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(cuts), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    answer = (
        '{"time": [2.0, 5.5], "boxes": [{"time": 2.0, "bbox_2d": [012, 034, 056, 078]}, '
        '{"time": 3.5, "bbox_2d": [112, 134, 156, 178]}]}'
    )
    core.train_from_iterator(
        [answer] * 9,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=["<pad>", "<stop>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core)


def show(sentences: dict[str, Any], boxes: list[dict[str, Any]]) -> None:
    """Tables on the terminal."""
    console = Console()
    title = f"{SENTENCES} sentences on one video, {ANSWER_TOKENS} tokens each"
    table = Table("way", "CPU s", "against ours", "runs", title=title, title_justify="left")
    for way, seconds in sentences["cpu_s"].items():
        spread = ", ".join(f"{value:.2f}" for value in sentences["spread_s"][way])
        table.add_row(way, f"{seconds:.2f}", f"{sentences['against_ours'][way]:.2f}x", spread)
    console.print(table)
    for one in boxes:
        count = one["sentences"]
        title = f"{BOXES} boxes along a grammar, {count} sentence{'s' if count > 1 else ''} at once"
        table = Table("way", "calls", "CPU s", "against ours", title=title, title_justify="left")
        for way, seconds in one["cpu_s"].items():
            ratio = f"{one['against_ours'][way]:.2f}x"
            table.add_row(way, str(one["calls"][way]), f"{seconds:.2f}", ratio)
        console.print(table)
        console.print(
            f"{one['tokens'][0]} tokens, {one['picks'][0]} of them picked; jumping takes "
            f"{one['calls_against_walking']:.2f} of the calls (goal {GOALS['boxes_calls']})"
        )
    same = all(one["same_tokens"] for one in (sentences, *boxes))
    worst = max(one["largest_difference"] for one in (sentences, *boxes))
    console.print(
        f"tokens of all ways {'are the same' if same else 'DIFFER'}; largest difference of a "
        f"log-probability from scoring {worst:.0e}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
