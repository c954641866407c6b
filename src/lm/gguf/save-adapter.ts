/** Writes LoRA adapters alone as GGUF: what llama.cpp's `--lora` and Ollama's ADAPTER put over a model. */
import { HeedError } from '../../error.ts';
import { type DecoderConfig, EMBEDDING, HEAD } from '../../nn/decoder-config.ts';
import { loraTargets } from '../../nn/lora.ts';
import { storedAdapters } from '../adapter-layout.ts';
import type { Layout } from '../layout.ts';
import type { LoraAdapter } from '../lora.ts';
import type { GgufDtype } from './blocks.ts';
import { writable } from './save.ts';
import { type Fused, fileName, interleave, interleavedHeads } from './tensors.ts';
import { type TensorToWrite, typeFor, writeGguf } from './write.ts';

const moduleOf = (weight: string) => weight.replace(/\.weight$/, '');

/**
 * Writes an adapter to one file. `base` is the shape of its base model. Each map has its own rank, and one alpha holds
 * for all: other factors are multiplied into B.
 *
 * @throws HeedError for what such files cannot hold: DoRA, experts, parameters that were trained whole.
 */
export function saveGgufAdapter(
  path: string,
  { options, parameters }: LoraAdapter,
  base: { config: DecoderConfig; raw: Record<string, unknown> },
  { dtype, name }: { dtype: GgufDtype; name: string },
): void {
  const { architecture, entry } = writable(base);
  const { config } = base;
  const separate = { ...config, tied: false };
  const targets = loraTargets(separate, options);
  const whole = parameters.specs.find(({ name }) => !/\.lora_/.test(name));
  if (options.dora) throw refused('it is DoRA, which also scales rows');
  if (whole) throw refused(`"${whole.name}" was trained whole`);
  const expert = targets.find((target) => target.name.includes('.experts.'));
  if (expert) throw refused('it adapts single experts');
  if (config.tied && targets.some((target) => target.name === moduleOf(HEAD))) {
    throw refused('it adapts the output layer, which is the embedding of its base model');
  }
  const tensors: TensorToWrite[] = [];
  const modules = storedAdapters(targets, parameters, options, separate, layoutOf(entry.fused ?? []));
  for (const [module, { a, b, rank = options.rank, alpha = options.alpha }] of Object.entries(modules)) {
    const first = module.replace('gguf_qkv', 'self_attn.q_proj').replace('gguf_gate_up', 'mlp.gate_proj');
    const weight = `${first}.weight`;
    const own = options.rankStabilized ? alpha / Math.sqrt(rank) : alpha / rank;
    const factor = (own * rank) / options.alpha;
    const heads = interleavedHeads(config, entry, weight);
    const ordered = heads === undefined ? b : interleave(b, heads, config.headSize);
    const scaled = factor === 1 ? ordered : ordered.map((x) => x * factor);
    const file = fileName(config, weight, entry.fused ?? []);
    const inner = a.length / rank;
    // rows of the embedding's A are looked up by token
    const down = weight === EMBEDDING ? transposed(a, rank, inner) : a;
    const downShape = weight === EMBEDDING ? [inner, rank] : [rank, inner];
    for (const [side, shape, data] of [
      ['lora_a', downShape, down],
      ['lora_b', [b.length / rank, rank], scaled],
    ] as const) {
      const tensor = `${file}.${side}`;
      tensors.push({ name: tensor, shape, type: typeFor(dtype, tensor, shape), weights: () => data });
    }
  }
  writeGguf(
    path,
    {
      'general.architecture': ['text', architecture],
      'general.type': ['text', 'adapter'],
      'general.name': ['text', name],
      'adapter.type': ['text', 'lora'],
      'adapter.lora.alpha': ['f32', options.alpha],
    },
    tensors,
  );
}

const refused = (what: string) =>
  new HeedError(`GGUF cannot hold this adapter alone: ${what}.`, {
    hint: 'Merge it: heed export --model BASE --adapter ADAPTER --format gguf --out FOLDER',
  });

/** Which maps have one adapter together. */
const layoutOf = (fused: readonly Fused[]): Layout => ({
  maps: [
    ...(fused.includes('qkv')
      ? [{ name: 'gguf_qkv', parts: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'] }]
      : []),
    ...(fused.includes('gateUp') ? [{ name: 'gguf_gate_up', parts: ['mlp.gate_proj', 'mlp.up_proj'] }] : []),
  ],
});

function transposed(from: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(from, (_, i) => from[(i % rows) * columns + Math.floor(i / rows)]);
}
