/**
 * A product that learns from its users, simulated:
 *
 *   node bench/serve-product.js [--seed N] [--rounds N] [--users N] [--bad N] [--learningRate X] [--folder FOLDER]
 *
 * Users with hidden tastes ask the served model for reviews in the embedded world, and rate or compare what they get. A
 * taste is the true reward plus a weight of the user's own on its parts, and noise. The server trains versions by its
 * policy; users of the canary rate the canary. One user of them always says the opposite, ten times as often. Then come
 * bad batches: all users, the held-out ones too, say the opposite or anything, or one user sends all that the server
 * takes. Nobody says anything honest between them, except while a canary is judged.
 *
 * Server, HTTP, trainings and gates are the real ones. With --folder, a run that was stopped goes on: server and
 * simulation keep their state there. Prints one line of JSON.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { reviewPrompts } from '../dist/data/reviews/demonstrations.js';
import { trueReward } from '../dist/data/reviews/reward.js';
import { random } from '../dist/random.js';
import { serve } from '../dist/serve/index.js';
import { keptResults, mean } from './kept.js';
import { fetchAgain } from './sides.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '0' },
    rounds: { type: 'string', default: '10' },
    users: { type: 'string', default: '200' },
    bad: { type: 'string', default: '100' },
    learningRate: { type: 'string', default: '1e-4' },
    folder: { type: 'string' },
  },
});
const [seed, rounds, users, bad, learningRate] = ['seed', 'rounds', 'users', 'bad', 'learningRate'].map((name) =>
  Number(values[name]),
);
const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'heed-product-'));
mkdirSync(folder, { recursive: true });
// who is held out depends on it
writeFileSync(join(folder, 'feedback.secret'), `product ${seed}`);
const kept = keptResults('product.jsonl', folder);

const MODEL = 'reviews-base';
/** Short reviews take the fewest tokens. */
const prompts = reviewPrompts.filter(({ length }) => length === 'short');
const MAX_TOKENS = 40;
/** Of ten users, how many compare two completions. */
const COMPARING = 3;
/** Requests at once; a server has at most 256 that wait. */
const AT_ONCE = 100;
/** How often a loud user asks while the others ask once. */
const LOUD = 10;

const parts = ['tone', 'topic', 'length', 'form'];
const tastes = random(seed, 'tastes');
const people = Array.from({ length: users }, (_, i) => ({
  i,
  name: `user-${i}`,
  taste: Object.fromEntries(parts.map((part) => [part, 0.3 * tastes.normal()])),
  // some are hard to please
  bar: 0.7 * tastes.normal(),
}));

const server = await serve({
  model: MODEL,
  folder,
  port: 0,
  learn: {
    // one for each user, and a choice for each who compares; a few may get two equal completions
    judgments: Math.floor((1 + COMPARING / 10) * users * 0.95),
    training: { epochs: 2, batch: 16, learningRate },
    gate: { heldOut: 30, prompts: 36, maxTokens: MAX_TOKENS, maxKl: 15 },
    canary: { share: 0.4, least: 30, perUser: 6, most: 400 },
    seed,
  },
  runs: join(folder, 'runs'),
  perMinute: 1e6,
  onNotice: (text) => process.stderr.write(`${text}\n`),
});

async function post(route, body) {
  const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetchAgain(`${server.url}${route}`, request);
  if (response.status === 429 && route === '/feedback') return undefined; // a loud user, whom the server hears no more
  if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
  return response.json();
}

const rewardOf = (prompt, text) => trueReward(prompt, text.trim().split(/\s+/), true);

const judges = {
  honest({ taste, bar }, prompt, texts, draws) {
    const worths = texts.map((text) => {
      const { total, parts: own } = rewardOf(prompt, text);
      return total + parts.reduce((sum, part) => sum + taste[part] * own[part], 0) + 0.5 * draws.normal();
    });
    return { good: worths[0] > level + bar, better: worths[1] > worths[0] ? 1 : 0 };
  },
  inverted(...args) {
    const { good, better } = judges.honest(...args);
    return { good: !good, better: 1 - better };
  },
  spam: (_person, _prompt, _texts, draws) => ({ good: draws.uniform() < 0.5, better: draws.integer(2) }),
};

