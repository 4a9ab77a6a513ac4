"""The explanations of all diagnostic codes, with examples: pages of Markdown, and what reads them."""
