/** Policies at a service of Tinker's API: they learn as here, resume, and say what is wrong. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { plain, smallModel, take } from '../../../test/support/training.ts';
import { loadModel, loadOutline } from '../../lm/model.ts';
import { createRun } from '../../run/run.ts';
import { addKey } from '../../serve/keys.ts';
import { type Server, serve } from '../../serve/serve.ts';
import { createTinkerClient } from '../../tinker/client.ts';
import { createGrpo, createGrpoAlgorithm, type GrpoInput, grpoSchema } from '../policy-gradient/grpo.ts';
import { createReinforceAlgorithm, createRloo, rloo, rlooSchema } from '../policy-gradient/reinforce.ts';
import { createLanguagePpo } from '../ppo/learner.ts';
import { createOnlineDpo, createOnlineDpoAlgorithm, onlineDpoSchema } from '../preferences/online-dpo.ts';
import type { Completion, Reward } from '../reward-functions/reward-function.ts';
import { createLanguagePolicy } from '../training/policy.ts';
import type { PolicyAlgorithm } from './algorithm.ts';
import { parseBackend } from './backend.ts';
import { type CompletionLayout, completionLayout } from './completion-batches.ts';
import type { PolicyTrainingOptions } from './options.ts';
import { type AnyPolicy, createRemoteRollouts } from './remote-policy.ts';
import { openTinkerPolicy } from './tinker-policy.ts';
import { trainPolicy } from './train.ts';

const tiny = smallModel();
const folder = mkdtempSync(join(tmpdir(), 'heed-backend-'));
let server: Server;
let backend: string;
const start = async () => {
  server = await serve({ models: { tiny }, folder, port: 0, tinker: true });
};
/** The address that stays while the server behind it is closed and another started. */
const front = createServer((asked, response) => {
  const { host, port } = new URL(server.url);
  const onward = request({ port, path: asked.url, method: asked.method, headers: { ...asked.headers, host } });
  onward.on('response', (reply) => {
    response.writeHead(reply.statusCode!, reply.headers);
    reply.pipe(response);
  });
  asked.pipe(onward);
});
beforeAll(async () => {
  await start();
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  backend = `tinker:http://127.0.0.1:${(front.address() as AddressInfo).port}/#tiny`;
});
afterAll(async () => {
  front.closeAllConnections();
  front.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const evenness = ({ response }: Completion) => response.filter((id) => id % 2 === 0).length / response.length;
const reward: Reward = { name: 'even', score: async (completions) => completions.map(evenness) };
const data = ['red sun', 'a', 'cats'].map((prompt) => ({ prompt }));
const settings = {
  model: tiny,
  data,
  reward,
  evaluation: { data },
  maxTokens: 4,
  evaluations: 1,
  batch: 2,
  rows: 2,
  learningRate: 0.01,
  lora: { rank: 4 },
  completions: 4,
} satisfies GrpoInput;

type Make = (policy: AnyPolicy, layout: CompletionLayout, options: never) => PolicyAlgorithm;
const common = { model: tiny, maxTokens: 4, batch: 2, rows: 2, lora: { rank: 4 } };
const grpo = (more: object) => grpoSchema.parse({ ...common, epochs: 2, ...more });

it.each<[string, Make, PolicyTrainingOptions & { completions?: number }]>([
  ["GRPO without a KL, by the service's own loss", createGrpoAlgorithm, grpo({ beta: 0, clip: { high: 0.28 } })],
  ['GSPO', createGrpoAlgorithm, grpo({ level: 'sequence', unbiasedKl: true })],
  ['RLOO', createReinforceAlgorithm, rlooSchema.parse({ ...common, epochs: 2, minibatches: 2 })],
  ['online DPO', createOnlineDpoAlgorithm, onlineDpoSchema.parse({ ...common, batch: 4, part: 2 })],
])('takes the steps of %s there as here', async (_, make, options) => {
  const { seed } = options;
  const learningRate = 0.01;
  using there = await openTinkerPolicy(parseBackend(backend)!, await loadOutline(tiny), options);
  using model = await loadModel(tiny);
  // the service's scale of adapters
  using here = createLanguagePolicy(model, { lora: { rank: 4, alpha: 32 }, seed });
  const prompts = data.map(({ prompt: text }) => ({ ids: model.tokenizer.encode(text), text }));
  const { completions = 2 } = options;
  const layout = completionLayout(model, prompts, { ...options, completions });
  const [remote, local] = [there, here].map((policy) => make(policy, layout, options as never));
  using rollouts = createRemoteRollouts(there, reward, { maxTokens: 4, batch: 8 });
  const rollout = await rollouts.run(prompts.slice(0, options.batch), 0, completions);
  const [got, expected] = [await remote.update(rollout, learningRate, 0), await local.update(rollout, learningRate, 0)];
  for (const [name, value] of Object.entries(expected)) {
    if (name === 'rewards/accuracies') continue; // of rewards that are 0 but for rounding at first
    const difference = Math.abs(got[name] - value);
    expect(difference, `${name} is ${got[name]}, here ${value}`).toBeLessThan(1e-4 * Math.max(0.1, Math.abs(value)));
  }
  expect(got['gradient/norm']).toBeGreaterThan(0);
  for (const algorithm of [remote, local]) algorithm[Symbol.dispose]();
});

it('learns, and goes on from a checkpoint after a restart as if there had been none', async () => {
  // one prompt at a time: which prompts meet in a step of the service depends on when their requests come
  const wide = { batch: 1, completions: 8, learningRate: 0.03 };
  const input = { ...settings, ...wide, steps: 4, maxKl: 0, evaluation: { data, count: 1 }, backend };
  const learner = await createRloo(input);
  await learner.evaluate();
  const early = await take(learner, 2);
  await learner.prepareSave();
  const checkpoint = structuredClone(learner.save());
  const rest = await take(learner, 2);
  expect(early[0].metrics['kl/mean']).toBeCloseTo(0, 5);
  expect(rest.at(-1)!.metrics['kl/mean']).toBeGreaterThan(0.01);

  await server.close();
  await start();
  await expect(learner.evaluate()).rejects.toThrow('The server may have been restarted');
  learner[Symbol.dispose]();
  const resumed = await createRloo(input);
  resumed.restore(checkpoint);
  expect(plain(await take(resumed, 2))).toEqual(plain(rest));
  resumed[Symbol.dispose]();
});

it("saves the weights at the service, and says in the run's folder where", async () => {
  const run = createRun(join(folder, 'run'), { name: 'test', command: 'grpo', config: {}, seed: 1 });
  const learner = await createGrpo({ ...settings, steps: 2, backend });
  const result = await trainPolicy(learner, { run, checkpointSeconds: 0 });
  learner[Symbol.dispose]();
  run.close();
  expect(result).toMatchObject({ steps: 2, weights: { base: 'tiny', sampler: expect.stringMatching('^tinker://') } });
  expect(JSON.parse(readFileSync(join(result!.model, 'tinker.json'), 'utf8'))).toEqual(result!.weights);
  await expect(loadModel(result!.model)).rejects.toMatchObject({ hint: expect.stringContaining('tinker.json') });
  using client = await createTinkerClient({ url: new URL('/', server.url).href });
  const sampler = await client.sampler(result!.weights!.sampler);
  expect((await sampler.sample([1, 5], { maxTokens: 2 })).sequences[0].tokens.length).toBeGreaterThan(0);

  const { model, weights } = await rloo({ ...settings, steps: 1, backend });
  expect(model).toBeUndefined();
  expect(weights!.sampler).toContain('sampler_weights/model');
});

it('refuses by name what a service does not have, before anything starts', async () => {
  const wrong = async (more: object, message: string) =>
    expect((async () => createGrpo({ ...settings, backend, ...more } as GrpoInput))()).rejects.toThrow(message);
  await wrong({ lora: {} }, 'lora.rank: expected 1 or more with --backend');
  await wrong({ lora: { rank: 4, alpha: 8 } }, 'lora.alpha: expected none with --backend');
  await wrong({ lora: { rank: 4, targets: 'q_proj' } }, 'lora.targets');
  await wrong({ temperature: 0.7 }, 'temperature: expected 1 with --backend');
  await wrong({ entropy: 0.1 }, 'entropy: expected 0 with --backend');
  await wrong({ topEntropy: 0.5 }, 'topEntropy: expected 1');
  await wrong({ dtype: 'BF16', checkpointLayers: true }, 'checkpointLayers');
  await wrong({ backend: 'tinker' }, 'backend: expected local or tinker:URL[#MODEL], got "tinker"');
  using model = await loadModel(tiny);
  await wrong({ reference: model }, 'reference: expected the name of a model at the service');
  const { completions: _, ...other } = { ...settings, backend };
  await expect((async () => createLanguagePpo(other as never))()).rejects.toThrow('expected local: a critic');
  await expect((async () => createOnlineDpo({ ...other, judge: 'tiny' }))()).rejects.toThrow(
    'judge: expected --reward in place of --judge',
  );
});

it('says which service cannot be reached, has no such model, or wants a key', async () => {
  const opened = (address: string) => createGrpo({ ...settings, backend: address });
  await expect(opened('tinker:http://127.0.0.1:9')).rejects.toThrow(
    'The server at http://127.0.0.1:9 cannot be reached',
  );
  await expect(opened(backend.replace('#tiny', '#gone'))).rejects.toThrow(
    'There is no base model "gone". There are: tiny',
  );
  const locked = await serve({ models: { tiny }, folder: join(folder, 'locked'), port: 0, tinker: true });
  await addKey(locked.context.database, 'train', { scopes: ['train'] });
  const address = `tinker:${new URL('/', locked.url).href}#tiny`;
  await expect(opened(address)).rejects.toMatchObject({ status: 401 });
  await locked.close();
});
