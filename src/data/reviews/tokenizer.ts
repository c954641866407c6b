/** A word-level tokenizer for the reviews, as the two files of a Hugging Face folder. */

import { reviewPrompts } from './demonstrations.ts';
import { templates } from './grammar.ts';
import { adjectives, classes, itemByWord, places, polarities, verbs } from './words.ts';

/** Ids 0 to 4. The grammar has no unknown words, but people who chat with a model may write some. */
const specials = ['<pad>', '<bos>', '<sep>', '<eos>', '<unk>'] as const;

/** Every token by its id: special tokens, then the words of the grammar and of the prompts in order. */
export const reviewVocabulary: readonly string[] = [...specials, ...[...wordsOfTheWorld()].sort()];

function wordsOfTheWorld(): Set<string> {
  const fixed = templates.flatMap(({ parts }) => parts.flatMap((part) => (part.slot === 'fixed' ? [part.word] : [])));
  const lists = [...Object.values(adjectives), verbs].flatMap((words) => polarities.flatMap((key) => words[key]));
  return new Set([
    ...fixed,
    ...['was', 'were', 'a', 'an'],
    ...places,
    ...itemByWord.keys(),
    ...lists,
    ...Object.values(classes).flat(),
    ...reviewPrompts.flatMap(({ text }) => text.split(' ')),
  ]);
}

// Assistant turns end in <eos>, all others in <sep>.
const chatTemplate =
  "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}" +
  "{% generation %}{{ message['content'] }}{{ eos_token }}{% endgeneration %}" +
  "{% else %}{{ message['content'] }}<sep>{% endif %}{% endfor %}";

/**
 * `tokenizer`: tokenizer.json; `config`: tokenizer_config.json. A text is `<bos>` and its words; decoding gives the
 * words with a space between any two. One turn of a chat is `<bos> prompt <sep> response <eos>`.
 */
export function reviewTokenizer() {
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: specials.map((content, id) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: { type: 'Lowercase' },
      pre_tokenizer: { type: 'Whitespace' },
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
        pair: [
          { SpecialToken: { id: '<bos>', type_id: 0 } },
          { Sequence: { id: 'A', type_id: 0 } },
          { Sequence: { id: 'B', type_id: 0 } },
        ],
        special_tokens: { '<bos>': { id: '<bos>', ids: [1], tokens: ['<bos>'] } },
      },
      decoder: null,
      model: {
        type: 'WordLevel',
        vocab: Object.fromEntries(reviewVocabulary.map((word, id) => [word, id])),
        unk_token: '<unk>',
      },
    },
    config: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      pad_token: '<pad>',
      bos_token: '<bos>',
      sep_token: '<sep>',
      eos_token: '<eos>',
      unk_token: '<unk>',
      clean_up_tokenization_spaces: false,
      model_max_length: 128,
      chat_template: chatTemplate,
    },
  };
}
