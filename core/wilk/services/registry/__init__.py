"""The registry: packages of agents from sources, and what was installed from them."""
