"""What tiny networks make of texts, straight from the definition, in double precision: `variant_tests.rs` holds the
vectors that this prints. It shares nothing with the Rust code but the formula of the weights. Needs NumPy."""

from math import erf, sqrt

import numpy as np

WIDTH, WIDE, HEADS, LAYERS, WORDS, POSITIONS, EPSILON = 8, 16, 2, 2, 12, 16, 1e-5
TEXTS = [[2, 5, 6, 7, 3], [2, 8, 3]]


def tensor(name: str, *shape: int) -> np.ndarray:
    seed = sum(name.encode())
    numbers = [((n * 37 + seed * 101 + n * n % 13) % 41 - 20) / 40 for n in range(int(np.prod(shape)))]
    # Weights of a norm are near 1.
    return np.array(numbers).reshape(shape) + (1.0 if name.endswith("LayerNorm.weight") else 0.0)


def linear(rows: np.ndarray, name: str, outputs: int) -> np.ndarray:
    return rows @ tensor(f"{name}.weight", outputs, rows.shape[1]).T + tensor(f"{name}.bias", outputs)


def norm(rows: np.ndarray, name: str) -> np.ndarray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
    return centred / spread * tensor(f"{name}.weight", WIDTH) + tensor(f"{name}.bias", WIDTH)


def network(tokens: list[int], first_position: int, types: int) -> np.ndarray:
    places = np.arange(len(tokens)) + first_position
    rows = tensor("embeddings.word_embeddings.weight", WORDS, WIDTH)[tokens]
    rows = rows + tensor("embeddings.position_embeddings.weight", POSITIONS, WIDTH)[places]
    if types:
        rows = rows + tensor("embeddings.token_type_embeddings.weight", types, WIDTH)[0]
    rows = norm(rows, "embeddings.LayerNorm")
    head = WIDTH // HEADS
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            linear(rows, f"{layer}.attention.self.{part}", WIDTH) for part in ("query", "key", "value")
        )
        heads = []
        for part in (slice(at, at + head) for at in range(0, WIDTH, head)):
            shares = np.exp(query[:, part] @ key[:, part].T / sqrt(head))
            heads.append(shares / shares.sum(axis=1, keepdims=True) @ value[:, part])
        attended = linear(np.hstack(heads), f"{layer}.attention.output.dense", WIDTH)
        rows = norm(rows + attended, f"{layer}.attention.output.LayerNorm")
        wide = linear(rows, f"{layer}.intermediate.dense", WIDE)
        wide = wide * (1 + np.vectorize(erf)(wide / sqrt(2))) / 2
        rows = norm(rows + linear(wide, f"{layer}.output.dense", WIDTH), f"{layer}.output.LayerNorm")
    return rows


POOLINGS = {
    "mean": lambda rows: rows.mean(axis=0),
    "cls": lambda rows: rows[0],
    "max": lambda rows: rows.max(axis=0),
}

for family, first_position, types in (("bert", 0, 2), ("xlm-roberta", 2, 1), ("roberta", 2, 0)):
    for pooling, pool in POOLINGS.items():
        for tokens in TEXTS:
            vector = pool(network(tokens, first_position, types))
            vector = ", ".join(f"{number:.6f}" for number in vector / np.linalg.norm(vector))
            print(family, pooling, len(tokens), f"[{vector}]")
