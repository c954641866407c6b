/**
 * Programs over packed batches: log-probabilities of labels, and a training step for any loss made of them. One program is
 * compiled for each size of batch that comes, and kept.
 */
import { type Graph, input, reshape, type Tensor, takeRows, trace, Value } from '../engine/index.ts';
import { HeedError } from '../error.ts';
import {
  type Arena,
  createArena,
  createTrainStep,
  type DecoderConfig,
  decoder,
  headName,
  type LabelOptions,
  type Linear,
  labelLogProbabilities,
  packedAttention,
  type TrainStep,
} from '../nn/index.ts';
import type { PackedBatch } from './packing.ts';

export interface PackedSize {
  rows: number;
  time: number;
  /** Labels there is room for; those above a batch's own weigh nothing. */
  labels: number;
}

export interface PackedOptions extends LabelOptions {
  linear?: Linear;
  /** Compute each layer again for its gradient: less memory, more time. */
  checkpointLayers?: boolean;
}

/** Log-probabilities [labels] of the labels of a batch, whose tensors are inputs of the graph. */
export function packedLogProbabilities(
  graph: Graph,
  config: DecoderConfig,
  { rows, time, labels }: PackedSize,
  options: PackedOptions = {},
): Tensor {
  const { linear, checkpointLayers } = options;
  const named = (name: string) => input(graph, name, [rows, time], 'int32');
  const [ids, segments, positions] = ['ids', 'segments', 'positions'].map(named);
  const attend = packedAttention(config, { segments, positions, length: time });
  const hidden = decoder(config, { ids, positions, attend, linear, checkpointLayers });
  const flat = reshape(hidden, [rows * time, config.hiddenSize]);
  const states = labels === rows * time ? flat : takeRows(flat, input(graph, 'at', [labels], 'int32'));
  const head = input(graph, headName(config), [config.vocabularySize, config.hiddenSize]);
  return labelLogProbabilities(states, head, input(graph, 'labels', [labels], 'int32'), options);
}

/**
 * Room for a batch's labels: a quarter of its tokens, half, three quarters or all. Few sizes, so few programs, and none
 * that makes many logits for nothing.
 */
export function sizeOf({ rows, time, at }: PackedBatch): PackedSize {
  const quarter = Math.ceil((rows * time) / 4);
  return { rows, time, labels: Math.min(rows * time, Math.max(1, Math.ceil(at.length / quarter)) * quarter) };
}

/**
 * Writes a batch into a program's inputs. Gives where each label lies among the program's: with room for every token, at
 * its own token; else in the order they come, the spare places on tokens that have none.
 */
export function loadBatch(inputs: Readonly<Record<string, Value>>, batch: PackedBatch, size: PackedSize): Int32Array {
  if (batch.rows !== size.rows || batch.time !== size.time || batch.at.length > size.labels) {
    throw new HeedError(
      `a batch of ${batch.rows} × ${batch.time} with ${batch.at.length} labels does not fit ${size.rows} × ${size.time} with ${size.labels}`,
    );
  }
  const into = (name: string) => inputs[name].data as Int32Array;
  into('ids').set(batch.ids);
  into('segments').set(batch.segments);
  // the layers of a model with learned positions do not ask for a rotation
  if (inputs.positions) into('positions').set(batch.positions);
  const labels = into('labels').fill(0);
  if (size.labels === size.rows * size.time) {
    batch.at.forEach((at, i) => {
      labels[at] = batch.labels[i];
    });
    return batch.at;
  }
  labels.set(batch.labels);
  const at = into('at');
  at.set(batch.at);
  const used = new Set(batch.at);
  for (let i = batch.at.length, free = 0; i < size.labels; free++) if (!used.has(free)) at[i++] = free;
  return Int32Array.from(batch.at, (_, i) => i);
}

/** What a loss is made of: `logP` [labels], and an input for each label that the caller fills. */
export type PackedLoss = (
  logP: Tensor,
  perLabel: (name: string) => Tensor,
) => { loss: Tensor } & Record<string, Tensor>;

