/** heed/align inside an application: what a program around a training sees. */
import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { smallModel } from '../../../test/support/training.ts';
import { HeedError } from '../../error.ts';
import { type CompletionOptions, loadModel } from '../../lm/index.ts';
import { saveAdapter } from '../../lm/lora.ts';
import { evaluatePolicy } from '../evaluation/evaluation.ts';
import { grpo } from '../policy-gradient/grpo.ts';
import { type DpoInput, dpo } from '../preferences/dpo.ts';
import { reward } from '../reward-model/reward.ts';

const pairs = Array.from({ length: 8 }, (_, i) => {
  return { prompt: `Say ${i % 4}:`, chosen: ' red sun', rejected: ' cat dog' };
});
const prompts = pairs.map(({ prompt }) => ({ prompt }));
const tiny = { batch: 4, part: 2, steps: 2, evaluations: 0, evaluation: { share: 0, prompts: 0 } };
const folder = mkdtempSync(join(tmpdir(), 'heed-application-'));
const model = await loadModel(smallModel());
afterAll(() => {
  model[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

/** What a call is refused with. */
const refusal = async (call: () => PromiseLike<unknown>): Promise<HeedError> => {
  const error = await (async () => call())().then(
    () => expect.fail('it was not refused'),
    (error) => error,
  );
  expect(error).toBeInstanceOf(HeedError);
  return error;
};

it('lets timers fire within a training, and ends it by its signal', async () => {
  let fired = 0;
  const timer = setInterval(() => fired++, 1);
  const stop = new AbortController();
  const training = dpo({ ...tiny, model, data: pairs, steps: 100_000, signal: stop.signal });
  const stopping = setInterval(() => fired > 3 && stop.abort(), 1);
  await expect(training).rejects.toMatchObject({
    name: 'AbortError',
    partial: { model, steps: expect.any(Number), metrics: expect.any(Object) },
  });
  clearInterval(timer);
  clearInterval(stopping);
});

it('ends an evaluation by its signal in the same way', async () => {
  const stop = new AbortController();
  const length = (completions: readonly { text: string }[]) => completions.map(({ text }) => text.length);
  const options = { model, baseline: smallModel(), data: prompts, reward: length, batch: 2, maxTokens: 2 };
  const evaluation = evaluatePolicy({ ...options, signal: stop.signal });
  for await (const _ of evaluation) stop.abort();
  await expect(evaluation).rejects.toMatchObject({ name: 'AbortError', partial: { n: 2, steps: 1 } });
});

it('leaves no listener on a signal that many calls share', async () => {
  const { signal } = new AbortController();
  const options = { chat: false, maxTokens: 2, signal };
  await Promise.all(Array.from({ length: 12 }, () => model.generate('Say 1:', options)));
  for (let i = 0; i < 2; i++) await dpo({ ...tiny, model, data: pairs, steps: 1, signal });
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

it('rejects nothing that nobody handles, when a loop is aborted or left', async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => void unhandled.push(error);
  process.on('unhandledRejection', note);
  const stop = new AbortController();
  for await (const _ of dpo({ ...tiny, model, data: pairs, signal: stop.signal })) stop.abort();
  for await (const _ of dpo({ ...tiny, model, data: pairs })) break;
  for await (const _ of dpo({ ...tiny, model, data: pairs, signal: AbortSignal.abort() })) expect.fail('it began');
  await new Promise((resolve) => setImmediate(resolve)); // Node reports them at the end of a turn
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

describe('a mistake in a call', () => {
  it.each<[string, unknown, string, RegExp]>([
    ['without options', undefined, 'expected an object of options, got undefined', /call it with one object/],
    ['with a model that was not awaited', { model: loadModel(smallModel()) }, 'model is a Promise', /await loadModel/],
    ['with the name of another library', { model, learning_rate: 1 }, 'no option "learning_rate"', /"learningRate"/],
    ['with a misspelt part', { model, evaluation: { promts: 1 } }, 'no option "evaluation.promts"', /"prompts"/],
    ['with a wrong value', { model, data: pairs, beta: -1 }, 'beta: expected a number above 0, got -1', /./],
    ['with rows in an object', { model, data: { rows: pairs } }, 'data: expected a path, or an array', /Pass rows/],
    ['with a bad row', { model, data: [...pairs, { prompt: 'a', chosen: 3 }] }, 'data, row 9', /onBadRow: 'skip'/],
  ])('%s is named', async (_, input, message, hint) => {
    const error = await refusal(() => dpo(input as DpoInput));
    expect(error.message).toContain(message);
    expect(error.hint).toMatch(hint);
    expect(`${error.message} ${error.hint}`).not.toMatch(/--[a-z]/);
  });

  it('of model.generate is named', async () => {
    const spelt = await refusal(() => model.generate('Hello', { temprature: 0 } as CompletionOptions));
    expect(spelt.hint).toContain('did you mean "temperature"?');
    expect((await refusal(() => model.generate('Hello', { maxTokens: -1 }))).message).toContain('maxTokens: expected');
    expect((await refusal(() => model.generate(undefined as never))).message).toContain('prompt 1 is undefined');
  });

  it('in a generator names the row', async () => {
    function* rows() {
      yield pairs[0];
      throw new Error('the database is gone');
    }
    const error = await refusal(() => dpo({ ...tiny, model, data: rows() }));
    expect(error.message).toBe('data: row 2 could not be read: the database is gone');
  });

  it('is a second training of a model, or one of a model that is no more', async () => {
    const first = dpo({ ...tiny, model, data: pairs });
    for await (const _ of first) {
      expect((await refusal(() => dpo({ ...tiny, model, data: pairs }))).message).toContain('another training');
    }
    await dpo({ ...tiny, model, data: pairs, steps: 1 }); // now it may
    const gone = await loadModel(smallModel());
    gone[Symbol.dispose]();
    expect((await refusal(() => dpo({ ...tiny, model: gone, data: pairs }))).message).toContain('disposed of');
    expect((await refusal(() => gone.generate('Hello'))).message).toContain('disposed of');
  });
});

it('gives the adapter beside the merged model, which is what it loads as', async () => {
  const own = await loadModel(smallModel());
  const { model: merged, adapter } = await dpo({
    ...tiny,
    model: own,
    data: pairs,
    lora: { rank: 2 },
    learningRate: 1e-2,
  });
  const place = join(folder, 'new', 'adapter');
  saveAdapter(place, adapter!);
  const again = await loadModel(place);
  const [before, after] = [await merged.perplexity('Say 1: red sun'), await again.perplexity('Say 1: red sun')];
  expect(after).toBeCloseTo(before, 2);
  const tokens = await merged.logprobs('Say 1: red sun');
  expect(tokens[0].logprob).toBeNull();
  const sum = tokens.slice(1).reduce((sum, { logprob }) => sum + logprob!, 0);
  expect(Math.exp(-sum / (tokens.length - 1))).toBeCloseTo(before, 4);
  for (const one of [again, merged, adapter!.parameters]) one[Symbol.dispose]();
});

it('scores many rows in one call, each as alone', async () => {
  const { model: judge, steps } = await reward({ model, data: pairs, epochs: 1, batch: 4, evaluations: 0 });
  expect(steps).toBe(2);
  const rows = pairs.map(({ prompt, chosen }, i) => ({ prompt, completion: `${chosen} ${i}` }));
  const together = await judge.score(rows);
  expect(together[5]).toBeCloseTo(await judge.score(rows[5].prompt, rows[5].completion), 4);
  const [a, b] = together;
  expect(judge.probability(a, b) + judge.probability(b, a)).toBeCloseTo(1, 9);
  expect(judge.probability(1, 0)).toBeGreaterThan(0.5);
  expect(judge).not.toHaveProperty('generate');
  const error = await refusal(() => judge.score([{ prompt: 'a', completion: 'b' }, { prompt: 'c' }] as never));
  expect(error.message).toContain('row 2');
  judge[Symbol.dispose]();
});

it('repeats a call of a reward that fails, and keeps what was learned before one that fails for good', async () => {
  let calls = 0;
  const failing = (times: number) => async (completions: readonly { text: string }[]) => {
    calls++;
    if (calls > 1 && calls <= 1 + times) {
      throw new TypeError('fetch failed', { cause: new Error('other side closed') });
    }
    return completions.map(({ text }) => text.length);
  };
  const options = {
    model,
    data: prompts,
    batch: 4,
    completions: 2,
    minibatches: 1,
    maxTokens: 2,
    steps: 2,
    evaluations: 0,
  };
  const patient = { ...options, rewardCall: { retries: 2, pause: 0 } };
  expect((await grpo({ ...patient, reward: failing(2) })).steps).toBe(2);
  calls = 0;
  const error = await refusal(() => grpo({ ...patient, reward: failing(9) }));
  expect(error.message).toContain('failed: fetch failed: other side closed');
  expect(error.hint).toContain('as of step 1');
  expect(error).toMatchObject({ partial: { model, steps: 1 } });
  expect(calls).toBe(4);
  calls = 0;
  const misspelt = () => {
    calls++;
    return (undefined as unknown as number[]).map(Number);
  };
  await refusal(() => grpo({ ...patient, reward: misspelt }));
  expect(calls).toBe(1);
});
