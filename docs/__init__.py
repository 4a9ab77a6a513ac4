"""What draws the pictures of the pages: ``python -m docs.pictures``."""
