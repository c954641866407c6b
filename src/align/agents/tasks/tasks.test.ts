/** The language environments that come with heed, played by hand and by scripts. */
import { expect, it } from 'vitest';
import { fixtureModel } from '../../../../test/support/training.ts';
import { newItemSchema } from '../../../feedback/items/items.ts';
import { withChatTemplate } from '../../../lm/built-in-templates.ts';
import { loadModel } from '../../../lm/model.ts';
import { createGrpo } from '../../policy-gradient/grpo.ts';
import type { LanguageEnvironment, LanguageTasks } from '../environment.ts';
import { evaluateTasks } from '../evaluate.ts';
import { episodePairs } from '../pairs.ts';
import { calculatorTasks } from './calculator.ts';
import { guessTasks } from './guess.ts';
import { languageTasks, openNamedTasks } from './named.ts';
import { peopleOf, sqlTasks } from './sql.ts';

const { signal } = new AbortController();
const say = (environment: LanguageEnvironment, text: string) =>
  environment.step({ text, calls: [], ended: true }, signal);
const use = async (environment: LanguageEnvironment, name: string, args: object) => {
  const call = { id: 'call_1', type: 'function' as const, function: { name, arguments: JSON.stringify(args) } };
  const { messages, faultyCalls } = await environment.step({ text: '', calls: [call], ended: true }, signal);
  return { content: messages![0].content, faultyCalls };
};

it.each(languageTasks.names())('%s has different tasks to train on and to hold out, by a seed', async (name) => {
  const { tasks, heldOut, make } = await openNamedTasks(name);
  const rows = [...tasks, ...heldOut!].map((row) => JSON.stringify(row));
  expect(new Set(rows).size).toBe(rows.length);
  expect((await openNamedTasks(name)).tasks).toEqual(tasks);
  const environment = make();
  expect((await environment.reset(tasks[0], 0, signal)).at(-1)).toMatchObject({ role: 'user' });
  environment[Symbol.dispose]?.();
});

it('holds the same tasks out, however many are trained on', () => {
  const [few, many] = [50, 500].map((count) => calculatorTasks({ seed: 3, count, heldOut: 20 }));
  expect(few.heldOut).toEqual(many.heldOut);
  expect(calculatorTasks({ seed: 4 }).heldOut).not.toEqual(many.heldOut);
  expect(() => sqlTasks({ heldOut: 0 })).toThrow('sql: expected heldOut to be a whole number of at least 1, got 0');
});

it('calculator: the tool computes, and the last number is the answer', async () => {
  const environment = calculatorTasks().make();
  await environment.reset({ question: 'What is 347 * 82?', answer: 28454 }, 0, signal);
  expect(await use(environment, 'calculator', { expression: '347 * 82' })).toEqual({
    content: '28454',
    faultyCalls: 0,
  });
  expect((await use(environment, 'calculator', { expression: '347 * 82; 1' })).faultyCalls).toBe(1);
  expect((await use(environment, 'calculator', { expression: 5 })).content).toContain(
    'error: expected an expression such as 12 * 30',
  );
  expect(await say(environment, 'It is 28454.')).toEqual({ reward: 1, done: true });
  expect(await say(environment, '28454 or 5')).toEqual({ reward: 0, done: true });
});

it('sql: a query gives rows; every task can be solved by one', async () => {
  const environment = sqlTasks().make();
  const queries: [RegExp, (match: string) => string][] = [
    [/How many people live in (\w+)/, (city) => `select count(*) from people where city = '${city}'`],
    [/How old is (\w+)/, (name) => `select age from people where name = '${name}'`],
    [/Where does (\w+)/, (name) => `select city from people where name = '${name}'`],
    [
      /Who is the oldest in (\w+)/,
      (city) => `select name from people where city = '${city}' order by age desc limit 1`,
    ],
    [/Who is the youngest in (\w+)/, (city) => `select name from people where city = '${city}' order by age limit 1`],
    [/in (\w+) together/, (city) => `select sum(age) from people where city = '${city}'`],
  ];
  for (const task of sqlTasks().heldOut!.slice(0, 25)) {
    await environment.reset(task, 0, signal);
    const [pattern, query] = queries.find(([one]) => one.test(task.question as string))!;
    const { content } = await use(environment, 'sql', { query: query(pattern.exec(task.question as string)![1]) });
    expect(await say(environment, `${content}.`)).toEqual({ reward: 1, done: true });
    environment[Symbol.dispose]!();
  }
  expect(new Set(peopleOf(5).map(({ age }) => age)).size).toBe(20);
});

