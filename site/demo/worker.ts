/** Learns CartPole from the reader's choices, in a worker: heed's loop, with a teacher who answers by a click. */
import { startEngine } from 'heed/browser';
import {
  clipsOf,
  createControlPolicy,
  createControlReward,
  type Learner,
  openLearner,
  type Segment,
} from 'heed/control';
import { makeEnvironment } from 'heed/env';
import type { Teacher } from 'heed/preference';
import { type RecordedEpisode, recordEpisode } from 'heed/rl';
import type { Choice, Command, Report, RewardMap } from './messages.ts';

const LABELS = 10;
const NEW_LABELS = 30; // after a change of mind; where a clip falls, the reader is not asked again
const RANDOM_STEPS = 2000;
const EVERY = 2048; // steps between two pictures of the agent
const EPISODES = 5; // that a training ends with
const DEGREES = 180 / Math.PI;
const PREFERENCES = { left: [1, 0], right: [0, 1], equal: [0.5, 0.5] } as const;

const environment = makeEnvironment('CartPole-v1');
const report = (message: Report) => postMessage(message);
const waiting = new Map<string, (choice: Choice) => void>();
let go: (() => void) | undefined;
let paused = false;
/** What the reader has taught so far. */
let taught: Learner | undefined;

addEventListener('message', ({ data }: MessageEvent<Command>) => {
  if (data.kind === 'start') begin(data.seed, data.steps).catch(fail);
  else if (data.kind === 'change') changeMind().catch(fail);
  else if (data.kind === 'choice') waiting.get(data.id)?.(data.choice);
  else {
    paused = data.kind !== 'resume';
    if (data.kind !== 'pause') go?.();
  }
});

function fail(error: unknown): void {
  const { message, hint } = error as { message?: string; hint?: string };
  report({ kind: 'failed', message: [message ?? String(error), hint].filter(Boolean).join(': ') });
}

/** Seconds of training: it stops while the reader decides. */
const clock = {
  total: 0,
  since: 0,
  start() {
    clock.since = performance.now();
  },
  stop() {
    clock.total += (performance.now() - clock.since) / 1000;
  },
};

/** The reader, who judges one pair at a time. */
const reader: Teacher<Segment> = {
  name: 'you',
  async *answer(queries) {
    for (const { id, options } of queries) {
      clock.stop();
      const { first, second, framesPerSecond } = clipsOf(options, environment);
      const choice = new Promise<Choice>((resolve) => waiting.set(id, resolve));
      const texts = [described(options[0]), described(options[1])] as const;
      report({ kind: 'query', id, clips: [first, second], texts, framesPerSecond });
      yield { id, choice: PREFERENCES[await choice] };
      waiting.delete(id);
      clock.start();
    }
  },
};

/**
 * The reader, asked only about clips in which both poles stand. Where one falls, the other is better: that is what the
 * reader said before. Where both fall, nothing is said.
 */
const standing: Teacher<Segment> = {
  name: 'you, later',
  async *answer(queries) {
    for (const query of queries) {
      const [first, second] = query.options.map(({ terminated }) => terminated);
      if (first && second) yield { id: query.id, choice: 'skip' };
      else if (first) yield { id: query.id, choice: PREFERENCES.right };
      else if (second) yield { id: query.id, choice: PREFERENCES.left };
      else yield* reader.answer([query]);
    }
  },
};

/** What a clip shows, in words. */
function described({ length, observations, terminated }: Segment): string {
  const angles = Array.from({ length }, (_, t) => Math.abs(observations[4 * t + 2]) * DEGREES);
  const end = terminated ? 'then it falls or leaves the track' : 'it is still up at the end';
  return `${length} steps, the pole leans up to ${Math.max(...angles).toFixed(1)}°, ${end}`;
}

async function begin(seed: number, steps: number): Promise<void> {
  await startEngine();
  taught = await open(seed, steps);
  await train(taught);
}

/**
 * A learner with the old one's policy, and the experience from which it cuts clips. Of the old answers it keeps those about
 * falling, and drops those about leaning. Its reward learns from them and from the new answers.
 */
