"""What labels are worth on MNIST: a hundred of them (M2, and M2 on the codes of a VAE), and all (a conditional model).

python -m benchmarks.labels FOLDER --out OUT            # FOLDER holds MNIST's IDX files; what is there is not repeated
python -m benchmarks.labels FOLDER --out OUT --seeds 3

20,000 training images (1,000 more are watched), binarised dynamically; other seeds choose other labels. Accuracies are
of q(y | x) on all 10,000 test images. A conditional model is asked for 100 images of each digit; a perceptron trained
on all 60,000 images says which digit they are.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

TRAINED, HELD, LABELS = 20_000, 1_000, 100
COMMON: dict[str, Any] = {"batch": 200, "split": (0.9524, 0.0476, 0), "checkpoints": 0, "patience": None}
CODES: dict[str, Any] = {"recipe": "vae", "lr": 2e-3, "epochs": 25, "binarize": "dynamic"}
M2: dict[str, Any] = {"latent": 10, "hidden": (200,), "lr": 2e-3, "epochs": 20, "binarize": "dynamic"}
M1_M2: dict[str, Any] = {"latent": 10, "hidden": (100,), "lr": 4e-3, "epochs": 30, "floor": 0.05}
CONDITIONAL: dict[str, Any] = {"recipe": "conditional", "lr": 2e-3, "epochs": 10, "binarize": "dynamic"}


def mnist(folder: Path, name: str) -> tuple[Any, Any]:
    """Grey images [N, 784], bytes, and digits [N]."""
    import numpy as np

    from jensen.data import read

    images, labels = (str(next(folder.glob(f"{name}-{kind}*"))) for kind in ("images", "labels"))
    found = read(images, labels=labels)
    return found.x.reshape(len(found.x), -1).astype(np.uint8), np.asarray(found.labels).astype(int)


def images(folder: Path, out: Path) -> tuple[Path, Path]:
    """Training and test images with their labels, as two archives of x and y."""
    import numpy as np

    found = []
    for name, n in (("train", TRAINED + HELD), ("t10k", None)):
        path = out / f"{name}.npz"
        if not path.exists():
            x, y = mnist(folder, name)
            np.savez(path, x=x[:n].reshape(-1, 28, 28), y=y[:n])
        found.append(path)
    return found[0], found[1]


def made(path: Path, data: Path, test: Path, **options: Any) -> Any:
    """The run that is there, or a new one."""
    import jensen

    if (path / "model.safetensors").exists():
        return jensen.load(path)
    return jensen.train(data, test=test, out=path, force=True, **COMMON, **options)


def accuracy(run: Any) -> str:
    from jensen.runs.classify import classified

    return str(classified(run, run.part("test")))


def coded(run: Any, out: Path, seed: int, files: tuple[Path, Path]) -> tuple[Path, Path]:
    """The means of the VAE's q(z | x), of active features, with the labels, in the place of the images."""
    import numpy as np

    made_of = []
    for file in files:
        path = out / f"codes-{seed}-{file.name}"
        if not path.exists():
            np.savez(path, x=run.encode(str(file))[:, run.active_features()], y=np.load(file)["y"])
        made_of.append(path)
    return made_of[0], made_of[1]


def judge(folder: Path) -> Any:
    """A perceptron trained on all training images, pixels drawn, and how often it is right about test images."""
    import numpy as np
    from sklearn.neural_network import MLPClassifier

    (x, y), (xt, yt) = mnist(folder, "train"), mnist(folder, "t10k")
    rng = np.random.default_rng(0)

    def bits(a: np.ndarray) -> np.ndarray:
        return (rng.random(a.shape) < a / 255).astype(np.float32)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # six passes are enough, and scikit-learn says that they are few
        net = MLPClassifier((300,), batch_size=200, max_iter=6, random_state=0).fit(bits(x), y)
    print(f"the judge is right about {net.score(bits(xt), yt):.1%} of test images", flush=True)
    return net


def asked_for(run: Any, net: Any, seed: int) -> str:
    """How many of 100 images of each digit are that digit."""
    import numpy as np

    found = []
    for mean in (True, False):
        x = [run.sample(100, label=str(c), seed=seed, mean=mean).reshape(100, -1) for c in range(10)]
        found.append(np.mean([(net.predict(xc) == c).mean() for c, xc in enumerate(x)]))
    return f"{found[0]:.1%} of means and {found[1]:.1%} of draws are the digit that was asked for"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=["m2", "m1+m2", "conditional"])
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    files, net = images(options.folder, out), None
    for seed in range(options.seeds):
        few = {"recipe": "semi-supervised", "labelled": LABELS, "seed": seed}
        if "m2" in options.only:
            print(f"M2, seed {seed}: {accuracy(made(out / f'm2-{seed}', *files, **few, **M2))}", flush=True)
        if "m1+m2" in options.only:
            codes = coded(made(out / f"codes-{seed}", *files, seed=seed, **CODES), out, seed, files)
            print(f"M1+M2, seed {seed}: {accuracy(made(out / f'm1m2-{seed}', *codes, **few, **M1_M2))}", flush=True)
        if "conditional" in options.only:
            net = judge(options.folder) if net is None else net
            run = made(out / f"conditional-{seed}", *files, seed=seed, **CONDITIONAL)
            print(f"conditional, seed {seed}: {asked_for(run, net, seed)}", flush=True)


if __name__ == "__main__":
    main()
