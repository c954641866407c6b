"""Log-probabilities of tokens by Transformers, to compare with heed's: trainer_scores.py FOLDER ID,ID,…

Prints a JSON list: of each id after the first, given those before it."""

import json
import sys

import torch
from transformers import AutoModelForCausalLM

folder, ids = sys.argv[1], torch.tensor([[int(one) for one in sys.argv[2].split(",")]])
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
with torch.no_grad():
    scores = model(ids).logits.log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
print(json.dumps(scores.tolist()))
