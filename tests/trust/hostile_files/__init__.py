"""Files that lie, break off, refer to themselves, or ask for more than there is: for each kind a table of cases.

No file is stored: a case makes its bytes when it is tried.
"""
