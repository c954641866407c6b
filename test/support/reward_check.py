"""Scores token ids with a reward model's folder in Transformers, as one batch padded on the right by the folder's tokenizer.
Arguments: the folder, and a JSON list of lists of ids. Prints a JSON list of scores."""

import json
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder, ids = sys.argv[1], json.loads(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(folder)
tokenizer.padding_side = "right"
model = AutoModelForSequenceClassification.from_pretrained(folder)
batch = tokenizer.pad({"input_ids": ids}, return_tensors="pt")
with torch.no_grad():
    print(json.dumps(model(**batch).logits[:, 0].tolist()))
