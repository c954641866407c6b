/** The engine's runtime in Node: ONNX Runtime's shared library, by its C API. */

import { HeedError, messageOf } from '../../error.ts';
import { availableParallelism, env } from '../../node.ts';
import { koffi, type Library, loadLibrary, type Pointer } from '../library.ts';
import { bf16Support, oneDnn } from '../onednn/library.ts';
import { createOperators, type OperatorDomain } from '../onednn/operators.ts';
import type { Accelerator, Runtime, SessionOptions } from './runtime.ts';

/** The library with what all programs share. */
export interface NativeEngine extends Library {
  env: Pointer;
  memory: Pointer;
  runOptions: Pointer;
  /** Threads of the one pool that all programs share. */
  threads: number;
}

let shared: NativeEngine | undefined;

/**
 * Loads the library once, with HEED_THREADS threads, or as many as the machine offers. The whole process has one thread
 * pool: with a pool per session, their spinning threads compete (measured: 8 to 10 times slower).
 *
 * @throws HeedError if the library cannot be found or loaded.
 */
export function nativeEngine(): NativeEngine {
  if (shared) return shared;
  const threads = threadCount();
  const library = loadLibrary();
  const { api, check, out } = library;
  const options = out('CreateThreadingOptions');
  check(api.SetGlobalIntraOpNumThreads(options, threads));
  check(api.SetGlobalInterOpNumThreads(options, 1));
  check(api.SetGlobalSpinControl(options, env.HEED_SPIN === '0' ? 0 : 1));
  const onlyErrors = 3;
  shared = {
    ...library,
    threads,
    env: out('CreateEnvWithGlobalThreadPools', onlyErrors, 'heed', options),
    memory: out('CreateCpuMemoryInfo', 1, 0),
    runOptions: out('CreateRunOptions'),
  };
  // one allocator for all programs with sharedMemory; it takes what is needed from the system, not the next power of 2
  const [sameAsRequested, byDefault] = [1, -1];
  const arena = out('CreateArenaCfg', 0, sameAsRequested, byDefault, byDefault);
  check(api.CreateAndRegisterAllocator(shared.env, shared.memory, arena));
  return shared;
}

function threadCount(): number {
  const text = env.HEED_THREADS;
  if (text === undefined || text === '') return availableParallelism();
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new HeedError(`HEED_THREADS is "${text}"`, { hint: 'set it to a whole number from 1 to 1024, or unset it' });
  }
  return threads;
}

/** Starts the runtime. @throws HeedError as `nativeEngine` does. */
export function startRuntime(): Runtime {
  const { path, version, threads, api, check, out, memory, runOptions } = nativeEngine();
  return {
    path,
    version,
    threads,
    providers() {
      const [list, count] = [[null], [0]] as [Pointer[], number[]];
      check(api.GetAvailableProviders(list, count));
      const names = koffi().decode(list[0], koffi().array('const char *', count[0])) as string[];
      check(api.ReleaseAvailableProviders(list[0], count[0]));
      return names;
    },
    // a small typed array (64 bytes or less) would be on V8's heap and move; one over its own ArrayBuffer does not
    allocate: (make, length) => new make(new ArrayBuffer(Math.max(64, length * make.BYTES_PER_ELEMENT)), 0, length),
    createValue(type, shape, data) {
      const dims = BigInt64Array.from(shape, BigInt);
      return out('CreateTensorWithDataAsOrtValue', memory, data, data.byteLength, dims, dims.length, type);
    },
    releaseValue: (value) => api.ReleaseValue(value),
    fixedByName: true,
    checkDevice,
    bf16: () => bf16Support(threads),
    createSession,
    releaseSession(session) {
      elsewhere.delete(session);
      api.ReleaseSession(session);
    },
    createBinding(session, inputs, outputs) {
      const binding = out('CreateIoBinding', session);
      const bindInputs = () => {
        for (const [name, value] of inputs) check(api.BindInput(binding, name, value));
      };
      bindInputs();
      for (const [name, value] of outputs) check(api.BindOutput(binding, name, value));
      const { RunWithBinding } = api;
      // a device gets its copies when they are bound; the CPU reads the values in place
      const copies = elsewhere.has(session) ? bindInputs : undefined;
      return {
        run() {
          copies?.();
          check(RunWithBinding(session, runOptions, binding));
          operators?.check();
        },
        runAsync: () =>
          new Promise<void>((resolve, reject) => {
            copies?.();
            RunWithBinding.async(session, runOptions, binding, (error: unknown, status: Pointer) => {
              try {
                if (error) throw new HeedError(`cannot run: ${messageOf(error)}`, { cause: error });
                check(status);
                operators?.check();
                resolve();
              } catch (problem) {
                reject(problem);
              }
            });
          }),
        release: () => api.ReleaseIoBinding(binding),
      };
    },
  };
}

