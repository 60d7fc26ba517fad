"""One grammar of intervals a module; nothing lists them."""
