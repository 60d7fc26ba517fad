"""The task ``benchmark``: files as methods see them, broken ones told, lengths together."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.backbones.qwen import QwenBackbone
from stvg.data.base import BoxRecord, TubeRecord
from stvg.data.world import plan_clip
from stvg.data.world.files import write_world
from stvg.errors import StvgError, UsageError
from stvg.excerpt import Excerpt
from stvg.train.recipe import Recipe
from stvg.train.sft import train
from stvg.train.starting import without_weights
from stvg.train.tasks.benchmark import Task, target_of
from stvg.types import Query, VideoMeta
from tests.backbones.tiny_qwen import tiny_config, tiny_model

from .small import TEXT_BOX, backbone, drawn, recipe, tokenizer, torch, tube_of

CLIPS = 6
OPTIONS = {**TEXT_BOX, "constrained": False}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "world"
    write_world(folder, split="train", clips=CLIPS, side=64)
    return folder


def task(world: Path, **changes: Any) -> Task:
    values = {"kind": "benchmark", "benchmark": "hcstvg_v2", "clips": 2, "options": OPTIONS,
              "annotations": str(world / "annotations.json")}  # fmt: skip
    return Task.of({**values, **changes})


def maker_of(options: Task) -> Any:
    return options.maker(without_weights(backbone()))


def test_rows_say_what_the_annotation_says(world: Path) -> None:
    maker = maker_of(task(world))
    assert maker.size == CLIPS
    batch = maker.batch(range(CLIPS))
    assert batch.counts["cell"] == batch.counts["target"] == CLIPS
    annotated = json.loads((world / "annotations.json").read_text())
    said = {}
    for ids, judged in zip(batch.rows.ids, batch.rows.judged, strict=True):
        end = int(judged.nonzero()[-1]) + 1
        text = tokenizer().decode(ids[:end])
        said[text.split("user ")[1].split(" <|vision_start|>")[0]] = text.split("assistant ")[1]
    expected = {
        " ".join(tokenizer().tokenize(entry["English"])): (entry["st_frame"] - 1, entry["bbox"])
        for entry in annotated.values()
    }
    assert said.keys() == expected.keys()
    for sentence, (start, boxes) in expected.items():
        words = said[sentence].replace("<|im_end|>", "").split()
        assert words[:2] == [f"<t_{start}>", f"<t_{start + len(boxes)}>"]
        # the first box: the mean of the frames of the first step that are in the answer
        first = np.array(boxes[: 2 - start % 2], float).mean(axis=0)
        x, y, w, h = first / 64 * 100
        found = [int(word) for word in words[4:8]]
        assert found == pytest.approx([x, y, x + w, y + h], abs=0.51)


def test_queries_of_one_video_share_its_pixels(world: Path) -> None:
    plan = next(
        p for p in (plan_clip(n, split="train") for n in range(CLIPS)) if len(p.sentences) > 2
    )
    _, boxes = drawn(plan)
    record = [TubeRecord(
        id=str(number), query=Query(sentence.text), media="v.mp4", place="here", width=64,
        height=64, fps=8.0, frame_count=16, segment=(0, 16), span=(sentence.start, sentence.end),
        boxes=boxes[sentence.figure, sentence.start : sentence.end],
        first_box_frame=sentence.start,
    ) for number, sentence in enumerate(plan.sentences)]  # fmt: skip
    maker = maker_of(task(world, queries=2))
    name = sorted((world / "videos").iterdir())[0]
    source = maker._sources(type("Job", (), {"media": "v.mp4", "path": name, "records": record}))
    assert len(source) == 1
    assert source[0].tokens == 128
    maker.sources, maker.order = source, lambda epoch: [0]
    batch = maker.batch([0])
    assert batch.counts == {"cell": 1, "target": 2, "answer": batch.counts["answer"]}
    drawings = {tuple(maker.batch([number]).rows.ids.flatten().tolist()) for number in range(8)}
    assert len(drawings) > 1  # other queries another time
    assert maker.batch([3]).rows.ids.tolist() == maker.batch([3]).rows.ids.tolist()


def test_broken_videos_are_named_and_left_out(world: Path, tmp_path: Path) -> None:
    broken = tmp_path / "world"
    shutil.copytree(world, broken)
    names = sorted(each.name for each in (broken / "videos").iterdir())
    (broken / "videos" / names[0]).write_bytes(b"no video")
    (broken / "videos" / names[1]).unlink()
    maker = maker_of(task(broken, max_broken=0.5))
    assert maker.size == CLIPS - 1
    assert list(maker.broken) == [names[1]]
    batch = maker.batch(range(CLIPS - 1))
    assert list(batch.broken) == [names[0]]
    assert batch.broken[names[0]].startswith("VideoError: ")
    assert batch.counts["cell"] == CLIPS - 2

    options = task(broken, max_broken=0.4, clips=1).model_dump()
    out = tmp_path / "run"
    train(recipe(out, tasks=[options], samples=10, log_every=2))
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    told = [entry["broken"]["hcstvg_v2"] for entry in entries if "broken" in entry]
    assert names[1] in told[0]
    assert sorted(name for each in told for name in each) == names[:2]  # each once
    assert [entry["hcstvg_v2/broken"] for entry in entries if "broken" in entry][-1] == 2

    with pytest.raises(StvgError, match="1 of 6 videos of hcstvg_v2 cannot be used"):
        maker_of(task(broken, max_broken=0.1))
    with pytest.raises(StvgError, match="2 of 6 videos of hcstvg_v2 cannot be used"):
        train(recipe(tmp_path / "other", tasks=[{**options, "max_broken": 0.2}], samples=10))


def test_validation_tells_broken_videos(world: Path, tmp_path: Path) -> None:
    broken = tmp_path / "world"
    shutil.copytree(world, broken)
    names = sorted(each.name for each in (broken / "videos").iterdir())
    (broken / "videos" / names[0]).write_bytes(b"no video")
    (broken / "videos" / names[1]).unlink()
    options = {"samples": 4, "validation": [task(broken, max_broken=0.4).model_dump()]}
    train(recipe(tmp_path / "run", **options))
    entries = [json.loads(each) for each in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert entries[-1]["val/hcstvg_v2/broken"] == 2
    options["validation"][0]["max_broken"] = 0.2
    with pytest.raises(StvgError, match="2 of 6 videos of hcstvg_v2 cannot be used"):
        train(recipe(tmp_path / "other", **options))


@pytest.mark.parametrize(
    ("card", "evaluate", "said"),
    [
        ({"method": "text_bocks"}, {}, "did you mean 'text_box'"),
        ({"options": {"frame": 3}}, {}, "did you mean 'frames'"),
        ({}, {"benchmark": "hcstvg_2"}, "did you mean 'hcstvg_v2'"),
        ({}, {"annotations": "nowhere.json"}, "nowhere.json"),
        ({}, {"videos": "nowhere"}, "found none at nowhere"),
        ({}, {"protocol": "my_own"}, "no protocol 'my_own'"),
    ],
)
def test_measures_are_checked_before_the_first_step(
    world: Path, tmp_path: Path, card: dict[str, Any], evaluate: dict[str, Any], said: str
) -> None:
    values = {"benchmark": "hcstvg_v2", "annotations": str(world / "annotations.json"), **evaluate}
    changes = {"card": {"method": "text_box", "options": OPTIONS, **card}, "evaluate": values}
    with pytest.raises(StvgError, match=said):
        train(recipe(tmp_path, **changes))
    assert not (tmp_path / "log.jsonl").exists()


def test_clips_of_similar_length_stand_together(world: Path) -> None:
    maker = maker_of(task(world, clips=4))
    tokens = [100 * (number % 8) for number in range(64)]
    maker.sources = [type("Source", (), {"tokens": each}) for each in tokens]
    first, again, other = maker._order(0), maker._order(0), maker._order(1)
    assert sorted(first) == list(range(64))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    spread = [np.ptp([tokens[n] for n in first[step : step + 4]]) for step in range(0, 64, 4)]
    assert max(spread) <= 100
    drawn_first = [tokens[n] for n in first[::4]]
    assert drawn_first != sorted(drawn_first)  # short ones do not come first


def test_a_pass_takes_every_clip_once(world: Path) -> None:
    maker = maker_of(task(world, clips=4))
    order = maker._order(0)
    assert len(order) == 8
    assert sorted(order[:CLIPS]) == list(range(CLIPS))  # the last step is filled up
    alone = maker_of(task(world, clips=16))._order(0)
    assert sorted(set(alone.tolist())) == list(range(CLIPS))
    assert len(alone) == 16


def test_targets_in_seconds_and_pixels_of_the_file() -> None:
    meta = VideoMeta("v.mp4", 320, 120, Fraction(10), 4.0, 40)  # half the annotated size
    record = TubeRecord(
        id="a", query=Query("a dog"), media="v", place="here", width=640, height=240, fps=10.0,
        frame_count=40, segment=(10, 30), span=(8, 14), first_box_frame=8,
        boxes=np.array([[0, 0, 20, 20]] * 3 + [[20, 40, 60, 80]] * 3, float),
    )  # fmt: skip
    tube = target_of(record, Excerpt.of(meta, (10, 30)))
    assert tube is not None
    assert (tube.interval.start_s, tube.interval.end_s) == pytest.approx((0.0, 0.4))
    assert tube.times_s.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert tube.boxes.tolist() == [[0, 0, 10, 10], *[[10, 20, 30, 40]] * 3]
    assert target_of(record, Excerpt.of(meta, (20, 30))) is None  # it is over by then


def test_targets_on_pictures() -> None:
    meta = VideoMeta("a.jpg", 100, 50, Fraction(1), 1.0, 1)
    record = BoxRecord(id="a", query=Query("a dog"), media="a.jpg", place="here", width=100,
                       height=50, box=np.array([10.0, 5.0, 120.0, 40.0]))  # fmt: skip
    tube = target_of(record, Excerpt.of(meta))
    assert tube is not None
    assert tube.boxes.tolist() == [[10, 5, 100, 40]]
    assert tube.interval.end_s == 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"benchmark": "hcstvg_2"}, "did you mean 'hcstvg_v2'"),
        ({"benchmark": "charades_sta"}, "expected a benchmark of tubes or boxes"),
        ({"annotations": "nowhere.json"}, "nowhere.json"),
        ({"method": "text_bocks"}, "did you mean 'text_box'"),
        ({"method": "track_match", "options": {}}, "cannot be trained here"),
        ({"options": {"frame": 3}}, "did you mean 'frames'"),
        ({"videos": "nowhere"}, "found none at nowhere"),
    ],
)
def test_bad_options(world: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StvgError, match=said):
        maker_of(task(world, **changes))


def test_annotations_elsewhere_need_a_folder(world: Path, tmp_path: Path) -> None:
    shutil.copy(world / "annotations.json", tmp_path / "a.json")
    with pytest.raises(UsageError, match="name it as videos in the task"):
        maker_of(task(world, annotations=str(tmp_path / "a.json")))
    elsewhere = task(world, annotations=str(tmp_path / "a.json"), videos=str(world / "videos"))
    assert maker_of(elsewhere).size == CLIPS


def byte_pair_tokenizer() -> Any:
    """Bytes, with the special tokens of the tiny instance and a chat template of Qwen's form."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from tests.backbones.tiny_qwen import SPECIALS

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=len(SPECIALS) + 256, special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    )  # fmt: skip
    core.train_from_iterator(["a"], trainer)
    template = (
        "{% for message in messages %}{{ message['role'] }}\n{% for part in message['content'] %}"
        "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
        "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<eos>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant\n{% endif %}"
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<eos>", pad_token="<pad>", chat_template=template
    )


