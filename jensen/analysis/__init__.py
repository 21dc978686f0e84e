"""A trained model in memory: what its latents carry, what is wrong with it, what its samples are like."""

__all__: list[str] = []
