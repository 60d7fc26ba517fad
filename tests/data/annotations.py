"""Made-up annotations in the schemas of the makers, small enough to work the answers out by hand.

Nothing here is a real record: names, sentences and numbers are invented.
"""

from __future__ import annotations

import copy
from typing import Any

HCSTVG_V1: dict[str, Any] = {
    "7_abcdEFG-_12.mp4": {
        "bbox": [[10, 20, 30, 40], [12, 20, 30, 40], [14, 21, 30, 39]],
        "st_time": 4.0,
        "ed_time": 4.5,
        "img_num": 500,
        "st_frame": 101,
        "caption": "The man in grey sits down.",
        "width": 320,
        "height": 240,
    },
    "8_hijkLMN.two.dots.mkv": {
        "bbox": [[-4, 0, 20, 20], [300, 200, -10, 60]],
        "st_time": 0.0,
        "ed_time": 0.07,
        "img_num": 600,
        "st_frame": 1,
        "caption": "The woman waves.",
        "width": 320,
        "height": 240,
    },
}

HCSTVG_V2: dict[str, Any] = {
    "9_opq.mp4": {
        "bbox": [[10, 20, 30, 40]],
        "st_time": 19.96,
        "ed_time": 20.0,
        "img_num": 500,
        "st_frame": 500,
        "English": "The boy looks back.",
        "img_size": [480, 854],
    }
}

VIDSTG: list[dict[str, Any]] = [
    {
        "vid": "111",
        "fps": 10,
        "frame_count": 8,
        "width": 100,
        "height": 50,
        "subject/objects": [
            {"tid": 0, "category": "dog"},
            {"tid": 4, "category": "ball/sports_ball"},
        ],
        "used_segment": {"begin_fid": 1, "end_fid": 6},
        "used_relation": {
            "subject_tid": 0,
            "object_tid": 4,
            "predicate": "chase",
            "begin_fid": 2,
            "end_fid": 5,
        },
        "temporal_gt": {"begin_fid": 2, "end_fid": 5},
        "captions": [{"description": "a dog chases a ball.", "type": "object", "target_id": 0}],
        "questions": [
            {"description": "what chases a ball?", "type": "object", "target_id": 0},
            {"description": "what does the dog chase?", "type": "object", "target_id": 4},
        ],
    },
    {
        "vid": "222",
        "fps": 25,
        "frame_count": 4,
        "width": 100,
        "height": 50,
        "subject/objects": [{"tid": 1, "category": "adult"}],
        "used_segment": {"begin_fid": 0, "end_fid": 3},
        "used_relation": {
            "subject_tid": 1,
            "object_tid": 1,
            "predicate": "watch",
            "begin_fid": 1,
            "end_fid": 4,
        },
        "temporal_gt": {"begin_fid": 1, "end_fid": 4},
        "captions": [{"description": "an adult watches.", "type": "person", "target_id": 1}],
        "questions": [],
    },
]


def vidor_box(tid: int, x: int) -> dict[str, Any]:
    """An object in a frame of VidOR: a box of 10 x 5 pixels."""
    return {
        "tid": tid,
        "bbox": {"xmin": x, "ymin": 7, "xmax": x + 10, "ymax": 12},
        "generated": 0,
        "tracker": "none",
    }


# The dog is in all 8 frames, the ball in frames 0 to 4 only: gone at the exclusive end, frame 5.
VIDOR: dict[str, Any] = {
    "111": {
        "version": "VERSION 1.0",
        "video_id": "111",
        "video_path": "0001/111.mp4",
        "frame_count": 8,
        "fps": 10,
        "width": 100,
        "height": 50,
        "subject/objects": VIDSTG[0]["subject/objects"],
        "trajectories": [
            [vidor_box(0, frame)] + ([vidor_box(4, 40 + frame)] if frame < 5 else [])
            for frame in range(8)
        ],
        "relation_instances": [],
    },
    "222": {
        "video_id": "222",
        "video_path": "0002/222.mp4",
        "trajectories": [[vidor_box(1, 60)] for _ in range(4)],
    },
}


def xyxy(x: int) -> list[float]:
    """The box of :func:`vidor_box` as corners."""
    return [x, 7, x + 10, 12]