async function changeMind(): Promise<void> {
  const old = taught!;
  const comparisons = old.comparisons().filter(({ segments }) => segments.some(({ terminated }) => terminated));
  const learner = await openLearner({
    ...shared,
    seed: old.options.seed,
    steps: old.options.steps,
    teacher: standing,
    labels: NEW_LABELS,
    comparisons,
    randomSteps: 0, // the agent can already act
    restarts: 0, // and is not to be forgotten
    schedule: { firstShare: 0.2, rounds: 14, until: 0.8 },
    // the constant is what standing pays, step by step; the decay keeps the rest, what leaning pays, smaller
    reward: { normalize: 'scale', constant: 30, weightDecay: 1 },
    // who leans one way drives off the track within some 150 steps: it must look as far ahead, and try leaning both ways
    ppo: { discount: 0.99, lambda: 0.95, entropyCoefficient: 0.01, advantageFloor: 0.3 },
  });
  const [before, fresh] = [old.save(), learner.save()];
  const { ppo, statistics, environment, experience } = before.state as typeof before.state & { ppo: unknown };
  const tensors = Object.fromEntries(
    Object.entries(before.tensors).filter(([name]) => !/^(comparisons|reward)\./.test(name)),
  );
  learner.restore({
    state: { ...fresh.state, ppo, statistics, environment, experience },
    tensors: { ...fresh.tensors, ...tensors },
  });
  old[Symbol.dispose]();
  taught = learner;
  await train(learner);
}

const shared = { env: 'CartPole-v1', evaluations: 0, episodes: EPISODES, onNotice() {} } as const;

const open = (seed: number, steps: number): Promise<Learner> =>
  openLearner({
    ...shared,
    seed,
    steps,
    teacher: reader,
    labels: LABELS,
    randomSteps: RANDOM_STEPS,
    schedule: { firstShare: 0.3, rounds: 7, until: 0.25 },
    reward: { normalize: 'scale', constant: 0, weightDecay: 0 }, // all of it comes from the reader, and its map is not flat
  });

async function train(learner: Learner): Promise<void> {
  const { steps } = learner.options;
  clock.total = 0;
  report({ kind: 'started', steps });
  show(learner);
  for (let shown = 0; ; ) {
    if (paused) {
      await new Promise<void>((resolve) => {
        go = resolve;
      });
    }
    clock.start();
    const { step, done, evaluation } = await learner.next();
    clock.stop();
    report({ kind: 'progress', step, steps, seconds: clock.total });
    if (step - shown >= EVERY || done) {
      shown = step;
      show(learner, step);
    }
    if (done) {
      report({ kind: 'done', length: evaluation!.length, lean: leanOf(learner), seconds: clock.total });
      return;
    }
    await new Promise((resolve) => setTimeout(resolve)); // messages arrive
  }
}

/** Plays an episode with the current policy, and draws the reward once there is one. */
function show(learner: Learner, step?: number): void {
  const [episode] = playEpisodes(learner, 1);
  report({ ...episode, kind: 'episode', step: step ?? 0, map: step === undefined ? undefined : mapOf(learner) });
}

/** Greedy episodes, each with the mean of the pole's angle from upright, in degrees. */
function playEpisodes(learner: Learner, count: number): (RecordedEpisode & { lean: number })[] {
  const policy = createControlPolicy(learner.policies().policy);
  const episodes = Array.from({ length: count }, (_, i) => {
    let total = 0;
    const act: typeof policy.act = (observation) => {
      total += Math.abs(observation[2]);
      return policy.act(observation);
    };
    const episode = recordEpisode(environment, { act, reset: policy.reset }, i + 1, {
      seconds: 5,
      framesPerSecond: 25,
    });
    return { ...episode, lean: (total / episode.length) * DEGREES };
  });
  policy[Symbol.dispose]();
  return episodes;
}

/** How far the pole leans, on average over the steps of some episodes, in degrees. */
function leanOf(learner: Learner): number {
  const episodes = playEpisodes(learner, EPISODES);
  const steps = episodes.reduce((sum, { length }) => sum + length, 0);
  return episodes.reduce((sum, { lean, length }) => sum + lean * length, 0) / steps;
}

const CELLS = 25;
/** The learned reward of a cart that stands in the middle, by its pole's angle and angular velocity. */
function mapOf(learner: Learner): RewardMap {
  const reward = createControlReward(learner.reward());
  const along = (most: number) => Array.from({ length: CELLS }, (_, i) => most * ((2 * i) / (CELLS - 1) - 1));
  const [angles, velocities] = [along(12), along(120)];
  const raw = velocities.flatMap((velocity) =>
    angles.map((angle) => {
      const seen = [0, 0, angle / DEGREES, velocity / DEGREES];
      return (reward.score(seen, 0) + reward.score(seen, 1)) / 2;
    }),
  );
  reward[Symbol.dispose]();
  const [low, high] = [Math.min(...raw), Math.max(...raw)];
  return { angles, velocities, rewards: raw.map((one) => (high > low ? (one - low) / (high - low) : 0.5)) };
}
