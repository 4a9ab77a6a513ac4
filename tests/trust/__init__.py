"""What people and chance may do to graphspec: attacks, and what must hold under them.

A module ``attack_<what>`` has ``attack(random) -> list[str]``: it makes one case from the generator that it is given,
tries it, and returns the problems it has found, a sentence each. The same seed makes the same case. It may also have

- ``CASES``: how many cases run with the other tests (3),
- ``TIMEOUT``: after how many seconds a case hangs (120),
- ``counts``: a ``Counter`` of what was tried, shown at the end.

``python -m tests.trust --minutes 30`` runs all of them for a while, ``test_attacks.py`` a few cases of each.
"""
