/** A loss and its gradients as one program with its own inputs, ready to be filled and run. */
import { Disposables } from '../disposables.ts';
import { evaluateDim } from '../engine/dims.ts';
import type { TracedNode } from '../engine/graph.ts';
import {
  add,
  type CompileOptions,
  type Graph,
  gradients,
  input,
  mul,
  type Tensor,
  trace,
  Value,
} from '../engine/index.ts';
import type { Data } from '../engine/runtime.ts';
import { HeedError } from '../error.ts';
import { type Arena, createArena } from './parameters.ts';

export interface TrainStep {
  /** What the loss needs besides the parameters; write into their `data` before a run. */
  readonly inputs: Readonly<Record<string, Value>>;
  /** Gradients of the last run; with `accumulate`, the weighted sum of those of all runs since the last reset. */
  readonly gradients: Arena;
  /**
   * Runs forward and backward; gives the loss and the other outputs. `weight` multiplies the gradients (not the loss) as
   * they are added up: the share of a part batch in the whole. Throws where the loss is not finite; a sum
   * of gradients is then spoilt until the next reset.
   */
  run(weight?: number): Readonly<Record<string, Value>>;
  /** Sets the gradients to 0: with `accumulate`, before the first part of a batch. */
  reset(): void;
  [Symbol.dispose](): void;
}

export interface TrainStepOptions extends CompileOptions {
  /** Sizes of all symbols of the inputs. */
  dims: Readonly<Record<string, number>>;
  /** Values of further inputs, such as weights that are not trained: no gradient is made for them. */
  frozen?: Readonly<Record<string, Value>>;
  /** Where the gradients go, made from the same specs as the parameters: for steps of several sizes that add to one sum. */
  gradients?: Arena;
  /** Add each run's gradients to those already there, in place, until reset(): a batch in parts. */
  accumulate?: boolean;
}

/**
 * Compiles `build`'s `loss` with respect to `parameters`. All symbols of its inputs must be given sizes in `dims`.
 * Whatever else `build` returns (metrics, predictions) is an output beside the loss.
 */
export function createTrainStep(
  parameters: Pick<Arena, 'specs' | 'values'>,
  build: (graph: Graph) => { loss: Tensor } & Record<string, Tensor>,
  options: TrainStepOptions,
): TrainStep {
  const own = new Disposables();
  const { accumulate = false, frozen = {}, gradients: given, ...compileOptions } = options;
  const gradientArena = given ?? own.use(createArena(parameters.specs));
  const names = parameters.specs.map(({ name }) => name);
  let lookups: Lookup[] = [];
  const program = own.use(
    trace((g) => {
      const outputs = build(g);
      const all = parameters.specs.map(({ name, shape }) => input(g, name, shape));
      lookups = lookupsOf(g, names);
      const weights = all.filter(({ name }) => isMapped(g, name, lookups));
      const loss = accumulate ? mul(outputs.loss, input(g, WEIGHT, [])) : outputs.loss;
      const rows = lookups.map(({ node }) => node.outputTensors[0]);
      const dws = gradients(loss, [...weights, ...rows], new Set(lookups.map(({ node }) => node)));
      const results: Record<string, Tensor> = { ...outputs };
      for (const [i, weight] of weights.entries()) {
        results[gradientName(weight.name)] = accumulate
          ? add(input(g, sumName(weight.name), weight.shape), dws[i])
          : dws[i];
      }
      for (const i of lookups.keys()) results[rowsName(i)] = dws[weights.length + i];
      return results;
    }, compileOptions),
  );
  const weightValue = own.use(new Value('float32', []));
  const fixed: Record<string, Value> = { ...frozen, ...parameters.values, [WEIGHT]: weightValue };
  const gradientValues: Record<string, Value> = {};
  for (const name of names) {
    gradientValues[gradientName(name)] = gradientArena.values[name];
    if (accumulate) fixed[sumName(name)] = gradientArena.values[name];
  }
  const sized = ({ dtype, shape }: (typeof program.inputs)[number]) =>
    own.use(
      new Value(
        dtype,
        shape.map((d) => evaluateDim(d, options.dims)),
      ),
    );
  const inputs: Record<string, Value> = {};
  for (const spec of program.inputs) if (!(spec.name in fixed)) inputs[spec.name] = sized(spec);
  const outputs: Record<string, Value> = {};
  for (const spec of program.outputs) if (!(spec.name in gradientValues)) outputs[spec.name] = sized(spec);
  const binding = own.use(program.bind({ ...fixed, ...inputs }, { ...outputs, ...gradientValues }));
  // tables that are only looked up in get no gradient from the program: what was there is cleared here
  const onlyLookedUp = names.filter((name) => !program.outputs.some((spec) => spec.name === gradientName(name)));
  return {
    inputs,
    gradients: gradientArena,
    run(weight = 1) {
      if (weight !== 1 && !accumulate) {
        throw new HeedError(`a run's weight is ${weight}, but its gradients are not added up`, {
          hint: 'create the step with accumulate: true',
        });
      }
      weightValue.data[0] = weight;
      binding.run();
      if (!accumulate) for (const name of onlyLookedUp) gradientArena.values[name].data.fill(0);
      for (const [i, { table, indices }] of lookups.entries()) {
        addRows(gradientArena.values[table].data, inputs[indices].data, outputs[rowsName(i)].data as Float32Array);
      }
      const loss = outputs.loss.data[0] as number;
      if (!Number.isFinite(loss)) throw nonFinite(loss, inputs, parameters);
      return outputs;
    },
    reset: () => void gradientArena.flat.fill(0),
    [Symbol.dispose]: own[Symbol.dispose],
  };
}

/** A table of parameters whose rows are taken at indices that are an input, as an embedding's are. */
interface Lookup {
  node: TracedNode;
  table: string;
  indices: string;
}

/**
 * Lookups get the gradients of the rows they took, which are added to the table's here: ONNX Runtime would make a whole
 * table of zeros, and add to it in one thread, many times slower.
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

function addRows(table: Float32Array, indices: Data, rows: Float32Array): void {
  const width = rows.length / indices.length;
  for (let i = 0; i < indices.length; i++) {
    const from = i * width;
    const to = Number(indices[i]) * width;
    for (let k = 0; k < width; k++) table[to + k] += rows[from + k];
  }
}

/** Names what went in that was not finite, where something was. */
function nonFinite(loss: number, inputs: TrainStep['inputs'], parameters: Pick<Arena, 'values'>): HeedError {
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
