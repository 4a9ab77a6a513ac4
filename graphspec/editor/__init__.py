"""What an editor shows of a spec: diagnostics, fixes, shapes, completions, names. ``server.py`` speaks the protocol."""
