"""Training: recipes, tasks, and a loop that is written out (:func:`stvg.train.sft.train`)."""
