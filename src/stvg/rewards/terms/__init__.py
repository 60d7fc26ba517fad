"""One reward a module; nothing lists them."""
