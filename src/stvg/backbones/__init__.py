"""Video language models of ``transformers``, used as they are: inputs, positions, shared prefixes.

``preprocess`` turns frames into model inputs, ``token_grid`` says which part of the video a visual
token shows, ``positions`` builds position ids, ``qwen`` runs a Qwen2.5-VL or Qwen2-VL and
``asking`` puts questions to it. What computes needs the ``models`` extra (torch, transformers);
importing this package loads neither.
"""
