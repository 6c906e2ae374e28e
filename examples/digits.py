"""Handwritten digits: train a small network on scikit-learn's 1797 images of 8 x 8 pixels, and draw what it learnt.

    python examples/digits.py --epochs 40 --seed 0 --output digits.png

A quarter of the images is held out for testing: training never sees them, their loss is only watched.
"""

import argparse
import time

import numpy as np

from nngrad import Tensor, manual_seed, no_grad
from nngrad.nn import Dropout, LayerNorm, Linear, Sequential, relu
from nngrad.nn.functional import cross_entropy
from nngrad.optim import Adam, CosineAnnealingLR

try:
    import matplotlib

    matplotlib.use("Agg")  # a file is all that is wanted, so no display is needed
    import matplotlib.pyplot as plt
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm
except ModuleNotFoundError as error:
    raise SystemExit(f'This example needs {error.name}. Install it with: pip install -e ".[examples]"') from None

BATCH = 64


def network():
    """64 pixels in, one score for each of the ten digits out."""
    return Sequential(
        Linear(64, 256), LayerNorm(256), relu, Dropout(0.4),
        Linear(256, 128), LayerNorm(128), relu, Dropout(0.4),
        Linear(128, 10),
    )  # fmt: skip


def evaluate(model, images, labels):
    """Loss, accuracy and predicted digits, with dropout off and no graph."""
    model.eval()
    with no_grad():
        scores = model(Tensor(images))
        loss = cross_entropy(scores, labels).item()
    model.train()
    predicted = scores.data.argmax(axis=1)
    return loss, np.mean(predicted == labels), predicted


def train(model, train_set, test_set, epochs, rng):
    """Train with Adam and a rate that falls to zero; return the losses of every epoch, (train, test)."""
    optimizer = Adam(model.parameters(), lr=2e-3)
    schedule = CosineAnnealingLR(optimizer, T_max=epochs)
    images, labels = train_set
    losses = []
    with tqdm(range(epochs), unit="epoch") as bar:
        for _ in bar:
            for batch in np.array_split(rng.permutation(len(labels)), len(labels) // BATCH):
                optimizer.zero_grad()
                cross_entropy(model(Tensor(images[batch])), labels[batch]).backward()
                optimizer.step()
            schedule.step()
            test_loss, accuracy, _ = evaluate(model, *test_set)
            losses.append((evaluate(model, *train_set)[0], test_loss))
            bar.set_postfix(loss=f"{losses[-1][0]:.4f}", test_loss=f"{test_loss:.4f}", test_accuracy=f"{accuracy:.2%}")
    return np.array(losses)


def draw(losses, images, labels, predicted, output, rows=6, columns=10):
    """The loss curves beside a grid of test digits: the mistakes first, as far as they fit, then others."""
    blue, orange, red, grey = "#2563eb", "#ea8a0b", "#dc2626", "#6b7280"
    figure = plt.figure(figsize=(13, 5.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.3], wspace=0.04)

    axes, epochs = left.subplots(), np.arange(1, len(losses) + 1)
    for loss, name, colour in zip(losses.T, ["train", "test"], [blue, orange], strict=True):
        axes.semilogy(epochs, loss, color=colour, lw=2)
        axes.annotate(name, (epochs[-1], loss[-1]), (0, 6), textcoords="offset points", color=colour, ha="right")
    axes.set(xlabel="epoch", ylabel="cross entropy")
    axes.set_title(f"Loss; in the end {np.mean(predicted == labels):.1%} of the test digits are right", fontsize=11)
    axes.grid(color="#e5e7eb")
    axes.spines[["top", "right"]].set_visible(False)

    wrong = predicted != labels
    order = np.argsort(~wrong, kind="stable")[: rows * columns]
    right.suptitle(f"Test digits and predictions, the {wrong.sum()} mistakes first", fontsize=11)
    for cell, i in zip(right.subplots(rows, columns).flat, order, strict=True):
        cell.imshow(images[i].reshape(8, 8), cmap="gray_r")
        cell.set(xticks=[], yticks=[])
        cell.spines[:].set(color=red if wrong[i] else "#e5e7eb", linewidth=2 if wrong[i] else 1)
        text = f"{predicted[i]}, is {labels[i]}" if wrong[i] else predicted[i]
        cell.set_title(text, fontsize=9, pad=3, color=red if wrong[i] else grey)
    figure.savefig(output, dpi=130)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training images (40)")
    parser.add_argument("--seed", type=int, default=0, help="of the split, the initial weights and dropout (0)")
    parser.add_argument("--output", default="digits.png", help="the picture to write (digits.png)")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, not {options.epochs}")

    started = time.perf_counter()
    manual_seed(options.seed)
    images, labels = load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images / 16, labels, test_size=0.25, stratify=labels, random_state=options.seed
    )
    model = network()
    rng = np.random.default_rng(options.seed)
    with threadpool_limits(1, user_api="blas"):  # matrices this small lose more to threads than they gain
        losses = train(model, (train_images, train_labels), (test_images, test_labels), options.epochs, rng)
    _, accuracy, predicted = evaluate(model, test_images, test_labels)
    draw(losses, test_images, test_labels, predicted, options.output)
    seconds = time.perf_counter() - started
    print(f"test accuracy {accuracy:.2%} on {len(test_labels)} images, {seconds:.1f} s, picture in {options.output}")


if __name__ == "__main__":
    main()
