import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import { type ChatMessage, encodeChat, renderAssistantSpans, renderChat } from './chat-template.ts';
import { loadTokenizer } from './tokenizer.ts';

const root = resolve(import.meta.dirname, '..', '..');
const models = join(root, 'test', 'fixtures', 'models');
const published = resolve(root, '..', 'shared', 'fixtures', 'chat_templates');
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

const user = (content: string): ChatMessage => ({ role: 'user', content });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });

const refusal = (act: () => unknown): HeedError => {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(HeedError);
    return error as HeedError;
  }
  throw new Error('nothing was refused');
};

interface Chat {
  messages: ChatMessage[];
  add_generation_prompt: boolean;
  text: string;
  ids: number[];
  assistant_masks: number[];
}

describe.each(['tiny-llama', 'tiny-gpt2', 'tiny-qwen2'])('%s writes conversations as Transformers does', (name) => {
  const tokenizer = loadTokenizer(join(models, name));
  const { chats }: { chats: Chat[] } = json(join(models, name, 'expected_tokenizer.json'));

  it('and the mask of what the assistant wrote', () => {
    for (const chat of chats) compare(chat);
  });

  const compare = ({ messages, add_generation_prompt, text, ids, assistant_masks }: Chat) => {
    const options = { addGenerationPrompt: add_generation_prompt };
    const bosToken = tokenizer.bos === undefined ? undefined : tokenizer.tokenOf(tokenizer.bos);
    expect(renderChat(tokenizer.chatTemplate!, messages, { ...options, bosToken })).toBe(text);
    expect(encodeChat(tokenizer, messages, options)).toEqual({ ids });
    if (!tokenizer.chatTemplate!.includes('generation %}')) return;
    expect(encodeChat(tokenizer, messages, { ...options, assistantMask: true })).toEqual({
      ids,
      assistantMask: assistant_masks,
    });
  };
});

describe.skipIf(!existsSync(published))(
  'published templates give what Transformers gives (needs the maintainers’ material)',
  () => {
    interface Case {
      template: string;
      chat: string;
      add_generation_prompt: boolean;
      tools: boolean;
      text?: string;
      error?: string;
      generation_spans?: [number, number][] | null;
    }
    const expected = existsSync(published) ? json(join(published, 'expected.json')) : { cases: [] };
    const cases: Case[] = expected.cases;
    const names = cases.length > 0 ? [...new Set(cases.map(({ template }) => template))] : ['absent'];

    it.each(names)('%s', (name) => {
      const template = readFileSync(join(published, `${name}.jinja`), 'utf8');
      for (const { chat, add_generation_prompt, tools, text, error, generation_spans } of cases.filter(
        (one) => one.template === name,
      )) {
        const [, date] = /(?:Current date: |Today Date: )(\d{4}-\d\d-\d\d|\d\d \w{3} \d{4})/.exec(text ?? '') ?? [];
        const options = {
          addGenerationPrompt: add_generation_prompt,
          tools: tools ? expected.tools : undefined,
          bosToken: expected.tokens.bos_token,
          eosToken: expected.tokens.eos_token,
          now: date ? new Date(`${date} 12:00`) : undefined,
        };
        const act = () => renderChat(template, expected.chats[chat], options);
        if (error) refusal(act);
        else expect(act()).toBe(text);
        if (generation_spans) {
          expect(renderAssistantSpans(template, expected.chats[chat], options)).toEqual({
            text,
            spans: generation_spans,
          });
        }
      }
    });
  },
);

// ChatML, once with the assistant's text marked and once without
const TURNS = (content: string) =>
  `{% for m in messages %}<|im_start|>{{ m.role }}\n${content}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`;
const PLAIN = TURNS('{{ m.content }}');
const talk = [user('Hi'), assistant('Hello.'), user('2+2?'), assistant('Four 🙂')];
const written = (text: string, spans: [number, number][]) => spans.map(([start, end]) => text.slice(start, end));

describe('who wrote what', () => {
  it('is known without marks where a conversation only grows', () => {
    const { text, spans } = renderAssistantSpans(PLAIN, talk, { eosToken: '<|im_end|>' });
    expect(written(text, spans)).toEqual(['Hello.<|im_end|>', 'Four 🙂<|im_end|>']);
    const first = renderAssistantSpans(PLAIN, talk.slice(1, 2));
    expect(written(first.text, first.spans)).toEqual(['<|im_start|>assistant\nHello.<|im_end|>\n']);
  });

  it('is not known where the template writes earlier turns otherwise', () => {
    const last = TURNS("{% if loop.last %}{{ '<think></think>' }}{% endif %}{{ m.content }}");
    const { message, hint } = refusal(() => renderAssistantSpans(last, talk));
    expect(message).toContain('has no {% generation %} blocks, and writes message 2 differently');
    expect(hint).toContain('{% generation %}');
  });

  it('is in tokens every token that has some of it', () => {
    const tokenizer = loadTokenizer(join(models, 'tiny-qwen2'));
    const { ids, assistantMask } = encodeChat({ ...tokenizer, chatTemplate: PLAIN }, talk, { assistantMask: true });
    const learned = ids.filter((_, i) => assistantMask![i] === 1);
    expect(tokenizer.decode(learned, { skipSpecialTokens: false })).toBe('Hello.<|im_end|>Four 🙂<|im_end|>');
  });

  it('is not confused by a message that holds the marks used within', () => {
    const marked = '{% generation %}{{ messages[0].content }}{% endgeneration %}';
    expect(renderAssistantSpans(marked, [assistant('a\ufdd1b')])).toEqual({ text: 'a\ufffdb', spans: [[0, 3]] });
  });
});

