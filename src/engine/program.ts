/** Programs: a traced graph, compiled by the runtime, run on values bound to it. */
import { Disposables } from '../disposables.ts';
import { HeedError } from '../error.ts';
import { breathe, createHash, turnIsDue } from '../node.ts';
import { type AnyInputs, declareInputs, type InputSpecs, type TensorsOf, type ValuesOf } from './declare.ts';
import { device } from './device.ts';
import { evaluateDim, isSymbol } from './dims.ts';
import type { Precision } from './dtype.ts';
import { misfit } from './dtype.ts';
import { createGraph, type Graph, type Tensor } from './graph.ts';
import { checkInPlace } from './in-place.ts';
import { encodeModel, type Initializer } from './onnx.ts';
import { runtime } from './runtime/current.ts';
import type { Handle, RuntimeBinding, RuntimeSessionOptions } from './runtime/runtime.ts';
import { selectNodes } from './select.ts';
import { checkValue, describeSpec, inferShape, learnSymbols, type Spec } from './spec.ts';
import { Value, type ValueData } from './value.ts';

/** How a program is compiled. */
export interface CompileOptions {
  /** Sizes of symbolic dimensions that never change: shapes and memory are then planned once. */
  dims?: Readonly<Record<string, number>>;
  /**
   * Run in the calling thread alone: for programs so small that handing work to other threads costs more than it saves.
   * It has no effect in a page, where all programs share one pool.
   */
  singleThread?: boolean;
  /**
   * Take intermediate results from one pool that all such programs share, and return each as soon as it is read: for
   * large programs. The other programs plan their memory as one block and keep it, which is a little faster.
   */
  sharedMemory?: boolean;
  /**
   * Values of inputs that never change. They become part of the program and are no longer inputs. ONNX Runtime keeps a
   * copy of matrices in a layout that makes products with few rows about twice as fast. Do not change such a value
   * afterwards: whether the program sees the change is undefined.
   */
  fixed?: Readonly<Record<string, Value>>;
  /** What matrix products read: float32 (the default), or bfloat16 copies where that is faster. See `resolvePrecision`. */
  precision?: Precision;
  /**
   * Write ONNX Runtime's profile of every run to files whose paths start with this. Compiling throws a HeedError in a
   * page, which has no disk.
   */
  profile?: string;
}

