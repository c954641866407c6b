/** A loss and its gradients as one program with its own inputs, ready to be filled and run. */
import { Disposables } from '../disposables.ts';
import type { AnyInputs, InputSpecs, TensorsOf, ValuesOf } from '../engine/declare.ts';
import { declareInputs, guardedInputs } from '../engine/declare.ts';
import { device } from '../engine/device.ts';
import { evaluateDim } from '../engine/dims.ts';
import { gradients } from '../engine/gradient.ts';
import type { TracedNode } from '../engine/graph.ts';
import { createGraph, type Graph, input, type Tensor } from '../engine/graph.ts';
import { add, mul } from '../engine/ops/elementwise.ts';
import { type CompileOptions, compile } from '../engine/program.ts';
import type { Spec } from '../engine/spec.ts';
import type { ValueData } from '../engine/value.ts';
import { Value } from '../engine/value.ts';
import { HeedError } from '../error.ts';
import { atOnce } from '../node.ts';
import { type Arena, createArena } from './parameters.ts';

/** What a loss returns when it is traced: the loss, a float32 scalar, and other outputs. */
export type LossOutputs = { readonly loss: Tensor } & Readonly<Record<string, Tensor>>;

/** A compiled loss with its gradients. `I` holds its declared inputs, and `O` what the loss returned. */
export interface TrainStep<I extends InputSpecs = AnyInputs, O extends LossOutputs = LossOutputs> {
  /** The declared inputs: write into their `data` before a run, as in `step.inputs.x.data.set(rows)`. */
  readonly inputs: ValuesOf<I>;
  /** Gradients of the last run. With `accumulate`, the weighted sum of those of all runs since the last reset. */
  readonly gradients: Arena;
  /**
   * Runs forward and backward.
   *
   * @param weight - Multiplies the gradients (not the loss) before they are added to the sum: the share of a part batch
   * in the whole batch. 1 by default; other weights need `accumulate`.
   * @returns The loss and the other outputs by name. The next run overwrites them.
   * @throws HeedError where the loss is not finite. A sum of gradients is then unusable until the next reset.
   */
  run(weight?: number): { readonly [K in keyof O]: K extends 'loss' ? Value<'float32'> : Value };
  /** The same, without blocking the event loop for long: in another thread, if a run takes its time. */
  runFreely(weight?: number): Promise<ReturnType<TrainStep<I, O>['run']>>;
  /** Sets the gradients to 0: with `accumulate`, before the first part of a batch. */
  reset(): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** How a train step is compiled. `dims` holds the size of every symbol of the inputs. */
export interface TrainStepOptions extends CompileOptions {
  /** Values of inputs that networks in the loss add but that are not trained, such as frozen weights. */
  frozen?: Readonly<Record<string, Value>>;
  /** Where the gradients go, made from the same specs as the parameters. Several steps may add to the same sum. */
  gradients?: Arena;
  /** Add each run's gradients to those already there, in place, until `reset()`: a batch in parts. */
  accumulate?: boolean;
}

/** What is trained: its specs, and its values, which a step reads in place. */
type Parameters = Pick<Arena, 'specs' | 'values'>;

/**
 * Compiles a loss, with its gradients with respect to `parameters`:
 *
 *     const network = mlp('net', { sizes: [4, 64, 2] });
 *     const parameters = createParameters(network.parameters, random(seed));
 *     const step = createTrainStep(
 *       parameters,
 *       { x: ['n', 4], action: { dtype: 'int32', shape: ['n', 1] } },
 *       ({ x, action }) => neg(mean(gatherElements(logSoftmax(network.apply(x)), action, 1))),
 *       { dims: { n: 32 } },
 *     );
 *     step.inputs.x.data.set(observations);
 *     step.inputs.action.data.set(actions);
 *     step.run().loss.item();
 *
 * @param parameters - What the loss is differentiated by.
 * @param inputs - The inputs of the loss by name: a shape for float32, `{ dtype, shape }` for another dtype, or a
 * `Value` of the caller's, which the step reads in place and does not dispose of. An input that the loss does not use
 * is allowed.
 * @param loss - Traced once, with the inputs and the parameters by name. Returns the loss, or an object of the loss and
 * other outputs (metrics, predictions).
 * @throws HeedError where the loss reads an input that is neither declared, a parameter nor frozen; where a symbol has
 * no size in `dims`; and as `gradients` does.
 */
export function createTrainStep<const I extends InputSpecs, O extends LossOutputs = { readonly loss: Tensor }>(
  parameters: Parameters,
  inputs: I,
  loss: (inputs: TensorsOf<I>, weights: Readonly<Record<string, Tensor>>) => O | Tensor,
  options: TrainStepOptions = {},
): TrainStep<I, O> {
  if (typeof inputs !== 'object' || typeof loss !== 'function') {
    throw new HeedError('createTrainStep takes parameters, declared inputs and a function from these to the loss', {
      hint: "call createTrainStep(parameters, { x: ['n', 4] }, ({ x }) => …, { dims: { n: 32 } })",
    });
  }
  const taken = Object.keys(inputs).find((name) => name in parameters.values || name in (options.frozen ?? {}));
  if (taken !== undefined) {
    throw new HeedError(`input "${taken}" has the name of a parameter or a frozen value`, {
      hint: 'rename one of them',
    });
  }
  using scope = new Disposables();
  const values: Record<string, Value | undefined> = {};
  for (const [name, spec] of Object.entries(inputs)) {
    if (spec === undefined || spec instanceof Value) values[name] = spec;
    else {
      const { shape, dtype = 'float32' } = 'shape' in spec ? spec : { shape: spec };
      values[name] = scope.use(zerosOf({ shape, dtype }, options.dims));
    }
  }
  const traceLoss = (graph: Graph): LossOutputs => {
    const weights = parameters.specs.map(({ name, shape }) => [name, input(graph, name, shape)] as const);
    const outputs = loss(declareInputs(graph, inputs), guardedInputs('parameter', Object.fromEntries(weights)));
    return isTensor(outputs) ? { loss: outputs } : outputs;
  };
  const step = scope.use(atOnce(compileStep(parameters, traceLoss, options, values)));
  const undeclared = Object.keys(step.inputs).find((name) => !(name in values));
  if (undeclared !== undefined) {
    throw new HeedError(`the loss reads "${undeclared}", which is neither an input, a parameter nor frozen`, {
      hint: 'declare it among the inputs, or pass its value in frozen',
    });
  }
  const outputs = guardedInputs('output', step.outputs) as ReturnType<TrainStep<I, O>['run']>;
  const end = scope.move();
  return {
    gradients: step.gradients,
    reset: step.reset,
    run(weight) {
      step.run(weight);
      return outputs;
    },
    async runFreely(weight) {
      await step.runFreely(weight);
      return outputs;
    },
    inputs: guardedInputs('input', values) as ValuesOf<I>,
    [Symbol.dispose]: end[Symbol.dispose],
  };
}

/**
 * Like `createTrainStep`, for a loss that declares its inputs itself with `input(graph, name, shape, dtype)` because
 * they depend on what it computes. Every input that is neither a parameter nor frozen becomes an input of the step.
 *
 * @throws HeedError where a symbol has no size in `dims`, and as `gradients` does.
 */
export const traceTrainStep = <O extends LossOutputs>(...from: TracedStep<O>): TrainStep<AnyInputs, O> =>
  atOnce(traceTrainStepInParts(...from));

/** What `traceTrainStep` takes. */
type TracedStep<O extends LossOutputs> = [
  parameters: Parameters,
  build: (graph: Graph) => O,
  options?: TrainStepOptions,
];

/** The same in parts: tracing, compiling, binding. */
export const traceTrainStepInParts = <O extends LossOutputs>(
  ...[parameters, build, options = {}]: TracedStep<O>
): Generator<void, TrainStep<AnyInputs, O>> => compileStep(parameters, build, options, {});

/** The step, with zeros for inputs that `declared` lacks. */
function* compileStep<O extends LossOutputs>(
  parameters: Parameters,
  build: (graph: Graph) => O,
  options: TrainStepOptions,
  declared: Readonly<Record<string, Value | undefined>>,
): Generator<void, TrainStep<AnyInputs, O> & { outputs: ReturnType<TrainStep<AnyInputs, O>['run']> }> {
  using scope = new Disposables();
  const { accumulate = false, frozen = {}, gradients: target, ...compileOptions } = options;
  const gradientArena = target ?? scope.use(createArena(parameters.specs));
  const names = parameters.specs.map(({ name }) => name);
  const g = createGraph(options.dims, options.precision);
  const lossOutputs = build(g);
  yield;
  const all = parameters.specs.map(({ name, shape }) => input(g, name, shape));
  const lookups = device() === 'cpu' ? lookupsOf(g, names) : [];
  const weights = all.filter(({ name }) => isMapped(g, name, lookups));
  const minimized = accumulate ? mul(lossOutputs.loss, input(g, WEIGHT, [])) : lossOutputs.loss;
  const rows = lookups.map(({ node }) => node.outputTensors[0]);
  const dws = gradients(minimized, [...weights, ...rows], new Set(lookups.map(({ node }) => node)));
  const traced: Record<string, Tensor> = { ...lossOutputs };
  for (const [i, weight] of weights.entries()) {
    const sum = accumulate && input(g, sumName(weight.name), weight.shape);
    traced[gradientName(weight.name)] = sum ? add(sum, dws[i]) : dws[i];
  }
  for (const i of lookups.keys()) traced[rowsName(i)] = dws[weights.length + i];
  yield;
  const program = scope.use(compile(traced, compileOptions));
  yield;
  const weightValue = scope.use(new Value('float32', []));
  const fixed: Record<string, Value> = { ...frozen, ...parameters.values, [WEIGHT]: weightValue };
  const gradientValues: Record<string, Value> = {};
  for (const name of names) {
    gradientValues[gradientName(name)] = gradientArena.values[name];
    if (accumulate) fixed[sumName(name)] = gradientArena.values[name];
  }
  const inputs: Record<string, Value> = {};
  for (const [name, value] of Object.entries(declared)) if (value) inputs[name] = value;
  for (const spec of program.inputs) {
    if (!(spec.name in fixed || spec.name in inputs)) inputs[spec.name] = scope.use(zerosOf(spec, options.dims));
  }
  const outputs: Record<string, Value> = {};
  for (const spec of program.outputs) {
    if (!(spec.name in gradientValues)) outputs[spec.name] = scope.use(zerosOf(spec, options.dims));
  }
  const binding = scope.use(program.bind({ ...fixed, ...inputs }, { ...outputs, ...gradientValues }));
  // tables that are only used for lookups get no gradient from the program: earlier values are cleared here
  const onlyLookedUp = names.filter((name) => !program.outputs.some((spec) => spec.name === gradientName(name)));
  const loss = outputs.loss as Value<'float32'>;
  const results = outputs as ReturnType<TrainStep<AnyInputs, O>['run']>;
  const end = scope.move();
  const prepare = (weight: number) => {
    if (weight !== 1 && !accumulate) {
      throw new HeedError(`a run's weight is ${weight}, but gradients are not accumulated`, {
        hint: 'create the step with accumulate: true',
      });
    }
    weightValue.data[0] = weight;
  };
  const conclude = () => {
    if (!accumulate) for (const name of onlyLookedUp) gradientArena.values[name].data.fill(0);
    for (const [i, { table, indices }] of lookups.entries()) {
      addRows(gradientArena.values[table].data, inputs[indices].data, outputs[rowsName(i)].data as Float32Array);
    }
    if (!Number.isFinite(loss.data[0])) throw nonFinite(loss.data[0], inputs, parameters);
    return results;
  };
  return {
    inputs,
    outputs: results,
    gradients: gradientArena,
    run(weight = 1) {
      prepare(weight);
      binding.run();
      return conclude();
    },
    async runFreely(weight = 1) {
      prepare(weight);
      await binding.runFreely();
      return conclude();
    },
    reset: () => void gradientArena.flat.fill(0),
    [Symbol.dispose]: end[Symbol.dispose],
  };
}

const isTensor = (outputs: LossOutputs | Tensor): outputs is Tensor => 'graph' in outputs && 'dtype' in outputs;

/** Zeros for an input or output, its symbols of the sizes in `dims`. */
function zerosOf({ dtype, shape }: Pick<Spec, 'dtype' | 'shape'>, dims: CompileOptions['dims'] = {}): Value {
  return new Value(
    dtype,
    shape.map((d) => evaluateDim(d, dims)),
  );
}

/** A table of parameters whose rows are taken at indices from an input, such as an embedding's. */
interface Lookup {
  node: TracedNode;
  table: string;
  indices: string;
}

/**
 * Lookups get the gradients of the rows they took, and these are added to the table's here: ONNX Runtime would make a
 * whole table of zeros, and add to it in one thread, many times slower. (A device adds them itself.)
 */
function lookupsOf({ nodes, inputs }: Graph, parameters: readonly string[]): Lookup[] {
  return nodes
    .filter(({ op, inputs: [table, indices] }) => {
      return op === 'Gather' && parameters.includes(table) && inputs.some(({ name }) => name === indices);
    })
    .map((node) => ({ node, table: node.inputs[0], indices: node.inputs[1] }));
}

/** Whether a parameter is used other than by lookups. */
const isMapped = ({ nodes }: Graph, name: string, lookups: readonly Lookup[]): boolean =>
  !lookups.some(({ table }) => table === name) ||
  nodes.some((node) => node.inputs.includes(name) && !lookups.some((lookup) => lookup.node === node));

function addRows(table: Float32Array, indices: ValueData, rows: Float32Array): void {
  const width = rows.length / indices.length;
  for (let i = 0; i < indices.length; i++) {
    const from = i * width;
    const to = Number(indices[i]) * width;
    for (let k = 0; k < width; k++) table[to + k] += rows[from + k];
  }
}

/** Names the non-finite inputs, if there are any. */
function nonFinite(loss: number, inputs: Readonly<Record<string, Value>>, parameters: Parameters): HeedError {
  const finite = ({ data, dtype }: Value) => dtype !== 'float32' || (data as Float32Array).every(Number.isFinite);
  const badInput = Object.keys(inputs).find((name) => !finite(inputs[name]));
  if (badInput !== undefined) {
    return new HeedError(`the loss is ${loss}: its input "${badInput}" is not finite`, {
      hint: 'look at the data of this batch; the parameters are as they were',
    });
  }
  const badParameter = Object.keys(parameters.values).find((name) => !finite(parameters.values[name]));
  if (badParameter !== undefined) {
    return new HeedError(`the loss is ${loss}: the parameter "${badParameter}" is not finite`, {
      hint: 'lower the learning rate, and go back to the last checkpoint',
    });
  }
  return new HeedError(`the loss is ${loss}, though its inputs and parameters are finite`, {
    hint: 'lower the learning rate, or look at the data of this batch; the parameters are as they were',
  });
}

// Names within the program, which no input, parameter or output of a caller has.
const WEIGHT = 'gradient weight';
const sumName = (name: string) => `gradient sum of ${name}`;
const rowsName = (lookup: number) => `gradient of the rows of lookup ${lookup}`;
const gradientName = (name: string) => `gradient of ${name}`;