describe('Jinja as Python has it', () => {
  const rendered = (template: string, content = '', variables = {}) =>
    renderChat(template, [user(content)], { variables });

  it.each([
    ['a\r\nb\rc', '', 'a\nb\nc'],
    ["{{ messages[0].content.strip('\\n') }}|", '\n a \n', ' a |'],
    ["{{ messages[0].content.lstrip('ab') }}", 'abcab', 'cab'],
    ["{{ messages[0].content.rstrip('ab') }}", 'abcab', 'abc'],
    ['{{ messages[0].content.strip() }}|', '\n a \n', 'a|'],
    ['{% for c in messages[0].content %}[{{ c }}]{% endfor %}', 'a🙂', '[a][🙂]'],
    ['{% for c in messages[0].content if c != "a" %}{{ c }}{% endfor %}', 'abac', 'bc'],
    ["{{ messages[0].content | selectattr('type') | list | length }}", 'ab', '0'],
    ['{{ messages | tojson(indent=2) }}', 'é', '[\n  {\n    "role": "user",\n    "content": "é"\n  }\n]'],
    ['{{ range(1, 7, 2) | join(",") }} {{ range(2) | join }}', '', '1,3,5 01'],
    ['  {% generation %}\n{{ messages[0].content }}\n  {%- endgeneration %}\n.', 'x', 'x.'],
    ['{% if tools is none and thinking is not defined %}a{% endif %}', '', 'a'],
  ])('%j', (template, content, text) => {
    expect(rendered(template, content)).toBe(text);
  });

  it('writes the time it is given in English', () => {
    const now = new Date(2026, 2, 5, 15, 4, 9);
    const format = '%d %b %Y|%B %-d|%A %a %y-%m|%H:%M:%S %I %p 100%%';
    expect(renderChat(`{{ strftime_now('${format}') }}`, [], { now })).toBe(
      '05 Mar 2026|March %-d|Thursday Thu 26-03|15:04:09 03 PM 100%',
    );
  });

  it.each([
    ["{{ raise_exception('Roles must alternate') }}", 'cannot write this conversation: Roles must alternate'],
    ['{{ messages[0].content[9].type }}', '"9" of "content" of "0" of "messages" is undefined'],
    ["{{ 'a' + messages[0] }}", 'can only join a string to a string with +, got string + object'],
    ['{% for %}', 'The chat template cannot be read'],
    ['{% for i in range(1000000000) %}{% endfor %}', 'a range has at most 100000 numbers, got 1000000000'],
    ['{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}', 'it may loop without end'],
    [
      "{% set n = namespace(x='a') %}{% for i in range(40) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
      'a text has more than',
    ],
    [
      '{% set n = namespace(x=[1]) %}{% for i in range(40) %}{% set n.x = n.x + n.x %}{% endfor %}',
      'a list has more than',
    ],
  ])('%j is refused', (template, message) => {
    const error = refusal(() => rendered(template));
    expect(error.message).toContain(message);
    expect(error.hint).toBeTruthy();
  });
});

it('takes the template made for tools where there are tools, and says when there is none', () => {
  const tokenizer = loadTokenizer(join(models, 'tiny-qwen2'));
  const two = { ...tokenizer, chatTemplate: 'D', chatTemplates: { default: 'D', tool_use: 'T' } };
  expect(tokenizer.decode(encodeChat(two, talk).ids)).toBe('D');
  expect(tokenizer.decode(encodeChat(two, talk, { tools: [] }).ids)).toBe('T');
  const none = { ...tokenizer, chatTemplate: undefined, chatTemplates: {} };
  expect(refusal(() => encodeChat(none, talk)).hint).toContain('--chatTemplate plain');
});

it('has no span for a message of weight 0, with and without generation blocks', () => {
  const silent = { ...assistant('a'), weight: 0 };
  const messages = [user('u'), silent, user('v'), assistant('b')];
  const plain = '{% for m in messages %}[{{ m.content }}]{% endfor %}{% if add_generation_prompt %}[{% endif %}';
  const marked = '{% for m in messages %}[{% generation %}{{ m.content }}{% endgeneration %}]{% endfor %}';
  expect(renderAssistantSpans(plain, messages).spans).toEqual([[10, 12]]);
  const only =
    '{% for m in messages %}{% if m.role == "assistant" %}[{% generation %}{{ m.content }}{% endgeneration %}]{% endif %}{% endfor %}';
  expect(renderAssistantSpans(only, messages).spans).toEqual([[4, 5]]);
  expect(refusal(() => renderAssistantSpans(marked, messages)).message).toContain(
    '4 parts of its 2 assistant messages',
  );
});