/** Values bound to a program: bound once, run many times, without a copy. */
export interface Binding {
  /** Runs the program: reads the bound inputs and overwrites the bound outputs. */
  run(): void;
  /** Runs in another thread, for long programs: the event loop stays free. Do not touch the values meanwhile. */
  runAsync(): Promise<void>;
  /**
   * Runs in this thread if the program's last run was short, else in another: the event loop is never blocked for long,
   * and short runs cost no more than `run`. Do not touch the values meanwhile.
   */
  runFreely(): Promise<void>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

type Numbers = Value | ArrayLike<number> | number;

/**
 * A compiled graph. `I` holds the inputs it was declared with, and `O` the names of its outputs. Inputs that were not
 * declared, such as the parameters of a network, are known at run time only.
 */
export interface Program<I extends InputSpecs = AnyInputs, O extends string = string> {
  /** The inputs: those declared that its outputs need, and those that networks added. */
  readonly inputs: readonly Spec[];
  /** The outputs. */
  readonly outputs: readonly Spec[];
  /** The ONNX model, as an .onnx file holds it. */
  readonly model: Uint8Array;
  /**
   * Binds values to inputs and outputs by name. Values for inputs that the program does not read are ignored. An output
   * may share an input's memory only where every read of that input comes before the write (an optimizer's update).
   *
   * @throws HeedError naming the tensor whose value is missing, of another dtype or shape, or shares memory unsafely.
   */
  bind(inputs: ValuesOf<I> & Readonly<Record<string, Value | undefined>>, outputs: Readonly<Record<O, Value>>): Binding;
  /**
   * Runs once on plain numbers, for tests and occasional use: binds and copies at each call.
   *
   * @throws HeedError naming the input that is missing, cannot hold its numbers, or has a shape that they do not give.
   */
  run(
    inputs: { readonly [K in keyof I]: Numbers | Extract<I[K], undefined> } & Readonly<
      Record<string, Numbers | undefined>
    >,
  ): Record<O, ValueData>;
  /** The same, without blocking the event loop for long (see `Binding.runFreely`). */
  runFreely(inputs: Parameters<Program<I, O>['run']>[0]): Promise<Record<O, ValueData>>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** A program in the runtime, which opens it when it first runs: in another thread, if the run may take its time. */
interface Session {
  key: string;
  model: Uint8Array;
  options: RuntimeSessionOptions;
  /** Absent until it is open. */
  handle?: Handle;
  /** Settles when another thread has opened it. */
  opening?: Promise<void>;
  /** Values that ONNX Runtime reads in place: they must live as long. */
  fixedValues: readonly (readonly [name: string, value: Value])[];
  /** Number of programs, and of runs in other threads, that need it. */
  users: number;
  /** Whether its runs are always short: those of programs in one thread. */
  short: boolean;
  /** Milliseconds that its last run took; unknown at first. */
  milliseconds?: number;
}
/** Milliseconds from which a run is long enough for another thread: the handover takes about a tenth of one. */
const LONG_RUN = 10;

/** Sessions by their model and options: equal graphs share one. */
const sessions = new Map<string, Session>();
let ownSessions = 0;

function leave(session: Session): void {
  if (--session.users > 0) return;
  sessions.delete(session.key);
  if (session.handle !== undefined) runtime().releaseSession(session.handle);
}

/** The runtime's session, which is opened now if it is not yet. */
function opened(session: Session): Handle {
  session.handle ??= runtime().createSession(session.model, session.options);
  return session.handle;
}

/** Opens it in another thread, where the runtime can: compiling takes 60 ms for a small model's training step. */
async function open(session: Session): Promise<void> {
  session.opening ??= openBeside(session);
  await session.opening;
}

async function openBeside(session: Session): Promise<void> {
  session.users++;
  try {
    const handle = await runtime().createSessionAsync(session.model, session.options);
    if (session.handle === undefined) session.handle = handle;
    else runtime().releaseSession(handle); // a run in this thread could not wait
  } finally {
    session.opening = undefined;
    leave(session);
  }
}

/** Number of live sessions, for tests of leaks and of sharing. */
export const sessionCount = (): number => sessions.size;

/**
 * Traces a function of declared inputs into a fresh graph, and compiles the outputs that it returns by name:
 *
 *     const program = trace({ x: ['n', 4], w: [2, 4] }, ({ x, w }) => ({ y: tanh(linear(x, w)) }));
 *     program.run({ x: [1, 2, 3, 4], w: weights }).y;
 *
 * Symbols whose size `options.dims` gives are numbers while tracing.
 *
 * @throws HeedError where `build` reads an input that is not declared, and as `compile` does.
 */
export function trace<const I extends InputSpecs, O extends Readonly<Record<string, Tensor>>>(
  inputs: I,
  build: (inputs: TensorsOf<I>, graph: Graph) => O,
  options?: CompileOptions,
): Program<I, keyof O & string>;
/** The same for a function that declares its inputs itself, with `input(graph, name, shape, dtype)`. */
export function trace<O extends Readonly<Record<string, Tensor>>>(
  build: (graph: Graph) => O,
  options?: CompileOptions,
): Program<AnyInputs, keyof O & string>;
export function trace(...call: unknown[]): Program {
  if (typeof call[0] === 'function') {
    const [build, options] = call as [(graph: Graph) => Record<string, Tensor>, CompileOptions?];
    return compile(build(createGraph(options?.dims, options?.precision)), options);
  }
  type Build = (inputs: object, graph: Graph) => Record<string, Tensor>;
  const [inputs, build, options] = call as [InputSpecs, Build, CompileOptions?];
  return trace((graph) => build(declareInputs(graph, inputs), graph), options);
}

/**
 * Compiles the named outputs and whatever they need. The rest of the graph is left out.
 *
 * @throws HeedError where there is no output, an output has the name of an input or comes from another graph, or a
 * fixed value does not fit its input.
 */
export function compile<O extends Readonly<Record<string, Tensor>>>(
  outputs: O,
  options: CompileOptions = {},
): Program<AnyInputs, keyof O & string> {
  const { dims = {}, fixed = {} } = options;
  const engine = runtime();
  const held = (_: string, value: Value): Held => (engine.fixedByName ? {} : { data: value.data });
  const { nodes, specs, inputs, fixedInputs, model } = encode(outputs, fixed, held);
  const serial = fixedInputs.length > 0 ? ownSessions++ : undefined; // it holds values of its own
  const where = options.singleThread ? 'cpu' : device();
  const settings = [dims, options.singleThread, options.sharedMemory, options.profile, where, serial];
  const key = createHash('sha256').update(model).update(JSON.stringify(settings)).digest('hex');
  const fixedValues = fixedInputs.map(({ name }) => [name, fixed[name]] as const);
  const session: Session = sessions.get(key) ?? {
    key,
    fixedValues,
    model,
    options: {
      ...options,
      device: where === 'cpu' ? undefined : where,
      ownOperators: nodes.some(({ domain }) => domain === 'heed'),
      inputs: inputs.length,
      outputs: specs.length,
      fixed: engine.fixedByName ? fixedValues.map(([name, value]) => [name, value.handle] as const) : [],
    },
    users: 0,
    short: options.singleThread === true,
  };
  session.users++;
  sessions.set(key, session);

  let disposed = false;
  const checkAlive = () => {
    if (disposed) throw new HeedError('a program was used after it was disposed of');
  };
  const program: Program = {
    inputs: inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    outputs: specs,
    model,
    bind(inputValues, outputValues) {
      checkAlive();
      const symbols: Record<string, number> = { ...dims };
      for (const spec of program.inputs) learnSymbols(spec, inputValues[spec.name]?.shape, symbols);
      for (const spec of program.inputs) checkValue('input', spec, inputValues[spec.name], symbols);
      for (const spec of program.outputs) checkValue('output', spec, outputValues[spec.name], symbols);
      const appended = new Set<string>();
      program.outputs.forEach((output, i) => {
        const to = outputValues[output.name];
        for (const other of program.outputs.slice(0, i)) {
          if (outputValues[other.name].overlap(to) !== 'none') {
            throw new HeedError(`outputs "${other.name}" and "${output.name}" share memory`, {
              hint: 'use separate memory for each output',
            });
          }
        }
        for (const input of program.inputs) {
          const from = inputValues[input.name];
          if (from.overlap(to) === 'none') continue;
          const how = checkInPlace(nodes, input, outputs[output.name], from, to);
          if (how === 'appended') appended.add(output.name);
        }
      });
      return createBinding(session, program, inputValues, outputValues, appended, () => disposed);
    },
    run(numbersByName) {
      checkAlive();
      using once = bindNumbers(program, numbersByName, dims);
      once.binding.run();
      return once.numbers();
    },
    async runFreely(numbersByName) {
      checkAlive();
      using once = bindNumbers(program, numbersByName, dims);
      await once.binding.runFreely();
      return once.numbers();
    },
    [Symbol.dispose]() {
      if (disposed) return;
      disposed = true;
      leave(session);
    },
  };
  return program;
}

/** Binds plain numbers to a program, for one run. */
function bindNumbers(
  program: Program,
  numbersByName: Readonly<Record<string, Numbers | undefined>>,
  dims: Readonly<Record<string, number>>,
): Disposable & { binding: Binding; numbers(): Record<string, ValueData> } {
  const symbols: Record<string, number> = { ...dims };
  using scope = new Disposables();
  const inputValues: Record<string, Value> = {};
  for (const spec of program.inputs) {
    const value = numbersByName[spec.name];
    if (value instanceof Value) learnSymbols(spec, value.shape, symbols);
  }
  for (const spec of program.inputs) {
    const value = numbersByName[spec.name];
    if (value === undefined) continue;
    if (value instanceof Value) {
      inputValues[spec.name] = value;
      continue;
    }
    const numbers = typeof value === 'number' ? [value] : value;
    const shape = inferShape(spec, numbers.length, symbols);
    const wrong = misfit(spec.dtype, numbers);
    if (wrong !== undefined) {
      throw new HeedError(`input ${describeSpec(spec)} cannot hold ${wrong}`, {
        hint: 'pass numbers that its dtype can hold',
      });
    }
    inputValues[spec.name] = scope.use(Value.of(spec.dtype, shape, numbers));
  }
  for (const spec of program.inputs) checkValue('input', spec, inputValues[spec.name], symbols);
  const outputValues: Record<string, Value> = {};
  for (const { name, dtype, shape } of program.outputs) {
    const sizes = shape.map((d) => evaluateDim(d, symbols));
    outputValues[name] = scope.use(new Value(dtype, sizes));
  }
  const binding = scope.use(program.bind(inputValues, outputValues));
  const end = scope.move();
  return {
    binding,
    numbers: () => Object.fromEntries(program.outputs.map(({ name }) => [name, outputValues[name].data])),
    [Symbol.dispose]: end[Symbol.dispose],
  };
}

/** Where a fixed value's numbers are: in the model, in a file beside it, or passed by name when it is loaded. */
type Held = Pick<Initializer, 'data' | 'file'>;

/** The traced graph as a model, with the inputs of `fixed` as parts of it. */
function encode(
  outputs: Readonly<Record<string, Tensor>>,
  fixed: Readonly<Record<string, Value>>,
  held: (name: string, value: Value) => Held,
  metadata?: Readonly<Record<string, string>>,
) {
  const names = Object.keys(outputs);
  if (names.length === 0) throw new HeedError('a program needs an output');
  const { graph } = outputs[names[0]];
  const { nodes, renamed, inputs: needed } = selectNodes(graph, outputs);
  const inputs = needed.filter(({ name }) => !Object.hasOwn(fixed, name));
  const fixedInputs = needed.filter(({ name }) => Object.hasOwn(fixed, name));
  for (const spec of fixedInputs) checkValue('fixed input', spec, fixed[spec.name], {});
  const rename = (name: string) => renamed.get(name) ?? name;
  const used = new Set(nodes.flatMap((node) => node.inputs));
  const specs = names.map((name) => ({ name, dtype: outputs[name].dtype, shape: outputs[name].shape }));
  const model = encodeModel({
    metadata,
    nodes: nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) })),
    inputs: inputs.map((t) => ({ ...t, shape: [...t.shape] })),
    outputs: specs.map((spec) => ({
      ...spec,
      shape: spec.shape.map((d) => (isSymbol(d) || typeof d === 'number' ? d : `(${d})`)),
    })),
    initializers: [
      ...graph.constants.filter((c) => used.has(c.name)),
      ...fixedInputs.map(({ name, dtype }) => ({
        name,
        dtype,
        shape: [...fixed[name].shape],
        ...held(name, fixed[name]),
      })),
    ],
    values: nodes
      .filter(({ domain }) => domain === 'heed')
      .flatMap(({ outputTensors }) => outputTensors)
      .filter(({ name }) => !renamed.has(name))
      .map((t) => ({ ...t, shape: t.shape as number[] })),
  });
  return { nodes, specs, inputs, fixedInputs, model };
}

