"""What knows no network: errors and their codes, texts, files, arrays, the classes that a spec's entries are read with."""
