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
import { recordEpisode } from 'heed/rl';
import type { Choice, Command, Report, RewardMap } from './messages.ts';

const LABELS = 10;
const RANDOM_STEPS = 2000;
const EVERY = 2048; // steps between two pictures of the agent
const PREFERENCES = { left: [1, 0], right: [0, 1], equal: [0.5, 0.5] } as const;

const environment = makeEnvironment('CartPole-v1');
const report = (message: Report) => postMessage(message);
const waiting = new Map<string, (choice: Choice) => void>();
let go: (() => void) | undefined;
let paused = false;

addEventListener('message', ({ data }: MessageEvent<Command>) => {
  if (data.kind === 'start') train(data.seed, data.steps).catch(fail);
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

/** What a clip shows, in words. */
function described({ length, observations, terminated }: Segment): string {
  const angles = Array.from({ length }, (_, t) => Math.abs(observations[4 * t + 2]) * (180 / Math.PI));
  const end = terminated ? 'then it falls or leaves the track' : 'it is still up at the end';
  return `${length} steps, the pole leans up to ${Math.max(...angles).toFixed(0)}°, ${end}`;
}

async function train(seed: number, steps: number): Promise<void> {
  await startEngine();
  const learner = await openLearner({
    env: 'CartPole-v1',
    teacher: reader,
    labels: LABELS,
    randomSteps: RANDOM_STEPS,
    steps,
    seed,
    evaluations: 0,
    episodes: 5,
    schedule: { firstShare: 0.3, rounds: 7, until: 0.25 },
    reward: { constant: 0, weightDecay: 0 }, // all of it comes from the reader, and its map is not flat
    onNotice() {},
  });
  report({ kind: 'started', labels: LABELS });
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
      report({ kind: 'done', length: evaluation!.length, seconds: clock.total });
      return;
    }
    await new Promise((resolve) => setTimeout(resolve)); // messages arrive
  }
}

/** Plays an episode with the current policy, and draws the reward once there is one. */
function show(learner: Learner, step?: number): void {
  const policy = createControlPolicy(learner.policies().policy);
  const episode = recordEpisode(environment, policy, 1, { seconds: 5, framesPerSecond: 25 });
  policy[Symbol.dispose]();
  report({ ...episode, kind: 'episode', step: step ?? 0, map: step === undefined ? undefined : mapOf(learner) });
}

const CELLS = 25;
/** The learned reward of a cart that stands in the middle, by its pole's angle and angular velocity. */
function mapOf(learner: Learner): RewardMap {
  const reward = createControlReward(learner.reward());
  const along = (most: number) => Array.from({ length: CELLS }, (_, i) => most * ((2 * i) / (CELLS - 1) - 1));
  const [angles, velocities] = [along(12), along(120)];
  const radians = Math.PI / 180;
  const raw = velocities.flatMap((velocity) =>
    angles.map((angle) => {
      const seen = [0, 0, angle * radians, velocity * radians];
      return (reward.score(seen, 0) + reward.score(seen, 1)) / 2;
    }),
  );
  reward[Symbol.dispose]();
  const [low, high] = [Math.min(...raw), Math.max(...raw)];
  return { angles, velocities, rewards: raw.map((one) => (high > low ? (one - low) / (high - low) : 0.5)) };
}
