import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HeedError } from '../../error.ts';
import { type ClusterPlan, planCluster } from './cluster.ts';
import { type ClusterPlanInput, shardings } from './cluster-options.ts';
import { exponentialScale } from './cluster-time.ts';
import { knownDevices, parseCluster } from './devices.ts';

const GIB = 2 ** 30;
const folder = mkdtempSync(join(tmpdir(), 'heed-plan-'));
const [llama70, qwen32] = [join(folder, 'llama-3-70b'), join(folder, 'qwen3-32b')];

beforeAll(() => {
  const common = {
    hidden_act: 'silu',
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    max_position_embeddings: 40_960,
  };
  const llama = { model_type: 'llama', hidden_size: 8192, intermediate_size: 28_672, num_hidden_layers: 80 };
  const qwen = { model_type: 'qwen3', hidden_size: 5120, intermediate_size: 25_600, num_hidden_layers: 64 };
  const heads = { num_attention_heads: 64, num_key_value_heads: 8, head_dim: 128 };
  for (const [path, of, vocabulary] of [
    [llama70, llama, 128_256],
    [qwen32, qwen, 151_936],
  ] as const) {
    mkdirSync(path);
    writeFileSync(join(path, 'config.json'), JSON.stringify({ ...common, ...heads, ...of, vocab_size: vocabulary }));
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bytesOf = ({ parts }: ClusterPlan, part = 0) =>
  Object.fromEntries(parts[part].roles.map(({ name, bytes }) => [name, bytes]));

/** Published figures; docs/reference/plan.md has the sources. */
const memory: [what: string, published: number, input: ClusterPlanInput][] = [
  [
    'torchtitan, Llama 3.1 8B, FSDP on 8 H100',
    82.4 * GIB,
    {
      params: '8B',
      algorithm: 'pretrain',
      cluster: '8xH100',
      sharding: 'fsdp',
      checkpointing: 'selective',
      microBatch: 2,
      length: 8192,
    },
  ],
  [
    'torchtitan, Llama 3.1 8B, FSDP on 128 H100',
    67 * GIB,
    {
      params: '8B',
      algorithm: 'pretrain',
      cluster: '16x8xH100',
      sharding: 'fsdp',
      checkpointing: 'selective',
      microBatch: 2,
      length: 8192,
    },
  ],
  [
    'torchtitan, Llama 3.1 8B, rows of 32,768 tokens',
    83.9 * GIB,
    { params: '8B', algorithm: 'pretrain', cluster: '8xH100', sharding: 'fsdp', length: 32_768 },
  ],
  [
    'torchtitan, Llama 3.1 70B, FSDP 32 and tensor parallel 8',
    71.9 * GIB,
    {
      model: llama70,
      algorithm: 'pretrain',
      cluster: '32x8xH100',
      sharding: 'fsdp',
      tensorParallel: 8,
      microBatch: 16,
      length: 8192,
    },
  ],
  [
    'PEFT, Llama 2 70B with LoRA, ZeRO 3 on 8 H100',
    64e9,
    {
      params: '70B',
      algorithm: 'sft',
      method: 'lora',
      lora: { rank: 8 },
      cluster: '8xH100',
      microBatch: 8,
      length: 2048,
    },
  ],
];

/** On-policy and one-step-off GRPO by NeMo RL, seconds per step. */
const grpo = { algorithm: 'grpo', reward: 'function', batch: 2048, updates: 4, length: 4096 } as const;
const llama8 = { ...grpo, params: '8B', maxTokens: 3969, cluster: '2x8xH100' } as const;
const large = { ...grpo, model: qwen32, maxTokens: 3993, tensorParallel: 4 } as const;
const here = (tensorParallel: number) => ({ engines: { memory: 0.6, tensorParallel } });
const there = (devices: number, tensorParallel: number) => ({
  engines: { devices, memory: 0.8, tensorParallel },
  asynchronous: true,
});
const steps: [what: string, published: number, input: ClusterPlanInput][] = [
  ['NeMo RL 0.5, Llama 3.1 8B', 92.8, { ...llama8, meanTokens: 1019, ...here(1) }],
  ['NeMo RL 0.4, Llama 3.1 8B', 97.7, { ...llama8, meanTokens: 1060, ...here(1) }],
  ['NeMo RL 0.4, Llama 3.1 8B, one step off', 74.6, { ...llama8, meanTokens: 1129, ...there(8, 1) }],
  ['NeMo RL 0.5, Qwen3 32B', 376, { ...large, cluster: '4x8xH100', meanTokens: 3251, ...here(4) }],
  ['NeMo RL 0.4, Qwen3 32B', 393, { ...large, cluster: '4x8xH100', meanTokens: 3206, ...here(4) }],
  ['NeMo RL 0.5, Qwen3 32B, one step off', 200, { ...large, cluster: '8x8xH100', meanTokens: 3252, ...there(32, 4) }],
  ['NeMo RL 0.4, Qwen3 32B, one step off', 215, { ...large, cluster: '8x8xH100', meanTokens: 3207, ...there(32, 4) }],
];

/** Training alone by torchtitan, tokens per second and device. */
const titan = { algorithm: 'pretrain', sharding: 'fsdp', cluster: '8x8xA100-80GB', batch: 64 } as const;
const speeds: [what: string, published: number, devices: number, input: ClusterPlanInput][] = [
  ['8B on A100', 2904, 64, { ...titan, params: '8B', checkpointing: 'selective', length: 8192 }],
  ['70B on A100', 355, 64, { ...titan, params: '70B', checkpointing: 'selective', length: 4096 }],
  [
    '70B on H100',
    652.4,
    256,
    { ...titan, model: llama70, cluster: '32x8xH100', tensorParallel: 8, microBatch: 16, length: 8192, batch: 512 },
  ],
];

/** PPO of DeepSpeed-Chat on A100-80GB: hours of 258 steps, and the plan's error, which the docs say. */
const deepspeed = { algorithm: 'ppo', scorers: '350M', length: 512, maxTokens: 256, batch: 1024, steps: 258 } as const;
const hours: [params: string, cluster: string, published: number, error: number][] = [
  ['6.7B', '8xA100-80GB', 4.1, -0.15],
  ['13B', '8xA100-80GB', 9, -0.11],
  ['30B', '8xA100-80GB', 18, -0.19],
  ['66B', '8xA100-80GB', 50.4, -0.4],
  ['13B', '8x8xA100-80GB', 1.25, 0.09],
  ['30B', '8x8xA100-80GB', 4, -0.38],
  ['66B', '8x8xA100-80GB', 7.5, -0.43],
];

describe('within 15 % of what others measured is', () => {
  it.each(memory)('the memory of %s', async (_, published, input) => {
    const { parts } = await planCluster(input);
    expect(Math.abs(parts[0].total / published - 1)).toBeLessThan(0.15);
  });

  it.each(speeds)('the speed of torchtitan with %s', async (_, published, devices, input) => {
    const { time } = await planCluster(input);
    expect(Math.abs(time.tokensPerSecond / devices / published - 1)).toBeLessThan(0.15);
  });

  it.each(steps)('the step of %s', async (_, published, input) => {
    const { time } = await planCluster(input);
    expect(Math.abs(time.step / published - 1)).toBeLessThan(0.15);
  });
});

describe('the docs say how far off is', () => {
  it.each(hours)('DeepSpeed-Chat with %s on %s', async (params, cluster, published, error) => {
    const tight = params === '66B' && cluster === '8xA100-80GB';
    const { time } = await planCluster({
      ...deepspeed,
      params,
      cluster,
      microBatch: 16,
      offload: tight ? 'optimizer' : 'none',
      engines: { tensorParallel: { '30B': 2, '66B': 4 }[params] ?? 1 },
    });
    expect(time.hours / published - 1).toBeCloseTo(error, 1);
  });

  it.each([
    ['70B in full on A100', 353, -0.23, 64, { ...titan, params: '70B', microBatch: 2, length: 4096, batch: 128 }],
    [
      '8B on H100, not compiled',
      5762,
      0.33,
      8,
      { ...titan, params: '8B', cluster: '8xH100', checkpointing: 'selective', microBatch: 2, length: 8192, batch: 16 },
    ],
  ] as const)('torchtitan with %s', async (_, published, error, devices, input) => {
    const { time } = await planCluster(input);
    expect(time.tokensPerSecond / devices / published - 1).toBeCloseTo(error, 1);
  });

  it('PPO of 7B by verl on MI300X, in steps of seconds', async () => {
    const { time } = await planCluster({
      params: '7B',
      algorithm: 'ppo',
      reward: 'function',
      cluster: '8xMI300X',
      sharding: 'fsdp',
      length: 595,
      maxTokens: 512,
      meanTokens: 141,
      batch: 1024,
      updates: 4,
      microBatch: 16,
      engines: { tensorParallel: 4, memory: 0.4 },
    });
    expect(time.step).toBeCloseTo(10, 0);
  });

  it('one step off with NeMo RL 0.5 and Llama 3.1 8B', async () => {
    const { time } = await planCluster({ ...llama8, meanTokens: 1123, ...there(8, 1) });
    expect(time.step / 64.8 - 1).toBeCloseTo(0.15, 1);
  });

  it('FSDP with LoRA in PEFT', async () => {
    const input = { params: '70B', algorithm: 'sft', method: 'lora', lora: { rank: 8 }, sharding: 'fsdp' } as const;
    const { parts } = await planCluster({ ...input, cluster: '8xH100', microBatch: 8, length: 2048 });
    expect(parts[0].total / 76e9 - 1).toBeCloseTo(-0.19, 1);
  });
});

describe('what is known to run fits', () => {
  const ppo = { algorithm: 'ppo', length: 2048, maxTokens: 1024 } as const;

  it('70B PPO on 32 A100 with the optimizer offloaded, as OpenRLHF does, and not without', async () => {
    const input = { ...ppo, params: '70B', cluster: '4x8xA100-80GB', engines: { devices: 8, tensorParallel: 2 } };
    expect((await planCluster({ ...input, offload: 'optimizer' })).fits).toBe(true);
    expect((await planCluster(input)).fits).toBe(false);
  });

  it('7B PPO on 4 and 8 A100, and on 8 RTX 4090 with the optimizer offloaded', async () => {
    const input = { ...ppo, params: '7B', engines: { memory: 0.3 } };
    expect((await planCluster({ ...input, cluster: '8xA100-80GB' })).fits).toBe(true);
    expect((await planCluster({ ...input, cluster: '4xA100-80GB', offload: 'frozen' })).fits).toBe(true);
    expect((await planCluster({ ...input, cluster: '8xRTX-4090', offload: 'optimizer' })).fits).toBe(true);
    expect((await planCluster({ ...input, cluster: '8xRTX-4090' })).fits).toBe(false);
  });

  it('70B with LoRA on 8 H100, and 70B PPO in full not', async () => {
    const lora = { params: '70B', algorithm: 'sft', method: 'lora', microBatch: 8, length: 2048 } as const;
    expect((await planCluster({ ...lora, cluster: '8xH100' })).fits).toBe(true);
    const full = await planCluster({ ...ppo, params: '70B', cluster: '8xH100' });
    expect(full.fits).toBe(false);
    expect(full.changes.at(-1)).toMatchObject({ fits: true });
    expect(full.changes.map(({ change }) => change)).toContain('--method lora --lora.rank 16');
  });
});

describe('memory', () => {
  it('of weights, gradients and states is that of the ZeRO paper, 7.5B on 64 devices', async () => {
    const expected = { none: 120, zero1: 31.4, zero2: 16.6, zero3: 1.88 };
    const input = { params: '7.5B', algorithm: 'pretrain', cluster: '8x8xA100-80GB' } as const;
    for (const [sharding, gigabytes] of Object.entries(expected)) {
      const found = await planCluster({ ...input, sharding: sharding as 'none' });
      const { actor, gradients, optimizer } = bytesOf(found);
      const exact = (gigabytes * found.parameters) / 7.5;
      expect(Math.abs((actor + gradients + optimizer) / exact - 1)).toBeLessThan(0.01);
    }
  });

  it('is divided in each node by hybrid sharding', async () => {
    const input = { params: '7B', algorithm: 'sft' } as const;
    const one = bytesOf(await planCluster({ ...input, cluster: '8xH100', sharding: 'fsdp' }));
    expect(bytesOf(await planCluster({ ...input, cluster: '4x8xH100', sharding: 'hybrid' }))).toEqual(one);
  });

  it('moves to the nodes by offloading, and none is lost', async () => {
    const input = { params: '7B', algorithm: 'ppo', cluster: '2x4xA100-80GB' } as const;
    const states = ['actor', 'critic', 'reference', 'reward', 'gradients', 'optimizer'];
    const all = async (offload: 'none' | 'frozen' | 'optimizer' | 'all') => {
      const found = await planCluster({ ...input, offload });
      const bytes = bytesOf(found);
      return 8 * states.reduce((sum, name) => sum + (bytes[name] ?? 0), 0) + 2 * found.parts[0].host;
    };
    const whole = await all('none');
    for (const offload of ['frozen', 'optimizer', 'all'] as const) {
      expect(Math.abs((await all(offload)) / whole - 1)).toBeLessThan(1e-6);
    }
  });

  it('has no critic, reference or reward model where there is none', async () => {
    const input = { params: '7B', cluster: '8xH100' } as const;
    const { critic, reference, reward } = bytesOf(
      await planCluster({ ...input, algorithm: 'grpo', reward: 'function' }),
    );
    expect([critic, reward]).toEqual([undefined, undefined]);
    expect(reference).toBeGreaterThan(1e9);
    expect(bytesOf(await planCluster({ ...input, algorithm: 'grpo', method: 'lora' })).reference).toBeUndefined();
    expect((await planCluster({ ...input, algorithm: 'sft' })).parts).toHaveLength(1);
    const distilled = await planCluster({ ...input, algorithm: 'distill', teacher: '70B' });
    expect(bytesOf(distilled).teacher).toBeGreaterThan(9 * bytesOf(distilled).actor);
    expect(distilled.time.scoring).toBeGreaterThan(0);
    expect((await planCluster({ ...input, algorithm: 'distill', teacher: 'endpoint' })).time.scoring).toBe(0);
    expect((await planCluster({ ...input, algorithm: 'best-of-n' })).parts).toMatchObject([{ name: 'generation' }]);
  });

  it.each(shardings)('falls with more devices or stays: %s', async (sharding) => {
    const on = async (cluster: string) => (await planCluster({ params: '7B', cluster, sharding })).parts[0].total;
    expect(await on('4x8xH100')).toBeLessThanOrEqual(await on('8xH100'));
  });
});

describe('time', () => {
  const input = { params: '7B', algorithm: 'ppo', cluster: '8xH100', length: 1024 } as const;

  it('is the sum of its parts, and costs what its devices do', async () => {
    const { time } = await planCluster({ ...input, steps: 1000, price: 2.5 });
    const { generation, scoring, training, synchronization } = time;
    expect(time.step).toBeCloseTo(generation + scoring + training + synchronization, 9);
    expect(time.hours).toBeCloseTo((1000 * time.step) / 3600, 9);
    expect(time.cost).toBeCloseTo(2.5 * 8 * time.hours, 9);
    expect(time.tokensPerSecond).toBeCloseTo((512 * 1024) / time.step, 6);
  });

  it('overlaps in asynchronous steps', async () => {
    const engines = { devices: 4, tensorParallel: 1 };
    const together = await planCluster({ ...input, engines });
    const apart = await planCluster({ ...input, engines, asynchronous: true });
    expect(apart.time.step).toBeLessThan(together.time.step);
    const { generation, scoring, training, synchronization, step } = apart.time;
    expect(step).toBeCloseTo(Math.max(generation, scoring + training) + synchronization, 9);
  });

  it('of adapters is less than of all weights', async () => {
    const full = await planCluster(input);
    const lora = await planCluster({ ...input, method: 'lora' });
    expect(lora.time.training).toBeLessThan(full.time.training);
  });

  it('has completions of the mean length that was asked for', () => {
    for (const mean of [10, 300, 900, 999]) {
      const scale = exponentialScale(mean, 1000);
      expect(scale * (1 - Math.exp(-1000 / scale))).toBeCloseTo(mean, 6);
    }
    expect(exponentialScale(1000, 1000)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('the cluster', () => {
  it('is nodes, devices and a name', () => {
    const h100 = knownDevices.find(({ name }) => name === 'H100')!;
    expect(parseCluster('8xH100')).toEqual({ nodes: 1, perNode: 8, device: h100 });
    expect(parseCluster('2 x 8 x h100')).toEqual({ nodes: 2, perNode: 8, device: h100 });
    expect(parseCluster('4xa100 40').device.name).toBe('A100-40GB');
    expect(parseCluster('1xRTX 4090').device.name).toBe('RTX-4090');
  });

  it.each(['', 'H100', '0xH100', '8xTPU', '8x', '-1xH100', '2x8x'])('is refused where it is wrong: %j', (text) => {
    expect(() => parseCluster(text)).toThrow(HeedError);
  });

  it.each<[ClusterPlanInput, string]>([
    [{ params: '7B', cluster: '8xTPU' }, 'There is no device "TPU"'],
    [{ cluster: '8xH100' }, 'expected either --params or --model'],
    [{ params: '7B', cluster: '8xH100', asynchronous: true }, 'without --engines.devices'],
    [{ params: '7B', algorithm: 'ppo', cluster: '8xH100', engines: { devices: 8 } }, 'leaves no device of 8'],
    [{ params: '7B', cluster: '8xH100', tensorParallel: 3 }, '--tensor-parallel 3'],
    [
      { params: '7B', algorithm: 'ppo', cluster: '8xH100', engines: { tensorParallel: 3 } },
      '--engines.tensor-parallel 3',
    ],
    [{ params: '7B', cluster: '8xH100', device: '24GiB' } as ClusterPlanInput, 'no option "device"'],
  ])('does not go with %o', (input, message) => {
    expect(() => planCluster(input)).toThrow(message);
  });

  it('refuses lengths that do not go together', async () => {
    const input = { params: '7B', algorithm: 'ppo', cluster: '8xH100', length: 512, maxTokens: 256 } as const;
    await expect(planCluster({ ...input, meanTokens: 300 })).rejects.toThrow('cannot have 300 on average');
    await expect(planCluster({ ...input, maxTokens: 512 })).rejects.toThrow('no room for a prompt');
  });
});
