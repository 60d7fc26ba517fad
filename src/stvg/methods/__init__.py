"""One folder a method; see :class:`stvg.methods.base.Method` for the four questions it answers."""