it('sql: what could write, or take long, is refused', async () => {
  const environment = sqlTasks().make();
  await environment.reset(sqlTasks().tasks[0], 0, signal);
  const error = async (query: unknown) => (await use(environment, 'sql', { query })).content;
  expect(await error('drop table people')).toBe('error: expected a SELECT');
  expect(await error('select randomblob(1000000000)')).toBe('error: unknown word: randomblob');
  expect(await error(`select "'" , randomblob(1e9), "'"`)).toContain('quoted names');
  expect(await error('select 1; drop table people')).toContain('semicolons');
  expect(await error('select count(*) from people, people, people')).toContain('more than twice');
  expect(await error('select age from people where city = Oslo')).toBe('error: unknown word: oslo');
  expect(await error('select age from people where')).toMatch(/^error: .*incomplete|syntax/);
  expect(await error(7)).toContain('expected the query as text');
  expect(await error('select 1 from people a'.padEnd(400))).toContain('more than 300 characters');
  environment[Symbol.dispose]!();
});

it('guess: halving the range always finds the number in time', async () => {
  const { make, tasks, heldOut } = guessTasks({ numbers: 100, count: 200, heldOut: 50 });
  for (const task of [...tasks, ...heldOut!]) {
    const environment = make();
    let [low, high] = [task.low, task.high] as [number, number];
    expect(high - low).toBe(99);
    expect(await environment.reset(task, 0, signal)).toEqual([
      { role: 'user', content: `Guess my number, from ${low} to ${high}.` },
    ]);
    for (let found = false; !found; ) {
      const middle = (low + high) >> 1;
      const { done, reward, messages } = await say(environment, String(middle));
      found = done === true;
      if (found) expect(reward).toBe(1);
      else if (messages![0].content === 'higher') low = middle + 1;
      else high = middle - 1;
    }
  }
  const environment = make();
  await environment.reset({ number: 5, low: 1, high: 100, guesses: 2 }, 0, signal);
  expect((await say(environment, 'seven')).messages![0].content).toBe('Write a number from 1 to 100 alone.');
  expect(await say(environment, '7')).toEqual({ done: true });
  expect(() => guessTasks({ numbers: 2 })).toThrow('expected numbers to be a whole number of at least 4, got 2');
});

it('opens environments by name, of plugins too, and lists them for an unknown one', async () => {
  const own: LanguageTasks = { ...guessTasks(), name: 'own-game' };
  languageTasks.register('own-game', () => own);
  expect(await openNamedTasks('own-game')).toBe(own);
  await expect(openNamedTasks('calclator')).rejects.toMatchObject({
    message: 'There is no language environment "calclator".',
    hint: expect.stringContaining('calculator, sql, guess'),
  });
});

it('evaluates a model on held-out tasks, and trains it by the name', async () => {
  const llama = fixtureModel('tiny-llama');
  using model = await loadModel(llama);
  model.tokenizer = withChatTemplate(model.tokenizer, { chatTemplate: 'plain' });
  const limits = { episode: { turns: 2, tokens: 120 }, maxTokens: 5 };
  const { reward, metrics, episodes } = await evaluateTasks(model, guessTasks(), { ...limits, count: 3 });
  expect([reward, metrics['episode/turns'], episodes.length]).toEqual([0, 2, 3]);
  const twice = await evaluateTasks(model, guessTasks(), { ...limits, count: 2, repeats: 2 });
  const [pair, ...others] = episodePairs(twice.episodes);
  const { low, high } = guessTasks().heldOut![0];
  expect(pair.content.prompt).toEqual([{ role: 'user', content: `Guess my number, from ${low} to ${high}.` }]);
  expect(pair.content.options.map(({ messages }) => messages.map(({ role }) => role))).toEqual(
    Array(2).fill(['assistant', 'user', 'assistant']),
  );
  expect(newItemSchema.parse(pair)).toEqual(pair);
  expect(others).toHaveLength(1);
  expect(episodePairs([twice.episodes[0], twice.episodes[0], twice.episodes[2]])).toEqual([]);
  const learner = await createGrpo({
    model: llama,
    chatTemplate: 'plain',
    env: 'guess',
    steps: 1,
    batch: 1,
    completions: 2,
    ...limits,
    evaluations: 1,
    evaluation: { count: 2 },
    rows: 2,
  });
  const { metrics: learned, evaluation } = await learner.next();
  expect(learned['episode/turns']).toBe(2);
  const [sample] = evaluation!.samples;
  expect(sample).toMatchObject({ turns: 2, calls: 0, faulty_calls: 0 });
  expect(sample.messages!.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);
  learner[Symbol.dispose]();
});
