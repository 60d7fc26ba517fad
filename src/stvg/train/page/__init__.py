"""The live page of a training run: what stands out, curves of the log, samples with their rewards.

One HTML file that needs no network and no server. ``write`` puts it together around the template
``page.html``, which has the style and the little script for reading curves off and for loading the
page again. Its parts, in their order: ``findings`` in words, ``curves`` drawn in ``charts``,
``samples``.
"""

from .samples import Sample as Sample
from .samples import Shown as Shown
from .samples import Written as Written
from .write import write_page as write_page
