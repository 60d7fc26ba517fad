"""The viewer: answers drawn over the playing video, to look at, compare and correct.

``static/`` is the viewer itself, plain JavaScript that runs as it is: values first (``tube.js``,
``mask.js``, ``reading.js``), then what is seen (``player.js``, ``stage.js``, ``timeline.js``,
``panel.js``, ``viewer.js``).
:mod:`stvg.view.page` makes one HTML file of it with predictions and video inside (``stvg view``);
:mod:`stvg.view.service` gives it out as the page of ``stvg serve``.
"""
