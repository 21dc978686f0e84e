"""Are samples digits? A judge trained on MNIST looks at samples of runs, and at test images.

    python -m benchmarks.judge DATA RUN [RUN ...] [-n 1000] [--steps 100]

DATA holds mnist/ (IDX files). The judge is a small convolutional network of 10 classes, trained for three epochs on the
training images; its accuracy on the test images is printed first, and below 98 % it judges nothing. Its confidence is
the probability of its most probable class: the mean over the samples of a run, beside that over test images, and
beside that of pixels drawn independently with their means (which are no digits). How evenly the classes are
represented is the entropy of their frequencies, at most log 10 = 2.303 nats.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

ENOUGH = 0.98


def images(data: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [N, 1, 28, 28] in [0, 1], and their classes [N]."""
    from jensen.data import read

    folder = data / "mnist"
    held = read(str(folder / f"{part}-images-idx3-ubyte.gz"), labels=str(folder / f"{part}-labels-idx1-ubyte.gz"))
    return scaled(np.asarray(held.x)), torch.as_tensor(np.asarray(held.labels)).long()


def scaled(x: np.ndarray) -> torch.Tensor:
    """Bytes as the judge sees them."""
    return torch.as_tensor(x, dtype=torch.float32).reshape(-1, 1, 28, 28) / 255


def judge(x: torch.Tensor, y: torch.Tensor, epochs: int = 3) -> nn.Module:
    """A network of 10 classes, trained on images."""
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 49, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[index]), y[index]).backward()
            optimizer.step()
    return net.eval()


@torch.no_grad()
def opinion(net: nn.Module, x: torch.Tensor) -> dict[str, float]:
    """The judge's mean confidence in images, with its standard error, and the entropy of the classes that it sees."""
    p = torch.cat([net(part).softmax(-1) for part in x.split(1000)])
    confidence = p.max(-1).values
    share = torch.bincount(p.argmax(-1), minlength=10) / len(p)
    return {
        "confidence": float(confidence.mean()),
        "stderr": float(confidence.std() / len(p) ** 0.5),
        "above 0.9": float((confidence > 0.9).double().mean()),
        "entropy": float(-(share * share.clamp_min(1e-12).log()).sum()),
    }


def drawn(path: Path, n: int, steps: int | None) -> torch.Tensor:
    """Samples of a run, as its default picture shows them: means of p(x | z), or draws where there is no mean."""
    import jensen
    from jensen.models.descents import chain_prior

    run: Any = jensen.load(path)
    how: dict[str, Any] = {} if steps is None or chain_prior(run.model) is None else {"steps": steps}
    how |= {"mean": True} if run.model.latent else {}
    return scaled(np.asarray(run.sample(n, **how)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--steps", type=int, help="of diffusions")
    options = parser.parse_args()
    (x, y), (tested, classes) = images(options.data, "train"), images(options.data, "t10k")
    net = judge(x, y)
    with torch.no_grad():
        right = float((net(tested).argmax(-1) == classes).double().mean())
    print(f"the judge is right on {right:.2%} of {len(tested):,} test images", flush=True)
    if right < ENOUGH:
        raise SystemExit("it must be right on 98 % to judge")
    noise = (torch.rand(options.n, 1, 28, 28, generator=torch.Generator().manual_seed(0)) < x.mean(0)).float()
    rows = {"test images": opinion(net, tested[: options.n]), "independent pixels": opinion(net, noise)}
    rows |= {str(run): opinion(net, drawn(run, options.n, options.steps)) for run in options.runs}
    print("\n| images | mean confidence | above 0.9 | entropy of classes |\n|---|--:|--:|--:|")
    for name, found in rows.items():
        confidence = f"{found['confidence']:.3f} ± {found['stderr']:.3f}"
        print(f"| {name} | {confidence} | {found['above 0.9']:.0%} | {found['entropy']:.2f} |")


if __name__ == "__main__":
    main()
