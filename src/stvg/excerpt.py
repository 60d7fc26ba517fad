"""Excerpts: frames of a video that are given to a method as a video of their own.

Some benchmarks ask about a part of a video (the segments of VidSTG, the clips of TVGBench). The
part gets meta data like any video: its first frame has number 0 and time 0, so methods need not
know. Nothing is cut out or written: frames are read from the file, numbers and times are shifted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stvg.errors import UsageError
from stvg.progress import Progress
from stvg.types import Clip, Scene, Track, Tracks, VideoMeta
from stvg.video import FrameCache, SamplingPlan, read_clip


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some consecutive frames of a video, or all of them.

    Attributes:
        whole: The video that the file holds.
        meta: The excerpt as a video of its own.
        first: Number in the whole video of its first frame.
    """

    whole: VideoMeta
    meta: VideoMeta
    first: int = 0

    @classmethod
    def of(cls, video: VideoMeta, part: tuple[int, int] | None = None) -> Excerpt:
        """The frames ``[start, end)`` of a video, or the video itself.

        Raises:
            UsageError: If the video does not have these frames.

        Example:
            >>> from fractions import Fraction
            >>> video = VideoMeta("dog.mp4", 100, 50, Fraction(10), 4.0, 40)
            >>> excerpt = Excerpt.of(video, (10, 15))
            >>> excerpt.meta.frames, excerpt.meta.duration_s, excerpt.meta.times_s[1].round(3)
            (5, 0.5, np.float64(0.1))
        """
        if part is None or part == (0, video.frames):
            return cls(video, video)
        stretch, times = video.span_of(*part), video.times_s[slice(*part)]
        meta = replace(
            video,
            duration_s=stretch.duration_s,
            frames=len(times),
            frame_times_s=times - times[0],
        )
        return cls(video, meta, part[0])

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole video."""
        return self.meta is self.whole

    def read(
        self,
        plan: SamplingPlan,
        *,
        threads: int,
        progress: Progress,
        cache: FrameCache | None = None,
    ) -> Clip:
        """The frames that a plan asks of the excerpt; see :func:`stvg.video.read_clip`."""
        if self.is_whole:
            return read_clip(self.whole, plan, threads=threads, progress=progress, cache=cache)
        numbers = np.unique(self.meta.frame_at(plan.times(self.meta)))
        wanted = SamplingPlan(
            times_s=self.whole.times_s[numbers + self.first].tolist(),
            fixed_size=plan.size(self.meta),
        )
        clip = read_clip(self.whole, wanted, threads=threads, progress=progress, cache=cache)
        if not np.array_equal(clip.frame_indices, numbers + self.first):
            raise UsageError(f"{self.whole.path}: its frames have no times of their own")
        times_s = self.meta.times_s[numbers]
        return Clip(self.meta, clip.frames, times_s, numbers, first=self.first)

    def cut(self, scene: Scene) -> Scene:
        """The objects of the whole video as far as they are seen in the excerpt.

        What was measured on an object (class, colours) stays that of all its sights.
        """
        if self.is_whole:
            return scene
        end = self.first + self.meta.frames
        seen = scene.frames_seen
        cut = [(item, self._cut_track(item.track)) for item in scene.objects]
        return replace(
            scene,
            video=self.meta,
            objects=tuple(replace(item, track=track) for item, track in cut if track is not None),
            frames_seen=seen[(seen >= self.first) & (seen < end)] - self.first,
        )

    def cut_tracks(self, tracks: Tracks) -> Tracks:
        """The tracks of the whole video as far as they are seen in the excerpt; ids stay."""
        if self.is_whole:
            return tracks
        cut = [self._cut_track(track) for track in tracks.tracks]
        seen = tuple(track for track in cut if track is not None)
        ids = {track.id for track in seen}
        corrections = tuple(
            replace(each, frame=max(each.frame - self.first, 0))
            for each in tracks.corrections
            if {each.old, each.new} <= ids and each.frame < self.first + self.meta.frames
        )
        return Tracks(self.meta, seen, corrections)

    def _cut_track(self, track: Track) -> Track | None:
        """A track with the sights in the excerpt, or None without any."""
        low, high = np.searchsorted(track.frames, [self.first, self.first + self.meta.frames])
        if low == high:
            return None
        kept = slice(int(low), int(high))
        return Track(
            track.id,
            track.label,
            track.frames[kept] - self.first,
            track.boxes[kept],
            track.scores[kept],
            None if track.masks is None else track.masks[kept],
        )
