"""SAM 2 (Ravi et al., 2024, arXiv:2408.00714) by ``transformers``: boxes to masks, masks in time.

A thin layer over ``Sam2VideoModel``. Frames are prepared and masks are brought back to the size of
the picture here, as the model's own processor does it (scaled to a square, colours normalised;
bilinear logits, above 0), so torchvision is not needed. Loaded from the hub by id or from a folder
by path, in float32, on the graphics card where torch finds one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from stvg.errors import UsageError, WeightsError
from stvg.extras import require
from stvg.hub import why_not_loaded, without_bars
from stvg.types import BoolArray, ByteArray, FloatArray

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for RGB in 0..1
_BOX_CORNERS = (2, 3)  # the model's labels for the left top and right bottom corner of a box
_CONTENTS = "config.json of a Sam2VideoModel and its weights"


@dataclass(frozen=True, slots=True, eq=False)
class Sam2:
    """A SAM 2 video model.

    Attributes:
        model: The network, in evaluation mode.
        side: Width and height in pixels of the pictures it is given.
    """

    model: Any
    side: int

    @classmethod
    def load(cls, name: str, *, threads: int = 0) -> Sam2:
        """Load a model.

        Args:
            name: Hub id (``facebook/sam2.1-hiera-small``) or local folder.
            threads: CPU threads, 0 leaves torch's own choice.

        Raises:
            MissingExtraError: If torch or transformers do not import.
            WeightsError: If the folder or id cannot be loaded as a SAM 2 video model.
        """
        torch = require("torch", "models", "segmentation with SAM 2")
        transformers = require("transformers", "models", "segmentation with SAM 2")
        if threads:
            torch.set_num_threads(threads)
        try:
            config = transformers.AutoConfig.from_pretrained(name)
            if not hasattr(config, "num_maskmem"):
                raise ValueError(f"it holds a model of type {config.model_type}")
            with without_bars(transformers, name):
                model = transformers.Sam2VideoModel.from_pretrained(name, dtype=torch.float32)
        except Exception as error:
            # A wrong folder makes transformers, its hub client and the weight readers raise
            # classes that share no base but Exception.
            raise WeightsError(
                why_not_loaded(name, "SAM 2 video model", _CONTENTS, error)
            ) from error
        device = "cuda" if torch.cuda.is_available() else "cpu"
        size = model.config.image_size
        side = int(size if isinstance(size, int) else size[0])
        return cls(model.eval().to(device), side)

    def masks_of(
        self, frame: ByteArray, boxes: FloatArray, size: tuple[int, int]
    ) -> tuple[BoolArray, FloatArray]:
        """The masks of objects in boxes.

        Args:
            frame: RGB (side, side, 3) uint8, the whole picture scaled to the model's square.
            boxes: ``xyxy`` pixels of the square, (N, 4), N >= 1.
            size: Width and height of the masks to give.

        Returns:
            Masks (N, H, W) and how sure the model is that the object is there, (N,) in [0, 1].
        """
        import torch

        session = self._session(frame[None])
        for number, box in enumerate(boxes):
            index = session.obj_id_to_idx(number)
            points = torch.tensor(box, dtype=torch.float32).reshape(1, 1, 2, 2)
            labels = torch.tensor(_BOX_CORNERS, dtype=torch.int32).reshape(1, 1, 2)
            session.add_point_inputs(index, 0, {"point_coords": points, "point_labels": labels})
        session.obj_with_new_inputs = list(range(len(boxes)))
        return self._pictures(self.model(session, frame_idx=0), size)

    def follow(
        self, frames: ByteArray, start: int, masks: BoolArray
    ) -> Iterator[tuple[int, BoolArray, FloatArray]]:
        """Carry masks through a video, forwards to its end and then backwards to its start.

        Objects are followed each for itself: what one mask covers another may cover too.

        Args:
            frames: RGB (T, side, side, 3) uint8.
            start: Number of the frame that the masks belong to.
            masks: (N, H, W) bool, N >= 1.

        Yields:
            Number of a frame, masks (N, H, W) and how sure the model is that each object is there,
            (N,) in [0, 1]. The first is ``start``; each frame comes once.

        Raises:
            UsageError: If there is no mask, or no such frame.
        """
        if not len(masks) or not 0 <= start < len(frames):
            raise UsageError(
                f"expected at least one mask and a frame from 0 to {len(frames) - 1}, found "
                f"{len(masks)} masks in frame {start}"
            )
        size = (masks.shape[2], masks.shape[1])
        session = self._session(frames)
        for number, mask in enumerate(masks):
            session.add_mask_inputs(session.obj_id_to_idx(number), start, self._prompt(mask))
        session.obj_with_new_inputs = list(range(len(masks)))
        for output in self.model.propagate_in_video_iterator(session, start_frame_idx=start):
            yield output.frame_idx, *self._pictures(output, size)
        back = self.model.propagate_in_video_iterator(session, start_frame_idx=start, reverse=True)
        for output in back:
            if output.frame_idx != start:
                yield output.frame_idx, *self._pictures(output, size)

    def _session(self, frames: ByteArray) -> Any:
        """A session on frames that are prepared one by one, when they are asked for."""
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        device = self.model.device
        session = Sam2VideoInferenceSession(
            inference_device=device, inference_state_device=device, dtype=self.model.dtype
        )
        session.processed_frames = _Frames(frames)
        return session

    def _prompt(self, mask: BoolArray) -> Any:
        """A mask (H, W) as the model takes it, (1, 1, side, side) of 0 and 1."""
        import torch

        pixels = torch.from_numpy(mask.astype(np.float32))[None, None]
        scaled = torch.nn.functional.interpolate(
            pixels, (self.side, self.side), mode="bilinear", align_corners=False, antialias=True
        )
        return (scaled >= 0.5).float()

    def _pictures(self, output: Any, size: tuple[int, int]) -> tuple[BoolArray, FloatArray]:
        """Masks (N, H, W) and confidences (N,) from an output of the model."""
        import torch

        logits = torch.nn.functional.interpolate(
            output.pred_masks.float(), size[::-1], mode="bilinear", align_corners=False
        )
        sure = torch.sigmoid(output.object_score_logits.float()).reshape(-1)
        return (
            np.asarray((logits[:, 0] > 0).cpu().numpy()),
            np.asarray(sure.cpu().numpy(), np.float64),
        )


class _Frames:
    """Frames as the model wants them, (3, side, side) float32, made when they are asked for."""

    def __init__(self, frames: ByteArray) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: int) -> Any:
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(self._frames[number])).float() / 255
        normal = (pixels - torch.tensor(_MEAN)) / torch.tensor(_STD)  # (side, side, 3)
        return normal.permute(2, 0, 1)
