import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { random } from '../../random.ts';
import { demonstration, reviewPrompts } from './demonstrations.ts';
import { review } from './generate.ts';
import { reviewTokenizer, reviewVocabulary } from './tokenizer.ts';

const { tokenizer: json, config } = JSON.parse(JSON.stringify(reviewTokenizer()));
const tokenizer = new Tokenizer(json, config);

describe('reviewTokenizer', () => {
  it('has 320 words and five specials, each once', () => {
    expect(reviewVocabulary).toHaveLength(325);
    expect(new Set(reviewVocabulary).size).toBe(325);
    expect(reviewVocabulary.slice(0, 5)).toEqual(['<pad>', '<bos>', '<sep>', '<eos>', '<unk>']);
  });

  it('gives every text of the grammar one known id a word, and the words back', () => {
    const draw = random(0, 'tokenizer');
    for (let i = 0; i < 300; i++) {
      const { words } = i % 2 ? review(draw) : demonstration(draw);
      const { ids } = tokenizer.encode(words.join(' '));
      expect(ids).toEqual([1, ...words.map((word) => reviewVocabulary.indexOf(word))]);
      expect(Math.min(...ids.slice(1))).toBeGreaterThan(4);
      expect(tokenizer.decode(ids, { skip_special_tokens: true })).toBe(words.join(' '));
    }
    for (const { text } of reviewPrompts) {
      expect(tokenizer.encode(text, { add_special_tokens: false }).ids).toHaveLength(9);
    }
  });

  it('takes text as people write it, and words it does not know', () => {
    const ids = tokenizer.encode('Please write a short review of the zoo.', { add_special_tokens: false }).ids;
    const expected = tokenizer.encode('please write a short review of the <unk> .', { add_special_tokens: false }).ids;
    expect(ids).toEqual(expected);
    expect(ids[7]).toBe(4);
  });

  it('renders a turn as <bos> prompt <sep> response <eos>', () => {
    const { prompt, words } = demonstration(random(1, 'tokenizer'));
    const template = new Template(config.chat_template);
    const render = (messages: { role: string; content: string }[]) =>
      tokenizer.encode(
        template.render({
          messages,
          bos_token: config.bos_token,
          eos_token: config.eos_token,
          add_generation_prompt: true,
        }),
        { add_special_tokens: false },
      ).tokens;
    const user = { role: 'user', content: prompt.text };
    const assistant = { role: 'assistant', content: words.join(' ') };
    const question = ['<bos>', ...prompt.text.split(' '), '<sep>'];
    expect(render([user])).toEqual(question);
    expect(render([user, assistant])).toEqual([...question, ...words, '<eos>']);
    expect(render([user, assistant, user])).toEqual([...question, ...words, '<eos>', ...question.slice(1)]);
    expect(config.chat_template).toMatch(/\{% generation %\}.*eos_token.*\{% endgeneration %\}/);
  });
});