def _stcat(
    number: int, record: dict[str, Any], form: str, sentence: dict[str, Any], xs: list[int | None]
) -> dict[str, Any]:
    segment, span = record["used_segment"], record["temporal_gt"]
    return {
        "vid": record["vid"],
        "fps": record["fps"],
        "used_segment": segment,
        "width": record["width"],
        "height": record["height"],
        "ori_temp_gt": span,
        "frame_count": segment["end_fid"] - segment["begin_fid"] + 1,
        "temp_gt": {
            "begin_fid": span["begin_fid"] - segment["begin_fid"],
            "end_fid": min(
                span["end_fid"] - segment["begin_fid"], segment["end_fid"] - segment["begin_fid"]
            ),
        },
        "id": number,
        "qtype": form,
        "sentence": sentence,
        "target_category": "thing",
        "target_bboxs": [{} if x is None else vidor_box(0, x)["bbox"] for x in xs],
    }


def _tubedetr(
    number: int, record: dict[str, Any], form: str, sentence: dict[str, Any], group: str
) -> dict[str, Any]:
    return {
        "original_video_id": record["vid"],
        "frame_count": record["frame_count"],
        "fps": record["fps"],
        "width": record["width"],
        "height": record["height"],
        "start_frame": record["used_segment"]["begin_fid"],
        "end_frame": record["used_segment"]["end_fid"],
        "tube_start_frame": record["temporal_gt"]["begin_fid"],
        "tube_end_frame": record["temporal_gt"]["end_fid"],
        "video_path": f"{group}/{record['vid']}.mp4",
        "caption": sentence["description"],
        "type": sentence["type"],
        "target_id": sentence["target_id"],
        "video_id": number,
        "qtype": form,
    }


def _track(xs: dict[int, int]) -> dict[str, Any]:
    return {
        str(frame): {"bbox": [x, 7, 10, 5], "generated": 0, "tracker": "none", "category_id": 1}
        for frame, x in xs.items()
    }


FIRST, SECOND = VIDSTG
CHASES, WHAT, WHOM = FIRST["captions"][0], *FIRST["questions"]
WATCHES = SECOND["captions"][0]

# What STCAT writes of the two records: captions first; the end frame 5 of the ball repeats frame 4;
# the second span ends with the video, so that there is no end frame.
STCAT: dict[str, Any] = {
    "0": _stcat(0, FIRST, "declar", CHASES, [2, 3, 4, 5]),
    "1": _stcat(1, FIRST, "inter", WHAT, [2, 3, 4, 5]),
    "2": _stcat(2, FIRST, "inter", WHOM, [42, 43, 44, 44]),
    "3": _stcat(3, SECOND, "declar", WATCHES, [60, 60, 60]),
}

# What TubeDETR writes of them: questions first.
TUBEDETR: dict[str, Any] = {
    "videos": [
        _tubedetr(0, FIRST, "interrogative", WHAT, "0001"),
        _tubedetr(1, FIRST, "interrogative", WHOM, "0001"),
        _tubedetr(2, FIRST, "declarative", CHASES, "0001"),
        _tubedetr(3, SECOND, "declarative", WATCHES, "0002"),
    ],
    "trajectories": {
        "111": {
            "0": _track({frame: frame for frame in range(8)}),
            "4": _track({frame: 40 + frame for frame in range(5)}),
        },
        "222": {"1": _track(dict.fromkeys(range(4), 60))},
    },
}

ST_ALIGN: list[dict[str, Any]] = [
    {
        "video_path": "set/a.mp4",
        "conversations": [
            {"from": "human", "value": "<video>\nWhen and where does the dog run?"},
            {"from": "gpt", "value": "From <s> to <e>, <bboxes>"},
        ],
        "meta": {
            "width": 100,
            "height": 50,
            "split": [10, 29],
            "spatial_token": {"<bboxes>": {"12": [1, 2, 3, 4], "14": [5, 6, 7, 8]}},
            "time_token": {"<s>": 12, "<e>": 14},
        },
    }
]

