"""What writes pages and pictures: ``python docs/make_vocabulary.py`` and ``python -m docs.pictures``."""
