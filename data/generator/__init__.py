"""Lexicon, grammar and sentence patterns of the English-German sample corpus."""
