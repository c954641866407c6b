/**
 * The engine's runtime in a page: ONNX Runtime's WebAssembly, called directly. onnxruntime-web wraps it so that each run
 * copies its values and returns a promise; here values lie in WebAssembly's memory and a run is a call.
 */
import { HeedError } from '../../error.ts';
import type { Runtime, RuntimeSessionOptions } from './runtime.ts';

/** Where a number or an array lies in WebAssembly's memory. */
type Address = number;

/** The parts of the module that heed calls: the exports of ort-wasm-simd-threaded.mjs. */
interface OrtModule {
  /** The memory as it is now: it grows, and what was made over it earlier stays valid. */
  readonly HEAPU8: Uint8Array;
  readonly HEAPU32: Uint32Array;
  _malloc(bytes: number): Address;
  _free(address: Address): void;
  stringToUTF8(text: string, to: Address, bytes: number): void;
  lengthBytesUTF8(text: string): number;
  UTF8ToString(at: Address): string;
  _OrtInit(threads: number, logLevel: number): number;
  _OrtGetLastError(code: Address, message: Address): void;
  _OrtCreateSessionOptions(
    optimization: number,
    arena: boolean,
    memoryPattern: boolean,
    mode: number,
    profiling: boolean,
    profilePrefix: Address,
    logId: Address,
    logSeverity: number,
    logVerbosity: number,
    optimizedModel: Address,
  ): Address;
  _OrtAddSessionConfigEntry(options: Address, key: Address, value: Address): number;
  _OrtAddFreeDimensionOverride(options: Address, name: Address, size: number): number;
  _OrtReleaseSessionOptions(options: Address): void;
  _OrtCreateSession(model: Address, bytes: number, options: Address): Address;
  _OrtReleaseSession(session: Address): void;
  _OrtCreateTensor(type: number, data: Address, bytes: number, dims: Address, rank: number, location: number): Address;
  _OrtReleaseTensor(tensor: Address): void;
  _OrtRun(
    session: Address,
    inputNames: Address,
    inputs: Address,
    inputCount: number,
    outputNames: Address,
    outputCount: number,
    outputs: Address,
    options: Address,
  ): number;
  _OrtCreateRunOptions(logSeverity: number, logVerbosity: number, terminate: boolean, tag: Address): Address;
}

/** The default export of ort-wasm-simd-threaded.mjs. */
export type OrtFactory = (settings: {
  numThreads: number;
  locateFile?: (file: string) => string;
}) => Promise<OrtModule>;

/** How the runtime starts. */
export interface WasmOptions {
  /** The default export of onnxruntime-web/ort-wasm-simd-threaded.mjs. */
  factory: OrtFactory;
  /** URL of ort-wasm-simd-threaded.wasm. Default: beside the factory's file. */
  url?: string;
  /** Threads of the one pool. More than one needs a page that is cross-origin isolated. Default 1. */
  threads?: number;
}

/** The version of onnxruntime-web that this code calls. */
export const VERSION = '1.30.0';
const ERRORS_ONLY = 3;
const ALL_OPTIMIZATIONS = 99;
const CPU = 1;
const BYTES = 4; // of an address

/** Starts the runtime. @throws HeedError where WebAssembly, or its SIMD or shared memory, is missing. */
export async function startWasm({ factory, url, threads = 1 }: WasmOptions): Promise<Runtime> {
  const ort = await startOrt({ factory, url, threads });
  const { check, made } = checksOf(ort);
  check(ort._OrtInit(threads, ERRORS_ONLY));
  const runOptions = made(ort._OrtCreateRunOptions(ERRORS_ONLY, 0, false, 0));
  const memory = new FinalizationRegistry((address: Address) => ort._free(address));
  return {
    path: url ?? 'WebAssembly',
    version: VERSION,
    threads,
    providers: () => ['CPUExecutionProvider'],
    allocate(make, length) {
      const bytes = Math.max(64, length * make.BYTES_PER_ELEMENT);
      const address = reserve(ort, bytes);
      ort.HEAPU8.fill(0, address, address + bytes);
      const array = new make(ort.HEAPU8.buffer, address, length);
      memory.register(array, address);
      return keptByParts(array);
    },
    createValue(type, shape, data) {
      // a page that is not isolated has such buffers, but no name for them
      if (data.buffer.constructor !== ort.HEAPU8.buffer.constructor) {
        throw new HeedError("a value's numbers are not in the engine's memory", {
          hint: 'make the array with allocate',
        });
      }
      const scratch = scratchOf(ort);
      try {
        const dims = scratch.numbers(shape);
        return made(ort._OrtCreateTensor(type, data.byteOffset, data.byteLength, dims, shape.length, CPU));
      } finally {
        scratch.free();
      }
    },
    releaseValue: (value) => ort._OrtReleaseTensor(value as Address),
    fixedByName: false,
    createSession: (model, options) => createSession(ort, model, options),
    createSessionAsync: async (model, options) => createSession(ort, model, options),
    releaseSession: (session) => ort._OrtReleaseSession(session as Address),
    createBinding(session, inputs, outputs) {
      const held = scratchOf(ort);
      const names = (some: typeof inputs) => held.numbers(some.map(([name]) => held.text(name)));
      const values = (some: typeof inputs) => held.numbers(some.map(([, value]) => value as Address));
      const call = [
        session as Address,
        names(inputs),
        values(inputs),
        inputs.length,
        names(outputs),
        outputs.length,
        values(outputs),
        runOptions,
      ] as const;
      const run = () => check(ort._OrtRun(...call));
      return { run, runAsync: async () => run(), release: held.free };
    },
  };
}

