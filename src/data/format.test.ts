import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { adopt, convertRow, explicitPrompt, fromShareGpt, unpair } from './convert.ts';
import { detectFormat, type ForeignFormat, type Format, faultOf } from './format.ts';
import type { Row } from './row.ts';

const trl = JSON.parse(readFileSync(new URL('../../test/fixtures/data/preprocess.json', import.meta.url), 'utf8'));
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const hh = (...turns: string[]) => turns.map((turn, i) => `\n\n${i % 2 ? 'Assistant' : 'Human'}: ${turn}`).join('');

describe('formats', () => {
  it.each<[string, Format]>([
    ['lm', 'language-modeling'],
    ['pc', 'prompt-completion'],
    ['chat', 'language-modeling'],
    ['pc_chat', 'prompt-completion'],
    ['pref', 'preference'],
    ['pref_implicit', 'implicit-preference'],
    ['pref_chat', 'preference'],
    ['unpaired', 'unpaired-preference'],
  ])("are told and found sound in TRL's %s", (name, format) => {
    for (const row of trl.datasets[name]) {
      expect(detectFormat(row)).toBe(format);
      expect(faultOf(row, format)).toBeUndefined();
      expect(adopt(row, format)).toEqual(row);
    }
  });

  it.each<[Format | ForeignFormat | undefined, Row]>([
    ['prompt-only', { prompt: 'a', source: 'b' }],
    ['stepwise', { prompt: 'a', completions: ['b', 'c'], labels: [true, 0] }],
    ['prompt-completion', { prompt: 'a', completion: 'b', label: 'maths' }],
    ['unpaired-preference', { prompt: 'a', completion: 'b', label: 0 }],
    ['sharegpt', { conversations: [{ from: 'human', value: 'a' }] }],
    ['alpaca', { instruction: 'a', input: '', output: 'b' }],
    ['hh', { chosen: hh('a', 'b'), rejected: hh('a', 'c') }],
    [
      'implicit-preference',
      { prompt: 'a', chosen: [user('a'), assistant('b')], rejected: [user('a'), assistant('c')] },
    ],
    ['preference', { prompt: 'a', chosen: 'b', rejected: 'c', messages: [user('a')] }],
    [undefined, { question: 'a', answer: 'b' }],
    [undefined, { prompt: null }],
  ])('%s', (format, row) => {
    expect(detectFormat(row)).toBe(format);
    if (format) expect(faultOf(row, format)).toBeUndefined();
  });

  it('are told among those that are accepted', () => {
    const row = { prompt: 'a', chosen: 'b', rejected: 'c', messages: [user('a')] };
    expect(detectFormat(row, ['language-modeling', 'prompt-completion'])).toBe('language-modeling');
    expect(detectFormat(row, ['stepwise'])).toBeUndefined();
  });

  it.each<[Format | ForeignFormat, Row, field: string, reason: string]>([
    ['language-modeling', { text: '' }, 'text', 'is empty'],
    ['language-modeling', { text: 7 }, 'text', 'expected text, got 7'],
    ['language-modeling', { text: 'a\ud83d' }, 'text', 'not Unicode'],
    ['language-modeling', { text: Uint8Array.of(255) }, 'text', 'bytes that are not UTF-8'],
    ['language-modeling', { messages: null }, 'text', 'is missing, and so are messages'],
    ['language-modeling', { messages: [] }, 'messages', 'is empty'],
    ['language-modeling', { messages: ['a'] }, 'messages[0]', 'expected a message, got "a"'],
    ['language-modeling', { messages: [user('a'), { role: 'bot', content: 'b' }] }, 'messages[1].role', 'got "bot"'],
    ['language-modeling', { messages: [{ content: 'b' }] }, 'messages[0].role', 'is missing'],
    ['language-modeling', { messages: [{ role: 'user' }] }, 'messages[0].content', 'is missing'],
    ['language-modeling', { messages: [user('a'), assistant(' ')] }, 'messages[1].content', 'is empty'],
    ['prompt-completion', { prompt: 'a' }, 'completion', 'is missing'],
    ['prompt-completion', { prompt: null, completion: 'a' }, 'prompt', 'is missing'],
    ['prompt-completion', { prompt: 'a', completion: '\n' }, 'completion', 'is empty'],
    ['prompt-completion', { prompt: 'a', completion: [assistant('b')] }, 'completion', 'expected text, as "prompt" is'],
    [
      'prompt-completion',
      { prompt: [user('a')], completion: [user('b')] },
      'completion',
      'no message by the assistant',
    ],
    ['prompt-only', { prompt: '' }, 'prompt', 'is empty'],
    ['preference', { prompt: 'a', chosen: 'b' }, 'rejected', 'is missing'],
    ['implicit-preference', { chosen: 'b', rejected: { a: 1 } }, 'rejected', 'got an object'],
    ['unpaired-preference', { prompt: 'a', completion: 'b', label: Number.NaN }, 'label', 'true or false, got NaN'],
    ['unpaired-preference', { prompt: 'a', completion: 'b' }, 'label', 'is missing'],
    ['stepwise', { prompt: 'a', completions: ['b'], labels: [true, true] }, 'labels', '2 values for 1 completions'],
    ['stepwise', { prompt: 'a', completions: ['b', ''], labels: [true, true] }, 'completions[1]', 'is empty'],
    ['stepwise', { prompt: 'a', completions: ['b'], labels: ['maybe'] }, 'labels[0]', 'got "maybe"'],
    ['sharegpt', { conversations: [{ from: 'narrator', value: 'a' }] }, 'conversations[0].from', 'got "narrator"'],
    ['hh', { chosen: hh('a', ''), rejected: hh('a', 'b') }, 'chosen', 'ends in an empty completion'],
    ['hh', { chosen: hh('a', 'b'), rejected: hh('a', 'b', 'c') }, 'rejected', 'ends with the human'],
    ['hh', { chosen: hh('a', 'b'), rejected: 'b' }, 'rejected', 'does not begin'],
    ['alpaca', { instruction: 'a', input: null, output: '' }, 'output', 'is empty'],
  ])('a %s row at fault', (format, row, field, reason) => {
    expect(faultOf(row, format)).toEqual({ field, reason: expect.stringContaining(reason) });
  });

  it('let a message that calls tools be without content', () => {
    const calls = { role: 'assistant', content: null, tool_calls: [{ type: 'function' }] };
    expect(faultOf({ messages: [user('a'), calls], tools: [] }, 'language-modeling')).toBeUndefined();
  });
});

