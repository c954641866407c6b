/**
 * Reinforcement learning on clusters, simulated: against published figures, and what staleness, the split of the devices
 * and slow rewards change. docs/explanation/scale.md explains the results. Nothing here depends on this machine's speed.
 */
import { knownDevices, planCluster } from '../dist/align/parts.js';
import { exponentialScale } from '../dist/align/plan/cluster-time.js';
import { random } from '../dist/random.js';
import { exponentialLength, logNormalLength, simulate } from './scale-simulation.js';

export const scale = { sections: { nemo, verl, staleness, split, rewards } };

const lengths = () => random(1, 'lengths');
const percent = (share) => `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(0)} %`;
const waits = (share) => `${Math.max(0, 100 * share).toFixed(0)} %`;
const seconds = (value) => `${value.toFixed(value < 100 ? 1 : 0)} s`;

function against(name, published, { seconds: simulated, meanStaleness, trainerWaits }) {
  const error = simulated / published - 1;
  return {
    name,
    value: seconds(simulated),
    target: `${published} s published, within 20 %`,
    note: `${percent(error)}; staleness ${meanStaleness.toFixed(2)}, the trainer waits ${waits(trainerWaits)}`,
  };
}

const H100 = knownDevices.find(({ name }) => name === 'H100');
/** Of Llama 3.1 8B in bf16: bytes of the weights, and of a token's keys and values. */
const [WEIGHTS, CACHE] = [2 * 8.03e9, 2 * 2 * 32 * 8 * 128];
const PROMPT = 127;
const LONGEST = 4096 - PROMPT;

/** GRPO of Llama 3.1 8B on H100 as in NeMo RL's tables: 64 prompts with 32 completions. Times are those of heed plan. */
async function llama8(meanTokens, trainers, engines, options = {}) {
  const own = trainers + engines > 16 ? 0 : engines;
  const { time, parts } = await planCluster({
    ...{ params: '8B', algorithm: 'grpo', reward: 'function', batch: 2048, updates: 4 },
    ...{ cluster: '2x8xH100', length: 4096, maxTokens: LONGEST, meanTokens },
    engines: { devices: own, tensorParallel: 1, memory: own > 0 ? 0.8 : 0.6 },
  });
  // 0.4 of the bandwidth, as in heed plan
  const tokenSeconds = (active, context) => (WEIGHTS + active * CACHE * context) / (0.4 * H100.bandwidth);
  return simulate({
    ...{ engines, slots: parts[1].completions, tokenSeconds, prompt: PROMPT, group: 32, batch: 64 },
    length: exponentialLength(exponentialScale(meanTokens, LONGEST), LONGEST),
    ...{ updateSeconds: time.scoring + time.training, syncSeconds: time.synchronization },
    ...{ staleness: 0, steps: 15, draw: lengths(), ...options },
  });
}

async function* nemo() {
  for (const [version, mean, published] of [
    ['0.5', 1019, 92.8],
    ['0.4', 1060, 97.7],
  ]) {
    const name = `NeMo RL ${version}, Llama 3.1 8B, 16 H100 in turns, on policy`;
    yield against(name, published, await llama8(mean, 16, 16));
  }
  for (const [version, mean, published] of [
    ['0.5', 1123, 64.8],
    ['0.4', 1129, 74.6],
  ]) {
    const name = `NeMo RL ${version}, Llama 3.1 8B, 8 + 8 H100, one step off`;
    yield against(name, published, await llama8(mean, 8, 8, { staleness: 1 }));
  }
}

/**
 * verl's fully asynchronous trainer, DAPO of Qwen2.5-Math 7B on 128 H20: 512 prompts with 16 completions of at most
 * 28,672 tokens. Given: each row's update, and 4 s of other work, both published. Not published and so fitted to the
 * first three rows: seconds per token, and the lengths' mean and spread. The last two rows are predicted.
 */
async function* verl() {
  const base = {
    ...{ prompt: 100, group: 16, batch: 512, slots: 512, syncSeconds: 4 },
    // weights of 15.2 GB, and 57,344 bytes per token of the cache
    tokenSeconds: (active, context) => 0.0055 * (1 + (active * context * 57_344) / 15.2e9),
    length: logNormalLength(1650, 1.5, 28_672),
  };
  const turns = simulate({
    ...base,
    engines: 128,
    updateSeconds: 53.92 + 113.81,
    staleness: 0,
    steps: 10,
    draw: lengths(),
  });
  yield against('verl, 128 H20 in turns, synchronous (fitted)', 356.3, turns);
  for (const [staleness, updateSeconds, published] of [
    [0, 98.77, 231.34],
    [0.1, 109.12, 171.3],
    [0.3, 103.22, 146.11],
    [0.5, 113.16, 150.63],
  ]) {
    const found = simulate({ ...base, engines: 64, fetches: 4, updateSeconds, staleness, steps: 15, draw: lengths() });
    const how = staleness < 0.2 ? 'fitted' : 'predicted';
    yield against(`verl, 64 + 64 H20, staleness ${staleness} (${how})`, published, found);
  }
}

/** What a bound on staleness buys, on 8 + 8 H100. */
async function* staleness() {
  for (const bound of [0, 0.25, 0.5, 1, 2, 4]) {
    const { seconds: step, meanStaleness, trainerWaits, enginesWait } = await llama8(1060, 8, 8, { staleness: bound });
    yield {
      name: `8 + 8 H100, staleness at most ${bound}`,
      value: seconds(step),
      note: `mean ${meanStaleness.toFixed(2)}; waiting: trainer ${waits(trainerWaits)}, engines ${waits(enginesWait)}`,
    };
  }
}

/** How to split 16 devices, one step off. */
async function* split() {
  for (const engines of [2, 4, 6, 8, 10, 12]) {
    const { seconds: step, trainerWaits, enginesWait } = await llama8(1060, 16 - engines, engines, { staleness: 1 });
    yield {
      name: `${16 - engines} H100 train, ${engines} write`,
      value: seconds(step),
      note: `waiting: trainer ${waits(trainerWaits)}, engines ${waits(enginesWait)}`,
    };
  }
}

/** Rewards that take ten seconds each, such as a judge behind an API or a sandbox that runs tests. */
async function* rewards() {
  for (const rewardWorkers of [64, 128, 256, 512, 1024]) {
    for (const staleness of [0, 1]) {
      const options = { staleness, rewardWorkers, rewardSeconds: 10 };
      const { seconds: step } = await llama8(1060, 8, 8, options);
      yield {
        name: `${rewardWorkers} rewards of 10 s at a time, staleness ${staleness}`,
        value: seconds(step),
        note: `2,048 rewards need ${seconds((2048 * 10) / rewardWorkers)}`,
      };
    }
  }
}
