"""What every room stands on: errors, shapes, parts, batches, validation, randomness, devices."""

__all__: list[str] = []