describe('conversions', () => {
  it('find the prompt as TRL does', () => {
    for (const { in: implicit, out } of trl.extract_prompt) expect(explicitPrompt(implicit)).toEqual(out);
  });

  it.each([
    ['cats and dogs', 'cats', { prompt: 'cat', chosen: 's and dogs', rejected: 's' }],
    ['a', 'b', { prompt: '', chosen: 'a', rejected: 'b' }],
    ['🙂', '🙃', { prompt: '', chosen: '🙂', rejected: '🙃' }],
    ['So 🙂', 'So 🙃', { prompt: 'So', chosen: ' 🙂', rejected: ' 🙃' }],
  ])('find the prompt of %j and %j', (chosen, rejected, expected) => {
    expect(explicitPrompt({ chosen, rejected })).toEqual(expected);
  });

  it('unpair as TRL does, but row by row', () => {
    const rows = trl.datasets.pref.flatMap(unpair);
    expect(rows.filter(({ label }: Row) => label)).toEqual(trl.unpair.filter(({ label }: Row) => label));
    expect(rows.filter(({ label }: Row) => !label)).toEqual(trl.unpair.filter(({ label }: Row) => !label));
  });

  it("take ShareGPT as TRL does, with the roles' usual names", () => {
    const names: Row = { human: 'user', gpt: 'assistant' };
    const messages = trl.sharegpt.out.messages.map(({ role, content }: Row) => ({
      role: names[role as string],
      content,
    }));
    expect(fromShareGpt(trl.sharegpt.in)).toEqual({ messages });
  });

  it("take Anthropic's dialogues, what both begin with as the prompt", () => {
    const row = { chosen: hh('a', 'b', 'c\n\nd', 'e'), rejected: hh('a', 'b', 'c\n\nd', 'f'), id: 1 };
    expect(adopt(row, 'hh')).toEqual({
      prompt: [user('a'), assistant('b'), user('c\n\nd')],
      chosen: [assistant('e')],
      rejected: [assistant('f')],
      id: 1,
    });
  });

  it('take Alpaca as turns', () => {
    expect(adopt({ instruction: 'Add', input: '2, 2', output: '4' }, 'alpaca')).toEqual({
      prompt: [user('Add\n\n2, 2')],
      completion: [assistant('4')],
    });
  });

  it('write labels as true and false', () => {
    expect(adopt({ prompt: 'a', completion: 'b', label: 1 }, 'unpaired-preference')).toMatchObject({ label: true });
    expect(adopt({ prompt: 'a', completions: ['b'], labels: [0] }, 'stepwise')).toMatchObject({ labels: [false] });
  });

  it.each<[Format, Format, Row, Row[]]>([
    [
      'implicit-preference',
      'prompt-completion',
      { chosen: 'a b', rejected: 'a c' },
      [{ prompt: 'a', completion: ' b' }],
    ],
    [
      'preference',
      'implicit-preference',
      { prompt: 'a', chosen: 'b', rejected: 'c' },
      [{ chosen: 'ab', rejected: 'ac' }],
    ],
    ['preference', 'prompt-only', { prompt: 'a', chosen: 'b', rejected: 'c', id: 1 }, [{ prompt: 'a', id: 1 }]],
    ['unpaired-preference', 'language-modeling', { prompt: 'a', completion: 'b', label: true }, [{ text: 'ab' }]],
    ['unpaired-preference', 'language-modeling', { prompt: 'a', completion: 'b', label: false }, []],
    [
      'prompt-completion',
      'language-modeling',
      { prompt: [user('a')], completion: [assistant('b')] },
      [{ messages: [user('a'), assistant('b')] }],
    ],
    [
      'language-modeling',
      'prompt-completion',
      { messages: [user('a'), assistant('b'), user('c')], tools: [] },
      [{ prompt: [user('a')], completion: [assistant('b')], tools: [] }],
    ],
  ])('from %s to %s', (from, to, row, expected) => {
    expect(convertRow(row, from, to)).toEqual(expected);
  });

  it('say where there is no way', () => {
    expect(() => convertRow({ prompt: 'a' }, 'prompt-only', 'preference')).toThrow('cannot become preference');
    expect(() => convertRow({ text: 'a' }, 'language-modeling', 'prompt-completion')).toThrow('without a prompt');
  });
});
