"""The verbs: one module per noun, over the models, knowing nothing of the backend that runs."""