/** Somebody asks, and says something about what they get: the version that wrote it, and its true reward. */
async function ask(person, purpose, judge) {
  const draws = random(seed, purpose, person.i);
  const prompt = prompts[draws.integer(prompts.length)];
  const n = (person.i * 7 + purpose.length) % 10 < COMPARING ? 2 : 1;
  const { id, choices, system_fingerprint } = await post('/chat/completions', {
    ...{ model: MODEL, messages: [{ role: 'user', content: prompt.text }], n, max_tokens: MAX_TOKENS },
    ...{ user: person.name, seed: draws.uint32() % 2 ** 31 },
  });
  const texts = choices.map(({ message }) => message.content);
  if (judge) {
    const { good, better } = judge(person, prompt, texts, draws);
    if (n === 2 && texts[0] !== texts[1]) {
      const choice = better === 0 ? id : `${id}#1`;
      await post('/feedback', { completion_id: id, versus: `${id}#1`, choice, user: person.name });
    }
    await post('/feedback', { completion_id: id, rating: good ? 'good' : 'bad', user: person.name });
  }
  return { version: system_fingerprint, gold: rewardOf(prompt, texts[0]).total };
}
/** Does something with all items, so many at a time. */
async function together(items, work) {
  const results = [];
  const rest = items.entries();
  const worker = async () => {
    for (const [i, item] of rest) results[i] = await work(item, i);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}
const askAll = async (purpose, judge) => {
  const asked = await together(people, (person) => ask(person, purpose, judge));
  return mean(asked.map(({ gold }) => gold));
};
const loud = (purpose, times) =>
  together(Array(times).fill(people[0]), (person, i) => ask(person, `${purpose} ${i}`, judges.inverted));

const learned = async () => {
  server.learner.wake();
  await server.learner.settled();
};
const versions = () => server.learner.versions();
const serving = () => versions().find(({ state }) => state === 'serving')?.id ?? null;
const hasCanary = () => versions().some(({ state }) => state === 'canary');
/** Honest users judge a canary until it is decided. */
async function decided(purpose) {
  for (let i = 0; i < 20 && hasCanary(); i++) {
    await askAll(`${purpose} canary ${i}`, judges.honest);
    await learned();
  }
}

// the bar of a usual user is what the first model usually writes
let level = 0;
({ gold: level } = await kept.result({ level: seed }, async () => ({ gold: await askAll('level') })));

const curve = [];
for (let round = 0; round < rounds; round++) {
  curve.push(
    await kept.result({ round }, async () => {
      const start = performance.now();
      const [gold] = await Promise.all([askAll(`round ${round}`, judges.honest), loud(`loud in round ${round}`, LOUD)]);
      const asked = performance.now();
      await learned();
      const seconds = { ask: (asked - start) / 1000, learn: (performance.now() - asked) / 1000 };
      process.stderr.write(`round ${round}: true reward ${gold.toFixed(3)}, ${JSON.stringify(seconds)}\n`);
      return { gold, serving: serving(), seconds };
    }),
  );
}
await kept.result({ rounds: 'settled' }, () => decided('rounds'));
curve.push(await kept.result({ round: rounds }, async () => ({ gold: await askAll('end'), serving: serving() })));

const kinds = ['inverted', 'spam', 'loud'];
const batches = [];
for (let batch = 0; batch < bad; batch++) {
  const kind = kinds[batch % kinds.length];
  const { before } = await kept.result({ batch, at: 'start' }, async () => {
    await decided(`before bad ${batch}`);
    return { before: versions().length };
  });
  batches.push(
    await kept.result({ batch }, async () => {
      if (kind === 'loud') await loud(`bad ${batch}`, 80);
      else await askAll(`bad ${batch}`, judges[kind]);
      await learned();
      const fresh = versions().slice(before);
      await decided(`bad ${batch}`);
      const outcomes = versions()
        .filter(({ id }) => fresh.some((one) => one.id === id))
        .map(({ id, state, reason }) => ({ id, state, reason }));
      process.stderr.write(`bad batch ${batch} (${kind}): ${JSON.stringify(outcomes)}\n`);
      return { kind, outcomes };
    }),
  );
}
const { gold: end } = await kept.result({ after: bad }, async () => ({
  gold: await askAll('after'),
  serving: serving(),
}));
await server.close();

const outcomes = batches.flatMap(({ outcomes }) => outcomes);
const inStates = (...states) => outcomes.filter(({ state }) => states.includes(state)).length;
const counts = {
  batches: batches.length,
  trained: outcomes.length,
  gatedOut: inStates('gated out'),
  canary: inStates('canary', 'rolled back'),
  served: inStates('serving', 'retired'),
};
if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
console.log(JSON.stringify({ curve, end, bad: counts }));
