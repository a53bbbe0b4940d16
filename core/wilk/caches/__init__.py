"""Caches: a tier in memory over one on disk, by namespaces with policies of their own."""
