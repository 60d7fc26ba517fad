"""What is in the pictures: detectors, trackers, appearance; no language.

``load_detector`` (:mod:`stvg.perception.choose`) gives a detector by name, ``perceive``
(:mod:`stvg.perception.track`) turns a video into tracked objects. Both need the ``perception``
extra (onnxruntime, trackers); transformers detectors need ``models``.
"""
