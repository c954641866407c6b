/** A loss and its gradients as one program with its own inputs, ready to be filled and run. */
import { evaluateDim } from '../engine/dims.ts';
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
import { HeedError } from '../error.ts';
import { lifetime } from './lifetime.ts';
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
  release(): void;
}

export interface TrainStepOptions extends CompileOptions {
  /** Sizes of all symbols of the inputs. */
  dims: Readonly<Record<string, number>>;
  /** Add each run's gradients to those already there, in place, until reset(): a batch in parts. */
  accumulate?: boolean;
}

/**
 * Compiles `build`'s `loss` with respect to `parameters`. All symbols of its inputs must be given sizes in `dims`.
 * Whatever else `build` returns (metrics, predictions) is an output beside the loss.
 */
export function createTrainStep(
  parameters: Arena,
  build: (graph: Graph) => { loss: Tensor } & Record<string, Tensor>,
  options: TrainStepOptions,
): TrainStep {
  const { own, release } = lifetime();
  const { accumulate = false, ...compileOptions } = options;
  const gradientArena = own(createArena(parameters.specs));
  const names = parameters.specs.map(({ name }) => name);
  const program = own(
    trace((g) => {
      const outputs = build(g);
      const weights = parameters.specs.map(({ name, shape }) => input(g, name, shape));
      const loss = accumulate ? mul(outputs.loss, input(g, WEIGHT, [])) : outputs.loss;
      const dws = gradients(loss, weights);
      const sums = accumulate ? dws.map((dw, i) => add(input(g, sumName(names[i]), weights[i].shape), dw)) : dws;
      return { ...outputs, ...Object.fromEntries(sums.map((sum, i) => [gradientName(names[i]), sum])) };
    }, compileOptions),
  );
  const weightValue = own(new Value('float32', []));
  const fixed: Record<string, Value> = { ...parameters.values, [WEIGHT]: weightValue };
  const gradientValues: Record<string, Value> = {};
  for (const name of names) {
    gradientValues[gradientName(name)] = gradientArena.values[name];
    if (accumulate) fixed[sumName(name)] = gradientArena.values[name];
  }
  const sized = ({ dtype, shape }: (typeof program.inputs)[number]) =>
    own(
      new Value(
        dtype,
        shape.map((d) => evaluateDim(d, options.dims)),
      ),
    );
  const inputs: Record<string, Value> = {};
  for (const spec of program.inputs) if (!(spec.name in fixed)) inputs[spec.name] = sized(spec);
  const outputs: Record<string, Value> = {};
  for (const spec of program.outputs) if (!(spec.name in gradientValues)) outputs[spec.name] = sized(spec);
  const binding = own(program.bind({ ...fixed, ...inputs }, { ...outputs, ...gradientValues }));
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
      const loss = outputs.loss.data[0] as number;
      if (!Number.isFinite(loss)) throw nonFinite(loss, inputs, parameters);
      return outputs;
    },
    reset: () => void gradientArena.flat.fill(0),
    release,
  };
}

/** Names what went in that was not finite, where something was. */
function nonFinite(loss: number, inputs: TrainStep['inputs'], parameters: Arena): HeedError {
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
const gradientName = (name: string) => `gradient of ${name}`;
