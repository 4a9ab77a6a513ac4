"""One module a framework, each with ``start(workload, **options) -> Contender | None``."""
