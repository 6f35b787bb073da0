"""Servers that share a store: which of them does what there is to do once for all of them."""
