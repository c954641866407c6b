/** The `model` of a tokenizer.json of byte pairs, as `tokenizers` writes it. `changes` are to what most have. */
export function bytePairModel(vocab: object, merges: readonly unknown[], changes: object = {}) {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    ...changes,
    vocab,
    merges,
  };
}
