/**
 * A discrete-event simulation of reinforcement learning on a cluster: engines that write completions, workers that score
 * them, a trainer that updates, and weights that go back to the engines.
 *
 * An engine writes `slots` completions at a time, each token of all of them in `tokenSeconds(active, written)`. A prompt
 * gets `group` completions; when all are scored, the trainer may take them. The trainer takes a batch in `fetches` parts,
 * as each is complete. After a batch, engines stop for `syncSeconds`, take the new weights, and go on where they were.
 *
 * `staleness` bounds how old completions are, as in AReaL (Fu et al. 2025): prompts of batch i begin only when the policy
 * has had i − staleness updates. 0 is synchronous PPO, 1 is one step off; verl's staleness_threshold is the same number.
 * The trainer takes what is complete, so the bound holds on average; a completion that takes several steps ends up older.
 *
 * Events are what changes: an engine's next end of a completion, a score, the end of an update. `draw` is the random
 * generator of the lengths: equal seeds, equal runs.
 */

/** @returns seconds per step, tokens per second, shares of time that the trainer and the engines wait, and staleness. */
export function simulate(options) {
  const { engines: count, slots, tokenSeconds, length, prompt = 0, group, batch, fetches = 1 } = options;
  const {
    updateSeconds,
    syncSeconds = 0,
    rewardWorkers = Infinity,
    rewardSeconds = 0,
    staleness,
    steps,
    draw,
  } = options;
  const events = createQueue();
  const engines = Array.from({ length: count }, () => ({ active: [], since: 0, turn: 0, busy: 0 }));
  const waiting = []; // prompts' completions that no engine has begun
  const toScore = [];
  const ready = []; // samples: prompts whose completions are all scored
  const times = []; // when each update ended
  let [now, version, begun, scoring, stopped] = [0, 0, 0, 0, false];
  let [fetched, training, trained, ages, oldest, tokens] = [0, false, 0, 0, 0, 0];

  // prompts may begin up to this many, and each brings its completions
  const admit = () => {
    while (begun < (version + 1 + staleness) * batch) {
      const sample = { left: group, tokens: 0 };
      for (let i = 0; i < group; i++) waiting.push({ sample, length: length(draw) });
      begun++;
    }
  };

  // all completions of an engine have advanced by the same number of tokens since the last look
  const rate = ({ active }) => {
    const written = active.reduce((sum, completion) => sum + completion.written, 0) / active.length;
    return tokenSeconds(active.length, prompt + written);
  };
  const advance = (engine) => {
    if (engine.active.length > 0 && engine.speed !== undefined) {
      const passed = (now - engine.since) / engine.speed;
      for (const completion of engine.active) completion.written += passed;
      engine.busy += now - engine.since;
    }
    engine.since = now;
  };
  const plan = (engine) => {
    engine.turn++;
    engine.speed = undefined;
    if (engine.active.length === 0 || stopped) return;
    engine.speed = rate(engine);
    const left = Math.min(...engine.active.map(({ length, written }) => length - written));
    events.add(now + Math.max(0, left) * engine.speed, { kind: 'written', engine, turn: engine.turn });
  };
  const fill = () => {
    if (stopped) return;
    const free = engines.filter(({ active }) => active.length < slots);
    const changed = new Set();
    while (waiting.length > 0 && free.length > 0) {
      const engine = free.reduce((least, engine) => (engine.active.length < least.active.length ? engine : least));
      if (!changed.has(engine)) advance(engine);
      changed.add(engine);
      const completion = waiting.shift();
      engine.active.push(Object.assign(completion, { written: 0 }));
      // a sample is as old as its first completion
      completion.sample.started ??= version;
      if (engine.active.length >= slots) free.splice(free.indexOf(engine), 1);
    }
    for (const engine of changed) plan(engine);
  };

  const score = () => {
    while (toScore.length > 0 && scoring < rewardWorkers) {
      scoring++;
      events.add(now + rewardSeconds, { kind: 'scored', completion: toScore.shift() });
    }
  };
  const train = () => {
    if (training || ready.length < batch / fetches) return;
    training = true;
    for (const sample of ready.splice(0, batch / fetches)) {
      const age = version - sample.started;
      [ages, trained, oldest, tokens] = [ages + age, trained + 1, Math.max(oldest, age), tokens + sample.tokens];
    }
    events.add(now + updateSeconds / fetches, { kind: 'updated' });
  };

  const happen = {
    written({ engine, turn }) {
      if (engine.turn !== turn) return;
      advance(engine);
      for (const completion of engine.active)
        if (completion.length - completion.written < 1e-6) toScore.push(completion);
      engine.active = engine.active.filter(({ length, written }) => length - written >= 1e-6);
      plan(engine);
      fill();
      score();
    },
    scored({ completion: { sample, length } }) {
      scoring--;
      sample.tokens += prompt + length;
      if (--sample.left === 0) ready.push(sample);
      score();
      train();
    },
    updated() {
      training = false;
      fetched++;
      if (fetched % fetches > 0) return train();
      for (const engine of engines) advance(engine);
      stopped = true;
      for (const engine of engines) plan(engine);
      events.add(now + syncSeconds, { kind: 'synchronized' });
    },
    synchronized() {
      stopped = false;
      version++;
      times.push(now);
      for (const engine of engines) advance(engine);
      for (const engine of engines) plan(engine);
      admit();
      fill();
      train();
    },
  };

  admit();
  fill();
  while (times.length < steps) {
    const event = events.next();
    now = event.time;
    happen[event.kind](event);
  }
  // the first steps fill the pipeline
  const first = Math.floor(steps / 5);
  const seconds = (times[steps - 1] - times[first - 1]) / (steps - first);
  return {
    seconds,
    tokensPerSecond: tokens / now,
    trainerWaits: 1 - (updateSeconds + syncSeconds) / seconds,
    enginesWait: 1 - engines.reduce((sum, { busy }) => sum + busy, 0) / (count * now),
    meanStaleness: ages / trained,
    maxStaleness: oldest,
  };
}

/** A binary heap of events by time; of equal times, the one that was added first. */
function createQueue() {
  const heap = [];
  let added = 0;
  const before = (a, b) => a.time < b.time || (a.time === b.time && a.order < b.order);
  const swap = (i, j) => ([heap[i], heap[j]] = [heap[j], heap[i]]);
  return {
    add(time, event) {
      heap.push({ ...event, time, order: added++ });
      for (let i = heap.length - 1; i > 0 && before(heap[i], heap[(i - 1) >> 1]); i = (i - 1) >> 1)
        swap(i, (i - 1) >> 1);
    },
    next() {
      swap(0, heap.length - 1);
      const first = heap.pop();
      for (let i = 0; ; ) {
        const children = [2 * i + 1, 2 * i + 2].filter((child) => child < heap.length && before(heap[child], heap[i]));
        if (children.length === 0) return first;
        const least = children.reduce((a, b) => (before(heap[a], heap[b]) ? a : b));
        swap(i, least);
        i = least;
      }
    },
  };
}

/** Lengths that are exponential with a scale, and cut at the longest. */
export const exponentialLength = (scale, longest) => (draw) =>
  Math.max(1, Math.round(Math.min(longest, -scale * Math.log(1 - draw.uniform()))));

/** Lengths whose logarithm is normal, cut at the longest: a heavier tail. */
export const logNormalLength = (mean, deviation, longest) => (draw) =>
  Math.max(1, Math.round(Math.min(longest, mean * Math.exp(deviation * draw.normal() - deviation ** 2 / 2))));