let operators: OperatorDomain | undefined;

/** Sessions on a device that is not the CPU. */
const elsewhere = new Set<Pointer>();

/** The operators that oneDNN computes. */
function ownOperators(): OperatorDomain {
  const engine = nativeEngine();
  const dnn = oneDnn(engine.threads);
  if (!dnn?.bf16) throw new HeedError(`the program has products of bfloat16: ${bf16Support(engine.threads).missing}`);
  operators ??= createOperators(engine, dnn);
  return operators;
}

/** Makes a session run on a device as far as its operators can; the CPU runs the others. */
function appendProvider(options: Pointer, device: Accelerator): void {
  const { api, check, out } = nativeEngine();
  if (device === 'webgpu') {
    check(api.SessionOptionsAppendExecutionProvider(options, 'WebGPU', [], [], 0));
    return;
  }
  const cuda = out('CreateCUDAProviderOptions');
  try {
    check(api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda));
  } finally {
    api.ReleaseCUDAProviderOptions(cuda);
  }
}

function checkDevice(device: Accelerator): void {
  const { api, out } = nativeEngine();
  const options = out('CreateSessionOptions');
  try {
    appendProvider(options, device);
  } finally {
    api.ReleaseSessionOptions(options);
  }
}

function createSession(
  model: Uint8Array,
  { dims = {}, ownOperators: hasOwn, singleThread, sharedMemory, device, profile, fixed }: SessionOptions,
): Pointer {
  const { api, check, out, env, threads } = nativeEngine();
  const options = out('CreateSessionOptions');
  try {
    const allOptimizations = 99;
    if (singleThread) check(api.SetIntraOpNumThreads(options, 1));
    // a pool of its own whose threads sleep: spinning ones would take the cores of oneDNN's
    else if (hasOwn) check(api.SetIntraOpNumThreads(options, threads));
    else check(api.DisablePerSessionThreads(options));
    check(api.SetSessionGraphOptimizationLevel(options, allOptimizations));
    const set = (key: string, value: string) => check(api.AddSessionConfigEntry(options, key, value));
    if (hasOwn) set('session.intra_op.allow_spinning', '0');
    // nodes that were traced twice on purpose (see checkpoint) must stay so; all others are shared while tracing
    set('optimization.disable_specified_optimizers', 'CommonSubexpressionElimination');
    if (sharedMemory) {
      check(api.DisableMemPattern(options));
      set('session.use_env_allocators', '1');
    }
    for (const [name, size] of Object.entries(dims)) check(api.AddFreeDimensionOverrideByName(options, name, size));
    if (profile) check(api.EnableProfiling(options, profile));
    if (device) appendProvider(options, device);
    if (fixed.length > 0) {
      const [names, values] = [fixed.map(([name]) => name), fixed.map(([, value]) => value)];
      check(api.AddExternalInitializers(options, names, values, names.length));
    }
    if (hasOwn) check(api.AddCustomOpDomain(options, ownOperators().handle));
    const session = out('CreateSessionFromArray', env, model, model.length, options);
    operators?.check();
    if (device) elsewhere.add(session);
    return session;
  } finally {
    api.ReleaseSessionOptions(options);
  }
}
