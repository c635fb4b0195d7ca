"""Who drives the core: each module is an engine, and exposes ``run(work, progress)``.

Nothing lists them; ``lakehouse.pipeline.engine`` finds them by name. All give the same tables.
"""
