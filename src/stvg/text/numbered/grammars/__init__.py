"""One grammar of painted numbers a module; nothing lists them."""
