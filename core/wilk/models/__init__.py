"""The Peewee models: the one schema, a module per family, over ``base``."""
