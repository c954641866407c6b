import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { defaultConstitution, readConstitution } from './principles.ts';

const folder = mkdtempSync(join(tmpdir(), 'heed-principles-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const read = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return readConstitution(path);
};

it('reads a list in Markdown, with requests below a principle', () => {
  const [kind, garden, short, ...others] = read(
    'principles.md',
    `# Our rules

What follows was agreed on in May.

- Answers are kind,
  to everybody.
* No answer names the garden.
  - Critique: Where is a garden?
    Quote it.
  - revision: Write it again: no gardens.
3. Answers are short.
`,
  );
  expect(kind.text).toBe('Answers are kind, to everybody.');
  expect(kind.critique).toContain(kind.text);
  expect(kind.revision).toContain(kind.text);
  expect(garden).toEqual({
    text: 'No answer names the garden.',
    critique: 'Where is a garden? Quote it.',
    revision: 'Write it again: no gardens.',
  });
  expect(short.text).toBe('Answers are short.');
  expect(others).toEqual([]);
});

it('reads lines of text without a list', () => {
  const read1 = read('principles.txt', '# Rules\r\nAnswers are kind.\r\n\r\nAnswers are short.\r\n');
  expect(read1.map(({ text }) => text)).toEqual(['Answers are kind.', 'Answers are short.']);
});

it('reads texts and requests in JSON', () => {
  const principles = [
    'Answers are kind.',
    { principle: 'Answers are short.', revision: 'Cut it.' },
    { critique: 'Is it true?', revision: 'Make it true.' },
  ];
  for (const content of [principles, { principles }]) {
    const [kind, short, honest] = read('principles.json', JSON.stringify(content));
    expect(kind.text).toBe('Answers are kind.');
    expect(short).toMatchObject({ text: 'Answers are short.', revision: 'Cut it.' });
    expect(short.critique).toContain('Answers are short.');
    expect(honest).toEqual({ text: 'Is it true?', critique: 'Is it true?', revision: 'Make it true.' });
  }
});

it('has one of its own', () => {
  expect(defaultConstitution.length).toBeGreaterThan(5);
  expect(new Set(defaultConstitution.map(({ text }) => text)).size).toBe(defaultConstitution.length);
});