const IN_ONE_FILE = 1.9e9;

/**
 * A traced graph with its weights as an ONNX model for others to run: the bytes of its file, and, where it would be too
 * large for one, those of the file of that name beside it. `metadata` is what a program can ask the model for.
 */
export function encodeWithWeights(
  outputs: Readonly<Record<string, Tensor>>,
  weights: Readonly<Record<string, Value>>,
  besideName: string,
  metadata?: Readonly<Record<string, string>>,
): { model: Uint8Array; beside: Uint8Array[] } {
  const total = Object.values(weights).reduce((sum, { data }) => sum + data.byteLength, 0);
  const beside: Uint8Array[] = [];
  let offset = 0;
  const place = (_: string, { data }: Value): Held => {
    if (total <= IN_ONE_FILE) return { data };
    const file = { location: besideName, offset };
    offset += data.byteLength;
    beside.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return { file };
  };
  const { model } = encode(outputs, weights, place, metadata);
  return { model, beside };
}

function createBinding(
  session: Session,
  program: Program,
  inputs: Readonly<Record<string, Value>>,
  outputs: Readonly<Record<string, Value>>,
  appended: ReadonlySet<string>,
  isProgramDisposed: () => boolean,
): Binding {
  // ONNX Runtime reads this memory at each run: the values must live as long as the binding.
  const [ins, outs] = [
    program.inputs.map(({ name }) => [name, inputs[name]] as const),
    program.outputs.map(({ name }) => [name, outputs[name]] as const),
  ];
  const values = [...ins, ...outs].map(([, value]) => value);
  const handles = (some: typeof ins) => some.map(([name, value]) => [name, value.handle] as const);
  let bound: RuntimeBinding | undefined;
  const bind = () => {
    bound ??= runtime().createBinding(opened(session), handles(ins), handles(outs), appended);
    return bound;
  };
  if (session.handle !== undefined) bind();
  else handles([...ins, ...outs]); // throws for a value that was disposed of
  let live: { values: Value[]; users: number } | undefined = { values, users: 1 };
  const alive = () => {
    if (!live || isProgramDisposed()) {
      throw new HeedError(`a binding was used after ${live ? 'its program' : 'it'} was disposed of`);
    }
    return live;
  };
  const drop = (held: { users: number }) => {
    if (--held.users === 0) bound?.release();
  };
  const run = () => {
    alive();
    bind().run();
  };
  const runAsync = async () => {
    // A binding or program that is disposed of meanwhile lives until the run has ended.
    const held = alive();
    held.users++;
    session.users++;
    try {
      if (session.handle === undefined) await open(session);
      await bind().runAsync();
    } finally {
      drop(held);
      leave(session);
    }
  };
  return {
    run,
    runAsync,
    async runFreely() {
      if (turnIsDue()) await breathe();
      if (session.handle === undefined) await open(session);
      if (session.short) return run();
      const began = performance.now();
      if (session.milliseconds === undefined || session.milliseconds > LONG_RUN) await runAsync();
      else run();
      session.milliseconds = performance.now() - began;
    },
    [Symbol.dispose]() {
      if (live) drop(live);
      live = undefined;
    },
  };
}
