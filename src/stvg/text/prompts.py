"""What a model is asked: the user message beside the video. The wording is ours."""

from __future__ import annotations

from stvg.types import Query

from .codec import Codec
from .view import View


def prompt_of(query: Query, codec: Codec, view: View) -> str:
    """The user message for a query.

    Args:
        query: What to look for.
        codec: The grammar of the answer.
        view: How the model sees the clip.

    Returns:
        For a grammar that is trained (no instruction) the sentence alone; otherwise the task, the
        sentence, what the model is shown and the format of the answer.

    Example:
        >>> from stvg.text.catalogue import find_codec
        >>> view = View([0.5, 1.5], [0.0, 1.0, 2.0], (640, 480), (224, 168))
        >>> prompt_of(Query("the dog jumps"), find_codec("compact"), view)
        'the dog jumps'
        >>> print(prompt_of(Query("what jumps?"), find_codec("thousandths_json"), view))
        Find in the video what this sentence is about: "what jumps?"
        You see 2 frames from 0.5 s to 1.5 s of a video of 2.0 s. Say when ...
    """
    instruction = codec.instruction(view)
    if not instruction:
        return query.text
    if len(view) == 1:
        frames = f"1 frame at {view.times_s[0]:.1f} s"
    else:
        frames = f"{len(view)} frames from {view.times_s[0]:.1f} s to {view.times_s[-1]:.1f} s"
    return (
        f'Find in the video what this sentence is about: "{query.text}"\n'
        f"You see {frames} of a video of {view.end_s:.1f} s. Say when it happens, and where the "
        "person or thing is that the sentence asks for or begins with.\n"
        f"{instruction}"
    )
