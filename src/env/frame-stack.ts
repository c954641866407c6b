/**
 * Frame stacking: an observation is the last few of the environment's, the oldest first. An episode begins with its first
 * one in every place, as in Gymnasium's FrameStackObservation. A mask of actions is that of the latest one alone.
 */
import { seenSize } from './action-mask.ts';
import { batchArrays, type EnvironmentBatch } from './batch/batch.ts';
import type { EnvironmentSource } from './batch/source.ts';
import { type Box, type Environment, sizeOf } from './environment.ts';

/** The source with observations of `count` frames; the same source if that is one. */
export function stackedSource(source: EnvironmentSource, count: number): EnvironmentSource {
  if (count <= 1) return source;
  const stack = stackOf(source.observationSpace, count);
  return {
    ...source,
    observationSpace: stack.space,
    make: () => stackedEnvironment(source.make(), stack),
    batch: (copies) => stackedBatch(source.batch(copies), stack),
    [Symbol.dispose]: () => source[Symbol.dispose](),
  };
}

/** How observations become frames of a stack. */
type Stack = ReturnType<typeof stackOf>;

function stackOf(frame: Box, count: number) {
  const { low, high, shape, mask = 0 } = frame;
  const seen = seenSize(frame);
  const end = count * seen;
  const times = (bounds: Float32Array) =>
    Float32Array.from({ length: end + mask }, (_, i) => bounds[i < end ? i % seen : i - end + seen]);
  const space: Box = {
    ...frame,
    low: times(low),
    high: times(high),
    ...(shape && { shape: [count * shape[0], ...shape.slice(1)] }),
    stack: count,
  };
  return {
    space,
    frameSize: sizeOf(frame),
    /** Makes room for a frame at the end of `into`, which drops its oldest one. */
    push(into: Float32Array, latest: Float32Array): void {
      into.copyWithin(0, seen, end);
      into.set(latest, end - seen);
    },
    /** Writes an episode's first frame into every place. */
    fill(into: Float32Array, first: Float32Array): void {
      for (let at = 0; at < end; at += seen) into.set(first, at);
    },
  };
}

function stackedEnvironment(environment: Environment, { space, frameSize, push, fill }: Stack): Environment {
  const frame = new Float32Array(frameSize);
  const stacked = new Float32Array(sizeOf(space));
  return {
    ...environment,
    observationSpace: space,
    reset(seed, observation) {
      environment.reset(seed, frame);
      fill(stacked, frame);
      observation.set(stacked);
    },
    step(action, observation) {
      const outcome = environment.step(action, frame);
      push(stacked, frame);
      observation.set(stacked);
      return outcome;
    },
    frame: () => environment.frame(),
    [Symbol.dispose]: () => environment[Symbol.dispose]?.(),
  };
}

function stackedBatch(batch: EnvironmentBatch, { space, frameSize, push, fill }: Stack): EnvironmentBatch {
  const { count, terminated, truncated } = batch;
  const actionSize = sizeOf(batch.actionSpace);
  const size = sizeOf(space);
  const { observations, finalObservations } = batchArrays(count, size);
  const ended = new Uint8Array(count);
  const [stacked, finals] = [observations, finalObservations].map((rows) =>
    Array.from({ length: count }, (_, copy) => rows.subarray(copy * size, (copy + 1) * size)),
  );
  const [frames, lastFrames] = [batch.observations, batch.finalObservations].map((rows) =>
    Array.from({ length: count }, (_, copy) => rows.subarray(copy * frameSize, (copy + 1) * frameSize)),
  );
  return {
    ...batch,
    observationSpace: space,
    observations,
    finalObservations,
    reset(seeds) {
      batch.reset(seeds);
      for (let copy = 0; copy < count; copy++) fill(stacked[copy], frames[copy]);
      ended.fill(0);
    },
    step(actions, next) {
      batch.step(actions, next);
      for (let copy = 0; copy < count; copy++) {
        if (ended[copy]) continue;
        const isOver = terminated[copy] + truncated[copy] > 0;
        push(stacked[copy], isOver ? lastFrames[copy] : frames[copy]);
        if (!isOver) continue;
        finals[copy].set(stacked[copy]);
        if (next[copy] >= 0) fill(stacked[copy], frames[copy]);
        else ended[copy] = 1;
      }
    },
    replay(copy, seed, actions) {
      const steps = actions.length / actionSize;
      // a batch shows where a replay ends, so the frames of the stack are replayed one by one
      for (let back = Math.min(space.stack! - 1, steps); back >= 0; back--) {
        batch.replay(copy, seed, actions.subarray(0, (steps - back) * actionSize));
        if (back === Math.min(space.stack! - 1, steps)) fill(stacked[copy], frames[copy]);
        else push(stacked[copy], frames[copy]);
      }
      ended[copy] = 0;
    },
    [Symbol.dispose]: () => batch[Symbol.dispose](),
  };
}
