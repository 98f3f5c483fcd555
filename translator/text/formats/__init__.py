"""Readers of parallel corpora, one file for each format; `open_corpus` recognises which it is."""
