/** Constitutional AI with chats that reply by rules: who gets which requests, and what is left out. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ownData } from '../../../test/support/training.ts';
import type { Chat, Conversation } from '../judges/source.ts';
import { type ConstitutionInput, type ConstitutionStep, constitution, createConstitution } from './constitution.ts';
import { comparisonRows, revisionPairs, revisionRows } from './rows.ts';

const { folder, dataOf } = ownData();
const data = dataOf(['one', 'two', 'three', 'four', 'five'].map((prompt) => ({ prompt })));
const rules = join(folder, 'rules.json');
const principle = { principle: 'No red.', critique: 'Where is red?', revision: 'Without red.' };
writeFileSync(rules, JSON.stringify([principle]));

const textsOf = (conversation: Conversation) => conversation.map(({ content }) => content as string);
const chatOf = (completion: (turns: string[], i: number) => string, more: Partial<Chat> = {}): Chat => ({
  name: 'rule',
  complete: async (conversations) => conversations.map((conversation, i) => completion(textsOf(conversation), i)),
  ...more,
});

async function made(input: Partial<ConstitutionInput>, model: Chat, critic?: Chat): Promise<ConstitutionStep[]> {
  const steps: ConstitutionStep[] = [];
  const options = { model: 'rule', constitution: rules, data, ...input };
  for await (const step of constitution({ ...options, model, critic })) steps.push(step);
  return steps;
}

it('criticizes and revises in rounds, each from the latest revision', async () => {
  const seen: string[][] = [];
  const critic = chatOf((turns) => {
    seen.push(turns);
    return turns.at(-1) === principle.critique ? 'Here.' : turns.at(-4)!.replace('red', '').trim();
  });
  const [{ revised }, ...others] = await made(
    { part: 'revisions', rounds: 2, prompts: 1 },
    chatOf(() => 'red red sun'),
    critic,
  );
  expect(others).toEqual([]);
  const [prompt] = textsOf(revised[0].prompt as Conversation);
  expect(seen).toEqual([
    [prompt, 'red red sun', 'Where is red?'],
    [prompt, 'red red sun', 'Where is red?', 'Here.', 'Without red.'],
    [prompt, 'red sun', 'Where is red?'],
    [prompt, 'red sun', 'Where is red?', 'Here.', 'Without red.'],
  ]);
  const [row] = revisionRows({ revised: [...revised], compared: [] });
  expect(row).toMatchObject({
    completion: [{ content: 'sun' }],
    original: 'red red sun',
    principles: ['No red.', 'No red.'],
  });
  expect(row.conversation).toHaveLength(10);
});

it('leaves out empty completions and revisions, and makes no pair of an unchanged revision', async () => {
  const critic = chatOf((turns) => {
    if (turns.at(-1) === principle.critique) return 'Somewhere.';
    return turns[0] === 'two' ? '' : turns[0] === 'three' ? 'blue' : turns.at(-4)!;
  });
  const model = chatOf((turns) => (turns[0] === 'one' ? '' : 'red'));
  const [{ revised }] = await made({ part: 'revisions' }, model, critic);
  const why = Object.fromEntries(revised.map(({ prompt, leftOut }) => [prompt[0].content, leftOut]));
  expect(why).toEqual({ one: 'no completion', two: 'no revision' });
  const rows = { revised: [...revised], compared: [] };
  expect(revisionRows(rows)).toHaveLength(3);
  expect(revisionPairs(rows)).toEqual([
    expect.objectContaining({ chosen: [{ role: 'assistant', content: 'blue' }], source: 'revision' }),
  ]);
});

it('compares in both orders, by a probability where there is one', async () => {
  // completions come in pairs
  const model = chatOf(([prompt], i) => (prompt === 'one' ? 'same' : i % 2 === 0 ? `red ${prompt}` : `blue ${prompt}`));
  const shy = chatOf((turns) => (turns[0].includes('two') ? 'Who knows?' : /A:\nred/.test(turns[0]) ? 'B' : 'A'));
  const [{ compared }] = await made({ part: 'comparisons' }, model, shy);
  const rows = comparisonRows({ revised: [], compared: [...compared] });
  expect(compared.map(({ prompt, leftOut }) => [prompt[0].content, leftOut]).filter(([, why]) => why)).toEqual(
    expect.arrayContaining([
      ['one', 'equal completions'],
      ['two', 'no verdict'],
    ]),
  );
  expect(rows).toHaveLength(3);
  for (const row of rows)
    expect(row).toMatchObject({ probability: 1, chosen: [{ content: expect.stringMatching(/^blue/) }] });

  // leans to A, and to blue
  const sure = chatOf(() => '', {
    logProbs: async (conversations) =>
      conversations.map((conversation) => (/A:\nred/.test(textsOf(conversation)[0]) ? [0, 1] : [2, 0])),
  });
  const [step] = await made({ part: 'comparisons' }, model, sure);
  const [row] = comparisonRows({ revised: [], compared: step.compared.filter(({ leftOut }) => !leftOut) });
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  expect(row.chosen).toEqual([{ role: 'assistant', content: expect.stringMatching(/^blue/) }]);
  expect(row.probability).toBeCloseTo((sigmoid(1) + sigmoid(2)) / 2, 6);
});

it('keeps a pair without a preference as a tie', async () => {
  const [{ compared }] = await made(
    { part: 'comparisons' },
    chatOf((turns, i) => `${turns[0]} ${i}`),
    chatOf(() => 'C'),
  );
  const rows = comparisonRows({ revised: [], compared: [...compared] });
  expect(rows).toHaveLength(5);
  for (const row of rows) expect(row).toMatchObject({ tie: true, probability: 0.5 });
});

it('leaves out what a model has no room for', async () => {
  const room = (turns: number) => ({ fits: (conversation: Conversation) => conversation.length <= turns });
  const model = chatOf(() => 'red');
  for (const turns of [1, 3]) {
    const [{ revised }] = await made(
      { part: 'revisions' },
      model,
      chatOf(() => 'blue', room(turns)),
    );
    expect(revised.map(({ leftOut }) => leftOut)).toEqual(new Array(5).fill('too long'));
  }
  const narrow = chatOf(() => 'red', { fits: (conversation) => textsOf(conversation)[0].length < 4 });
  const notices: string[] = [];
  const options = { model: 'rule', constitution: rules, data };
  const maker = await createConstitution({ ...options, model: narrow, onNotice: (text) => notices.push(text) });
  expect(notices).toEqual(['left out 3 of 5 prompts: too long for "rule"']);
  expect((await maker.next()).revised).toHaveLength(2);
  const none = chatOf(() => 'red', { fits: () => false });
  await expect(createConstitution({ ...options, model: none })).rejects.toThrow(/No prompt leaves the model room/);
});

it('repeats prompts if there are too few, and draws others for the comparisons', async () => {
  const steps = await made(
    { prompts: 3, batch: 2 },
    chatOf((turns, i) => `${turns[0]} ${i}`),
    chatOf(() => 'C'),
  );
  expect(steps.map(({ step, done }) => [step, done])).toEqual([
    [1, false],
    [2, false],
    [3, false],
    [4, true],
  ]);
  const prompts = steps.flatMap(({ revised, compared }) =>
    [...revised, ...compared].map(({ prompt }) => prompt[0].content),
  );
  expect(prompts).toHaveLength(6);
  expect(new Set(prompts.slice(0, 5)).size).toBe(5);
});
