"""Methods that do what the sentence says, for tests of what a worker may suffer.

``folder`` is where they leave marks and wait for files.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from stvg.config import Config
from stvg.methods.base import Method, Plan
from stvg.types import Prediction, Tube

HERE = Path(__file__)


class Options(Config):
    """What the method is told."""

    folder: str = ""


class Obedient(Method):
    """Answers with the left half of the picture for the whole video, after obeying."""

    name = "obedient"
    options = Options

    def __init__(self, folder):
        self.folder = folder

    @classmethod
    def create(cls, model=None, assignments=()):
        return cls(Path(Options.from_assignments(assignments).folder))

    def plan(self, meta, query):
        return Plan()

    def encode(self, clip, query, target=None, *, seed=0):
        return query.text

    def run(self, encoded):
        for sentence in encoded:
            self.obey(sentence)
        return list(encoded)

    def decode(self, output, clip, query):
        meta = clip.meta
        box = [0, 0, meta.width / 2, meta.height]
        tube = Tube(meta.span_of(0, meta.frames), meta.times_s, [box] * meta.frames)
        return Prediction(query, meta, tube, self.name, "none")

    def obey(self, sentence):
        with (self.folder / "asked.txt").open("a") as asked:
            asked.write(f"{sentence}\n")
        order, _, rest = sentence.partition(" ")
        if order == "segfault":
            ctypes.string_at(0)
        if order == "die" and not (self.folder / rest).exists():  # only the first time
            (self.folder / rest).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if order == "hold":  # lets go when this process ends
            lock = (self.folder / rest).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            (self.folder / "held").touch()
            threading.Event().wait()
        if order == "babble":  # what a decoder with a hole might be made to send
            for each in gc.get_objects():
                if isinstance(each, Connection):
                    each.send_bytes(b"no JSON at all")
        if order == "raise":
            raise RuntimeError("told to raise")
        while order == "wait" and not (self.folder / rest).exists():
            time.sleep(0.02)


def offer(folder: Path) -> str:
    """How the method is offered."""
    return f"{HERE}:Obedient,folder={folder}"


NAME = "methods.py:Obedient"
