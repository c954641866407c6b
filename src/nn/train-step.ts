/** A loss and its gradients as one program with its own inputs, ready to be filled and run. */
import { evaluateDim } from '../engine/dims.ts';
import { type CompileOptions, type Graph, gradients, input, type Tensor, trace, Value } from '../engine/index.ts';
import { HeedError } from '../error.ts';
import { type Arena, createArena } from './parameters.ts';

export interface TrainStep {
  /** What the loss needs besides the parameters; write into their `data` before a run. */
  readonly inputs: Readonly<Record<string, Value>>;
  /** Gradients of the last run. */
  readonly gradients: Arena;
  /** Runs forward and backward; gives the loss and the other outputs. Throws where the loss is not finite. */
  run(): Readonly<Record<string, Value>>;
  release(): void;
}

/**
 * Compiles `build`'s `loss` with respect to `parameters`. All symbols of its inputs must be given sizes in `dims`.
 * Whatever else `build` returns (metrics, predictions) is an output beside the loss.
 */
export function createTrainStep(
  parameters: Arena,
  build: (graph: Graph) => { loss: Tensor } & Record<string, Tensor>,
  options: CompileOptions & { dims: Readonly<Record<string, number>> },
): TrainStep {
  const gradientArena = createArena(parameters.specs);
  const program = trace((g) => {
    const outputs = build(g);
    const weights = parameters.specs.map(({ name, shape }) => input(g, name, shape));
    const dws = gradients(outputs.loss, weights);
    return { ...outputs, ...Object.fromEntries(dws.map((dw, i) => [gradientName(parameters.specs[i].name), dw])) };
  }, options);
  const sized = ({ dtype, shape }: (typeof program.inputs)[number]) =>
    new Value(
      dtype,
      shape.map((d) => evaluateDim(d, options.dims)),
    );
  const inputs: Record<string, Value> = {};
  for (const spec of program.inputs) if (!(spec.name in parameters.values)) inputs[spec.name] = sized(spec);
  const outputs: Record<string, Value> = {};
  for (const spec of program.outputs) if (!spec.name.startsWith(GRADIENT)) outputs[spec.name] = sized(spec);
  const gradientValues = Object.fromEntries(
    parameters.specs.map(({ name }) => [gradientName(name), gradientArena.values[name]]),
  );
  const binding = program.bind({ ...parameters.values, ...inputs }, { ...outputs, ...gradientValues });
  return {
    inputs,
    gradients: gradientArena,
    run() {
      binding.run();
      const loss = outputs.loss.data[0] as number;
      if (!Number.isFinite(loss)) {
        throw new HeedError(`the loss is ${loss}`, {
          hint: 'lower the learning rate, or look at the data of this batch; the last checkpoint is as it was',
        });
      }
      return outputs;
    },
    release() {
      binding.release();
      program.release();
      gradientArena.release();
      for (const value of [...Object.values(inputs), ...Object.values(outputs)]) value.release();
    },
  };
}

const GRADIENT = 'd.';
const gradientName = (name: string) => GRADIENT + name;
