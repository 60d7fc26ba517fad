"""Video language models of ``transformers``, used as they are: inputs, positions, shared prefixes.

``preprocess`` turns frames into model inputs, ``token_grid`` says which part of the video a visual
token shows, ``positions`` builds position ids and ``qwen`` runs a Qwen2.5-VL model. Only ``qwen``
and what moves arrays to a device need the ``models`` extra (torch, transformers); importing this
package loads neither.
"""