async function startOrt({ factory, url, threads }: WasmOptions & { threads: number }): Promise<OrtModule> {
  try {
    return await factory({
      numThreads: threads,
      ...(url !== undefined && { locateFile: () => url }),
    });
  } catch (cause) {
    throw new HeedError("ONNX Runtime's WebAssembly does not start here", {
      hint: 'use a browser with WebAssembly SIMD: Chrome or Edge 91, Firefox 89, Safari 16.4, or later',
      cause,
    });
  }
}

/** Checks what calls return: a code that is 0, or an address that is not. */
function checksOf(ort: OrtModule) {
  const check = (code: number) => {
    if (code !== 0) throw new HeedError(`ONNX Runtime: ${lastError(ort)}`);
  };
  const made = (address: Address) => {
    if (address === 0) check(1);
    return address;
  };
  return { check, made };
}

/** Compiles a model. `singleThread` would change no result, and has no effect: all sessions share one pool. */
function createSession(
  ort: OrtModule,
  model: Uint8Array,
  { dims = {}, sharedMemory, profile }: RuntimeSessionOptions,
): Address {
  if (profile !== undefined) {
    throw new HeedError("ONNX Runtime's WebAssembly writes no profile", {
      hint: 'leave out profile, or profile the program in Node on the shared library',
    });
  }
  const { check, made } = checksOf(ort);
  const scratch = scratchOf(ort);
  let options = 0;
  try {
    const name = scratch.text('heed');
    options = made(
      ort._OrtCreateSessionOptions(ALL_OPTIMIZATIONS, true, !sharedMemory, 0, false, 0, name, ERRORS_ONLY, 0, 0),
    );
    const set = (key: string, value: string) =>
      check(ort._OrtAddSessionConfigEntry(options, scratch.text(key), scratch.text(value)));
    // nodes that were traced twice on purpose (see checkpoint) must stay so; all others are shared while tracing
    set('optimization.disable_specified_optimizers', 'CommonSubexpressionElimination');
    if (sharedMemory) set('session.use_env_allocators', '1');
    for (const [name, size] of Object.entries(dims)) {
      check(ort._OrtAddFreeDimensionOverride(options, scratch.text(name), size));
    }
    return made(ort._OrtCreateSession(scratch.bytes(model), model.length, options));
  } finally {
    if (options !== 0) ort._OrtReleaseSessionOptions(options);
    scratch.free();
  }
}

/** Memory of WebAssembly. @throws HeedError where there is no more. */
function reserve(ort: OrtModule, bytes: number): Address {
  const address = ort._malloc(bytes);
  if (address === 0) {
    throw new HeedError(`no memory for ${bytes} bytes`, { hint: 'use a smaller model or batch, or dispose of values' });
  }
  return address;
}

/** Memory for the arguments of a call, to be freed together. */
function scratchOf(ort: OrtModule) {
  const addresses: Address[] = [];
  const take = (bytes: number) => {
    const address = reserve(ort, Math.max(BYTES, bytes));
    addresses.push(address);
    return address;
  };
  return {
    bytes(from: Uint8Array): Address {
      const address = take(from.length);
      ort.HEAPU8.set(from, address);
      return address;
    },
    numbers(from: readonly number[]): Address {
      const address = take(from.length * BYTES);
      ort.HEAPU32.set(from, address / BYTES);
      return address;
    },
    text(from: string): Address {
      const size = ort.lengthBytesUTF8(from) + 1;
      const address = take(size);
      ort.stringToUTF8(from, address, size);
      return address;
    },
    free(): void {
      for (const address of addresses.splice(0)) ort._free(address);
    },
  };
}

function lastError(ort: OrtModule): string {
  const [code, message] = [reserve(ort, BYTES), reserve(ort, BYTES)];
  ort._OrtGetLastError(code, message);
  const text = ort.UTF8ToString(ort.HEAPU32[message / BYTES]);
  for (const address of [code, message]) ort._free(address);
  return text;
}

const whole = Symbol('the array that this is a part of');

/** Makes each part of an array (`subarray`) hold on to the whole, whose memory is freed when nobody holds it. */
function keptByParts<T extends ArrayBufferView>(array: T): T {
  const parts = array as T & { subarray(from?: number, to?: number): T };
  const subarray = parts.subarray;
  Object.defineProperty(parts, 'subarray', {
    value: (from?: number, to?: number) =>
      Object.defineProperty(keptByParts(subarray.call(parts, from, to)), whole, { value: parts }),
  });
  return parts;
}
