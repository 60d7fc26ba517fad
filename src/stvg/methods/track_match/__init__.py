"""``track_match``: tracks matched to the words of a sentence, without a language model."""

from stvg.methods.track_match.method import TrackMatch as Method

__all__ = ["Method"]
