/** What a student minimizes: its divergence from a teacher on texts of the data, of the teacher, or of its own. */
import { Disposables } from '../../disposables.ts';
import type { Graph } from '../../engine/graph.ts';
import { input } from '../../engine/graph.ts';
import { mul } from '../../engine/ops/elementwise.ts';
import { sum } from '../../engine/ops/reduce.ts';
import { createGenerator } from '../../lm/generate.ts';
import type { Model } from '../../lm/model.ts';
import { createPackedScorer, createPackedTrainer, type Reading } from '../../lm/packed-program.ts';
import { packSequences } from '../../lm/packing.ts';
import { headName } from '../../nn/decoder-config.ts';
import { random, seedFor } from '../../random.ts';
import type { Examples } from '../examples/examples.ts';
import type { Objective } from '../supervised/learner.ts';
import { type BatchShape, heldOutBatches, tokenMean } from '../supervised/likelihood.ts';
import type { Trained } from '../training/trainable.ts';
import { divergenceOfStates, type TokenDivergenceOptions } from './divergence.ts';
import { type DrawingOptions, drawExamples } from './texts.ts';

/** What `createDivergenceObjective` puts together. */
export interface DivergenceObjectiveParts {
  /** The model that learns. */
  student: Model;
  /** The model it learns from, with the same vocabulary. Its weights stay as they are. */
  teacher: Model;
  /** Held-out examples to measure the divergence on. */
  heldOut?: Examples;
  /** The divergence, and what is drawn on-policy. */
  options: TokenDivergenceOptions & {
    /** Seed of the draws. */
    seed: number;
    /** Probability that the completions of a step are drawn by the student. */
    onPolicy: number;
    /** How the student draws completions. */
    drawing: DrawingOptions;
    /** Recompute layers for gradients: less memory, more time. */
    checkpointLayers: boolean;
  };
}

const STATES = 'states of the teacher';
const HEAD = 'head of the teacher';

/**
 * The mean divergence of the learned tokens, in training and held out. The teacher computes its states for each batch,
 * and the student's program compares the heads, a chunk of labels at a time.
 */
export function createDivergenceObjective(
  { student, teacher, heldOut, options }: DivergenceObjectiveParts,
  { parameters, weights, frozen, linear }: Trained,
  shape: BatchShape,
  part: number,
): Objective {
  using own = new Disposables();
  const { config } = student;
  const theirs = own.use(
    createPackedScorer(teacher.config, teacher.parameters.values, { read: ({ states }) => states }),
  );
  const theirHead = { [HEAD]: teacher.parameters.values[headName(teacher.config)] };
  const headIn = (graph: Graph) => input(graph, HEAD, [teacher.config.vocabularySize, teacher.config.hiddenSize]);
  const read = ({ states, head, perLabel }: Reading) =>
    divergenceOfStates(
      { config, states, head },
      { config: teacher.config, states: perLabel(STATES, teacher.config.hiddenSize), head: headIn(states.graph) },
      options,
    );
  const trainer = own.use(
    createPackedTrainer(
      config,
      parameters,
      (reading) => ({ loss: sum(mul(read(reading), reading.perLabel('weight'))) }),
      { linear, frozen: { ...frozen, ...theirHead }, checkpointLayers: options.checkpointLayers },
    ),
  );
  const loss = tokenMean(trainer, shape, (batch) => ({ [STATES]: theirs.run(batch) }));
  const scorer = heldOut && own.use(createPackedScorer(config, { ...weights, ...theirHead }, { linear, read }));
  const batches = heldOut && heldOutBatches(heldOut, shape, part);
  const generator = options.onPolicy > 0 ? own.use(createGenerator(config, weights, { linear })) : undefined;
  const end = own.move();
  return {
    loss,
    heldOut: scorer && {
      run() {
        let [total, tokens] = [0, 0];
        for (const batch of batches!()) {
          const each = scorer.run(batch, { [STATES]: theirs.run(batch) });
          for (const value of each) total += value;
          tokens += each.length;
        }
        return { loss: total / tokens, tokens };
      },
    },
    async rowsOf(rows, step, signal) {
      if (!generator || random(options.seed, 'on-policy', step).uniform() >= options.onPolicy) return rows;
      const seed = seedFor(options.seed, 'completions', step);
      const { length } = shape;
      const drawn = await drawExamples(generator, student, rows.flat(), { ...options.drawing, length, seed, signal });
      if (shape.fitted) return drawn.map((example) => [example]);
      const lengths = drawn.map(({ ids }) => ids.length);
      return packSequences(lengths, length).map((row) => row.map((i) => drawn[i]));
    },
    [Symbol.dispose]: end[Symbol.dispose],
  };
}
