"""Profiles of tables: what their columns hold, counted by DuckDB out of core."""

from __future__ import annotations

from graphspec.data.database import Table
from graphspec.data.globs import Files
from graphspec.data.profiling.column_profile import OCCURRENCES, ColumnProfile, Numbers, Profile, Words, shares
from graphspec.data.profiling.profiler import Profiler

__all__ = ["OCCURRENCES", "ColumnProfile", "Numbers", "Profile", "Words", "profile", "shares"]


def profile(table: Table | Files, rows: int | None = None) -> Profile:
    """Look at every column of a table, or of several with the same columns; those with ambiguous names are left out.

    The same file gives the same profile. Rows are not kept: memory grows with the number of different values and words of
    a column, up to a limit.

    Args:
        rows: look at this many rows from the start; by default at all that the table would be read for.

    Raises:
        DataError: GS501 if the table cannot be read.
    """
    limit = table.max_rows if rows is None else rows
    relation = table.relation()
    with relation.reading():
        return Profiler(relation, "" if limit is None else f"LIMIT {limit}").profile()
