/**
 * Feedback of chat apps. The fixtures were written by hand: Open WebUI's feedback and LibreChat's messages by their source,
 * the others by the tools' documentation.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { heedError } from '../../../test/support/gradients.ts';
import { ownStores } from '../../../test/support/stores.ts';
import { type Database, exportRows, findProject, importFrom, listProjects, openDatabase } from '../index.ts';
import type { ChatTool } from './tools.ts';

const { folder } = await ownStores();
const fixture = (name: string) => join(import.meta.dirname, '../../../test/fixtures/transfer/chat-apps', name);

interface Moved {
  prompt: { content: string }[];
  options: { text: string }[];
  judgments: { person: string; judgment: Record<string, unknown> }[];
}

const opened: Database[] = [];
const openStore = async () => {
  opened.push(await openDatabase(':memory:'));
  return opened.at(-1)!;
};
afterEach(() => Promise.all(opened.splice(0).map((database) => database.close())));

async function moved(tool: ChatTool, file: string) {
  const database = await openStore();
  const dry = await importFrom(database, tool, file, { project: 'app', dryRun: true });
  expect(await listProjects(database)).toEqual([]);
  const done = await importFrom(database, tool, file, { project: 'app' });
  expect(done).toEqual(dry);
  const again = await importFrom(database, tool, file, { project: 'app' });
  expect(again.map(({ added, judgments }) => [added, judgments])).toEqual(done.map(() => [0, 0]));
  const rows: Record<string, unknown[]> = {};
  for (const { name } of done) {
    rows[name] = [];
    for await (const row of exportRows(database, await findProject(database, name), { format: 'judgments' })) {
      const { prompt, options, judgments } = row as unknown as Moved;
      for (const { person, judgment } of judgments) {
        rows[name].push([
          prompt.map(({ content }) => content).join(' | '),
          ...options.map(({ text }) => text),
          person,
          judgment,
        ]);
      }
    }
  }
  return { rows, leftOut: done.flatMap(({ leftOut }) => leftOut.map(({ what, records }) => [records, what])) };
}

it('takes the feedbacks of Open WebUI, without personal details', async () => {
  const { rows, leftOut } = await moved('open-webui', fixture('open-webui-feedbacks.json'));
  const asked = 'Write to [email] about tea.';
  expect(rows).toEqual({
    'app ratings': [
      [asked, 'Tea is warm.', 'u-1', { kind: 'binary', good: true, reason: 'accurate information: Good.' }],
      [asked, 'Tea is warm.', 'u-3', { kind: 'binary', good: true, reason: 'accurate information: Good.' }],
      [asked, 'No.', 'u-2', { kind: 'binary', good: false, reason: 'accurate information' }],
    ],
    'app choices': [[asked, 'Tea is warm.', 'No.', 'u-3', { kind: 'pair', choice: 'first' }]],
  });
  expect(leftOut).toEqual([[1, 'feedback whose conversation is not in the export']]);
});

it('takes ratings, edits and regenerations of chats of Open WebUI', async () => {
  const { rows } = await moved('open-webui', fixture('open-webui-chats.json'));
  expect(rows).toEqual({
    'app ratings': [['Name a color.', 'Blue.', 'u-1', { kind: 'binary', good: true, reason: 'right' }]],
    'app edits': [['Name a color. | Blue. | Another.', 'Rde.', 'u-1', { kind: 'correction', text: 'Red.' }]],
    'app choices': [['Name a color.', 'Blue.', 'Dog.', 'u-1', { kind: 'pair', choice: 'first' }]],
  });
});

it('takes conversations of LibreChat', async () => {
  const { rows } = await moved('librechat', fixture('librechat.json'));
  expect(rows).toEqual({
    'app ratings': [
      ['Hello', 'Go away.', '65f0', { kind: 'binary', good: false, reason: 'bad style: rude' }],
      ['Hello', 'Hello, how can I help?', '65f0', { kind: 'binary', good: true, reason: 'clear well written' }],
    ],
    'app choices': [['Hello', 'Hello, how can I help?', 'Go away.', '65f0', { kind: 'pair', choice: 'first' }]],
  });
});

it('takes traces and scores of Langfuse, not what models say', async () => {
  const { rows, leftOut } = await moved('langfuse', fixture('langfuse'));
  expect(rows).toEqual({
    'app ratings': [
      ['2+2?', '4', 'u-7', { kind: 'binary', good: true, reason: 'exact' }],
      ['What is 3+3?', '5', 'u-7', { kind: 'binary', good: false }],
    ],
    'app edits': [['What is 3+3?', '5', 'u-7', { kind: 'correction', text: '6' }]],
  });
  expect(leftOut).toEqual([
    [1, 'scores by a model: "helpfulness"'],
    [1, 'scores that are no thumbs: "tone"'],
  ]);
});

it('takes runs and feedback of LangSmith', async () => {
  const { rows, leftOut } = await moved('langsmith', fixture('langsmith'));
  expect(rows).toEqual({
    'app ratings': [
      ['Capital of France?', 'Paris', 'u-9', { kind: 'binary', good: true, reason: 'yes' }],
      ['Capital of Peru?', 'Cuzco', 'u-4', { kind: 'binary', good: false }],
    ],
    'app edits': [['Capital of Peru?', 'Cuzco', 'u-4', { kind: 'correction', text: 'Lima' }]],
  });
  expect(leftOut).toEqual([[1, 'scores by a model: "judge"']]);
});

it.each(['answer', 'response', 'output'])('takes what a chain wrote under the name "%s"', async (name) => {
  const file = join(folder, `chain-${name}.jsonl`);
  const run = { id: 'r', run_type: 'chain', inputs: { question: 'Capital of Peru?' }, outputs: { [name]: 'Lima' } };
  const score = { id: 's', run_id: 'r', key: 'user_score', score: 1, feedback_source: { type: 'app', user_id: 'u' } };
  writeFileSync(file, [run, score].map((one) => `${JSON.stringify(one)}\n`).join(''));
  const { rows } = await moved('langsmith', file);
  expect(rows).toEqual({ 'app ratings': [['Capital of Peru?', 'Lima', 'u', { kind: 'binary', good: true }]] });
});

it('takes stored completions of OpenAI that say what users thought', async () => {
  const { rows, leftOut } = await moved('openai-stored', fixture('openai-stored.json'));
  expect(rows).toEqual({ 'app ratings': [['Hi', 'Hello!', 'openai-stored', { kind: 'binary', good: true }]] });
  expect(leftOut).toEqual([
    [1, 'completions without feedback in their metadata'],
    [1, 'completions without their messages'],
  ]);
});

it('says what a file has that has no feedback', async () => {
  const database = await openStore();
  const empty = join(folder, 'empty.json');
  writeFileSync(empty, '[{"id": "c", "chat": {}}]');
  await expect(importFrom(database, 'open-webui', empty, { project: 'app' })).rejects.toThrow(
    heedError(/no thumbs, corrections or regenerations/, /1 × records without a conversation/),
  );
  writeFileSync(empty, 'id,rating\n1,2');
  await expect(importFrom(database, 'langfuse', empty, { project: 'app' })).rejects.toThrow(
    heedError(/line 1/, /JSON/),
  );
});