def test_any_qwen_of_the_hub_is_trained_on_files(world: Path, tmp_path: Path) -> None:
    """A saved instance with windows, seconds in its positions and bytes for tokens."""
    tokens = byte_pair_tokenizer()
    instance = tiny_model(vocab_size=len(tokens))
    assert tiny_config().vision_config.fullatt_block_indexes == [1]
    instance.save_pretrained(tmp_path / "base")
    tokens.save_pretrained(tmp_path / "base")
    method = {"grammar": "qwen2_5_json", "frames": 4, "pixels": 4096, "max_new_tokens": 8}
    options = {
        "out": str(tmp_path / "run"), "model": str(tmp_path / "base"), "threads": 1, "workers": 0,
        "tasks": [task(world, options=method, clips=3).model_dump()], "log_every": 1,
        "samples": 24, "optimiser": {"lr": 5e-3, "warmup": 3},
        "card": {"method": "text_box", "options": method},
        "evaluate": {"benchmark": "hcstvg_v2", "annotations": str(world / "annotations.json"),
                     "limit": 2},
    }  # fmt: skip
    train(Recipe.of(options))
    entries = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    losses = [e["hcstvg_v2/loss/answer"] for e in entries if "hcstvg_v2/loss/answer" in e]
    assert losses[-1] < 0.8 * losses[0]
    assert entries[-1]["evaluate/queries"] == 2
    assert entries[-1]["evaluate/failed"] == 0
    assert 0 <= entries[-1]["evaluate/m_vIoU"] <= 1
    from stvg.methods.text_box import Method

    assert Method.create(str(tmp_path / "run/last")).config.frames == 4
    model = QwenBackbone.load(tmp_path / "run/last")
    assert isinstance(model.model.lm_head.weight, torch.Tensor)


def test_rows_of_files_are_those_of_memory(world: Path) -> None:
    """The same clip from a file and from memory asks and answers the same."""
    from stvg.data.world.files import choose_sentence
    from stvg.methods.text_box import Method
    from stvg.methods.text_box.config import TextBoxConfig

    maker = maker_of(task(world, clips=1))
    method = Method(backbone(), TextBoxConfig.of(OPTIONS))
    for number in range(2):
        place = int(maker.order(0)[number])
        index = int(Path(maker.sources[place].media).stem.rpartition("_")[2])
        plan = plan_clip(index, split="train")
        sentence = choose_sentence(plan, f"train/0/standard/{index}")
        clip, boxes = drawn(plan)
        tube = tube_of(np.rint(boxes[sentence.figure]), sentence.start, sentence.end)
        encoded = method.encode(clip, Query(sentence.text), tube)
        rows = maker.batch([number]).rows
        count = len(encoded.question.ids)
        assert rows.ids[0, :count].tolist() == list(encoded.question.ids)
        assert rows.ids.shape[1] == count + len(encoded.target)
