"""The spec language: text → tree with source marks → flat nodes → ``Spec``."""