CHARADES_LINES = (
    "AB12C 1.0 4.5##a person opens a door.\n"
    "XY34Z 0.0 6.9##a person sits.\n"
    "AB12C 3.0 12.0##the person leaves.\n"
)
CHARADES_LENGTHS = "id,subject,length\nAB12C,ZZZZ,10.5\nXY34Z,YYYY,20\n"
CAPTIONS: dict[str, Any] = {
    "v_abc": {
        "duration": 20.0,
        "timestamps": [[0, 18.5], [5.5, 21.0], [7, 7]],
        "sentences": ["A man speaks.", " He goes on.", " He stops."],
    },
    "v_def": {"duration": 8, "timestamps": [[1, 2]], "sentences": ["A cat jumps."]},
}
TVGBENCH: list[dict[str, Any]] = [
    {
        "path": "./videos/ab.mp4",
        "question": " Where is the cup?",
        "answer": "2.5-7.25",
        "start": None,
        "end": None,
        "duration": 30.0,
        "question_type": "video temporal grounding",
        "source": "./raw/Charades_sta_test.json",
        "dataset_name": "charades",
        "qsemtype": "Object",
        "bins": {"videolen": 1},
    },
    {
        "path": "./videos/cd.mp4",
        "question": "Did I close it?",
        "answer": "0-1.5e1",
        "start": 100.5,
        "end": 112.5,
        "duration": 12.0,
        "question_type": "video temporal grounding",
        "source": "./raw/nlq_r1_val.json",
        "qsemtype": "Object",
        "bins": {"videolen": 1},
    },
]
QVHIGHLIGHTS: list[dict[str, Any]] = [
    {
        "qid": 71,
        "query": "A dog runs on a beach",
        "duration": 150,
        "vid": "abcDEF_60.0_210.0",
        "relevant_clip_ids": [1, 2, 5],
        "saliency_scores": [[1, 1, 2], [0, 3, 4], [2, 2, 2]],
        "relevant_windows": [[2, 6], [10, 12]],
    },
    {"qid": 72, "query": "A cat", "duration": 142, "vid": "ghi_0.0_142.0"},
]

MDETR: dict[str, Any] = {
    "info": {},
    "images": [
        {
            "file_name": "COCO_train2014_000000000009.jpg",
            "height": 480,
            "width": 640,
            "id": 30,
            "original_id": 9,
            "caption": "left cup",
            "dataset_name": "refcoco",
        }
    ],
    "annotations": [
        {"bbox": [10.5, 20.25, 30.0, 40.5], "id": 30, "image_id": 30, "original_id": 77}
    ],
    "categories": [],
}
REFS: list[dict[str, Any]] = [
    {
        "ref_id": 5,
        "ann_id": 77,
        "image_id": 9,
        "category_id": 3,
        "split": "testA",
        "file_name": "COCO_train2014_000000000009_5.jpg",
        "sent_ids": [12, 13],
        "sentences": [
            {"sent": "left cup", "raw": "Left cup", "tokens": ["left", "cup"], "sent_id": 12},
            {"sent": "red cup", "raw": "red cup", "tokens": ["red", "cup"], "sent_id": 13},
        ],
    },
    {
        "ref_id": 6,
        "ann_id": 78,
        "image_id": 9,
        "category_id": 3,
        "split": "train",
        "sentences": [{"sent": "caf\u00e9 table", "sent_id": 14}],
    },
]
INSTANCES: dict[str, Any] = {
    "info": {},
    "images": [
        {"id": 9, "file_name": "COCO_train2014_000000000009.jpg", "width": 640, "height": 480}
    ],
    "annotations": [
        {"id": 77, "bbox": [10.5, 20.25, 30.0, 40.5], "image_id": 9},
        {"id": 78, "bbox": [600.0, 0.0, 40.4, 10.0], "image_id": 9},
    ],
}

# A mask of 2 x 3 pixels: runs of 0, 1 and 5, that is the first pixel only.
RLE_FIRST = {"size": [2, 3], "counts": "015"}
MEVIS: dict[str, Any] = {
    "videos": {
        "0123456789ab": {
            "frames": ["00000", "00001"],
            "expressions": {
                "0": {"exp": "the bird flying away", "obj_id": [0], "anno_id": [3]},
                "1": {"exp": "both birds", "obj_id": [0, 1], "anno_id": [3, 4]},
            },
        }
    }
}
MASK_DICT: dict[str, Any] = {"3": [RLE_FIRST, None], "4": [None, RLE_FIRST]}
YOUTUBE: dict[str, Any] = {
    "videos": {
        "0123456789": {
            "expressions": {
                "0": {"exp": "a dog", "obj_id": "1"},
                "1": {"exp": "a cat", "obj_id": "2"},
            },
            "frames": ["00000", "00005"],
        },
        "9876543210": {"expressions": {"0": {"exp": "a cow"}}, "frames": ["00000"]},
    }
}
DAVIS: dict[str, Any] = {
    "videos": {
        "blackswan": {
            "expressions": {
                str(number): {"exp": f"the swan {number}", "obj_id": "1"} for number in range(4)
            },
            "frames": ["00000"],
        }
    }
}


def changed(document: Any, place: list[Any], value: Any) -> Any:
    """A copy with one place changed; ``...`` removes it."""
    found = copy.deepcopy(document)
    parent = found
    for key in place[:-1]:
        parent = parent[key]
    if value is ...:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return found
