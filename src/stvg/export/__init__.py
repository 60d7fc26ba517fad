"""Answers and tracks in the files of other tools, and corrected tubes back from them.

What is to be written is first brought to one form (:mod:`stvg.export.objects`); a format is a
module of :mod:`stvg.export.formats`, found by its name. What annotators corrected comes back
through :mod:`stvg.export.from_cvat` and :mod:`stvg.export.from_labelstudio` into an annotation file
(:mod:`stvg.export.corrections`) that training, prediction and evaluation read.
"""
