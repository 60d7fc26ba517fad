"""What is in the pictures: detectors, trackers, appearance; no language.

``load_detector`` gives a detector by name, ``track_video`` turns a video into tracks. Both need
the ``perception`` extra (onnxruntime, trackers); transformers detectors need ``models``.
"""