export interface PackedTrainer {
  /** The sum of the gradients of all batches since the last reset; at least one. */
  readonly gradients: Arena;
  /**
   * Adds a batch's gradients. `perLabel` gives the numbers of the loss's inputs, one for each of the batch's labels; places
   * without a label get 0. Gives the loss and the other outputs.
   */
  run(batch: PackedBatch, perLabel: Readonly<Record<string, ArrayLike<number>>>): Readonly<Record<string, Value>>;
  reset(): void;
  release(): void;
}

export interface PackedTrainerOptions extends PackedOptions {
  /** Values of inputs that are not trained. */
  frozen?: Readonly<Record<string, Value>>;
  profile?: string;
}

/** A training step over batches of any size, for the loss that `build` makes of the labels' log-probabilities. */
export function createPackedTrainer(
  config: DecoderConfig,
  parameters: Arena,
  build: PackedLoss,
  options: PackedTrainerOptions = {},
): PackedTrainer {
  const { frozen, profile, ...packed } = options;
  const gradients = createArena(parameters.specs);
  const steps = new Map<string, { size: PackedSize; step: TrainStep }>();
  // the first batch's gradients are written, those of others added: most updates are of one, and need no sum
  let empty = true;
  const stepFor = (batch: PackedBatch) => {
    const size = sizeOf(batch);
    const key = [...Object.values(size), empty].join();
    let known = steps.get(key);
    if (!known) {
      const loss = (graph: Graph) =>
        build(packedLogProbabilities(graph, config, size, packed), (name) => input(graph, name, [size.labels]));
      const step = createTrainStep(parameters, loss, {
        dims: {},
        accumulate: !empty,
        gradients,
        frozen,
        sharedMemory: true,
        profile,
      });
      known = { size, step };
      steps.set(key, known);
    }
    return known;
  };
  return {
    gradients,
    run(batch, perLabel) {
      const { size, step } = stepFor(batch);
      const places = loadBatch(step.inputs, batch, size);
      for (const [name, numbers] of Object.entries(perLabel)) {
        const data = (step.inputs[name].data as Float32Array).fill(0);
        places.forEach((place, i) => {
          data[place] = numbers[i];
        });
      }
      const outputs = step.run();
      empty = false;
      return outputs;
    },
    reset() {
      empty = true;
    },
    release: () => {
      for (const { step } of steps.values()) step.release();
      gradients.release();
    },
  };
}

export interface PackedScorer {
  /** Log-probabilities of a batch's labels, in their order. */
  run(batch: PackedBatch): Float32Array;
  release(): void;
}

/** Log-probabilities without gradients: for evaluation, and for reference policies. */
export function createPackedScorer(
  config: DecoderConfig,
  weights: Readonly<Record<string, Value>>,
  options: Omit<PackedOptions, 'checkpointLayers'> = {},
): PackedScorer {
  const programs = new Map<string, { run(batch: PackedBatch): Float32Array; release(): void }>();
  const create = (size: PackedSize) => {
    const program = trace((graph) => ({ logP: packedLogProbabilities(graph, config, size, options) }), {
      sharedMemory: true,
    });
    const own: Record<string, Value> = {};
    for (const { name, dtype, shape } of program.inputs) {
      if (!(name in weights)) own[name] = new Value(dtype, shape as number[]);
    }
    const logP = new Value('float32', [size.labels]);
    const binding = program.bind({ ...weights, ...own }, { logP });
    return {
      run(batch: PackedBatch) {
        const places = loadBatch(own, batch, size);
        binding.run();
        return Float32Array.from(places, (place) => logP.data[place]);
      },
      release() {
        binding.release();
        for (const value of [...Object.values(own), logP]) value.release();
        program.release();
      },
    };
  };
  return {
    run(batch) {
      const size = sizeOf(batch);
      const key = Object.values(size).join();
      const known = programs.get(key) ?? create(size);
      programs.set(key, known);
      return known.run(batch);
    },
    release: () => {
      for (const program of programs.values()) program.release();
    },
  };
}
