"""Boxes from query tokens against boxes as text: SpaceVLLM on the world.

Every arm begins with the embedded base, which has learned to write boxes, and sees the same 4,000
clips of the task `world` (`recipes/spacevllm/world.yaml`; `recipes/tiny/text_box.yaml` for boxes as
text), changed as the table says. "tiny" has seen 20,000, as many as the shipped `text_box` after
the base. Scored on the test split of the world, standard level (protocol `ours`); nothing was
chosen on it. CPU seconds are those of the training.

The base has read every question before its video, so the arm with the question behind it begins
with less.

Run:  python benchmarks/spacevllm.py [--quick] [--json] [--seeds 3] [--folder runs/spacevllm_arms]
Takes an hour and a half on one core with 3 seeds; what is done is kept in the folder, so it can be
stopped and started. --quick: two arms of a few clips, to see that everything runs (its scores mean
nothing); leaves nothing behind.
"""

from __future__ import annotations

from _arms import Arm, main

START, CLIPS = "tiny/base", 4000
SHORT = "optimiser.warmup=200"
FULL, TEXT = "queries and decoder", "boxes as text"


def _changed(name: str, *options: str, repeats: bool = False) -> Arm:
    both = [f"{place}.options.{option}" for option in options for place in ("tasks.0", "card")]
    return Arm(name, "spacevllm", "spacevllm/world", (SHORT, *both), START, CLIPS, repeats)


ARMS = (
    Arm(TEXT, "text_box", "tiny/text_box", (SHORT, "threads=1"), START, CLIPS),
    _changed(FULL, repeats=True),
    _changed("the decoder does not attend", "decoder=false"),
    _changed("no query tokens", "query_tokens=false"),
    _changed("one vector for all queries", "shared_query=true"),
    _changed("question behind the video", "query_first=false"),
    Arm("tiny", "spacevllm", "spacevllm/world", start=START, repeats=False),
    Arm("tiny, boxes as text", "text_box", None, start="tiny/text_box", repeats=False),
)

if __name__ == "__main__":
    main("spacevllm", "SpaceVLLM on the world", ARMS, (TEXT, FULL))
