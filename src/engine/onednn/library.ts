/**
 * oneDNN, which multiplies matrices of bfloat16 on CPUs that have instructions for it; ONNX Runtime has none on x86. An
 * optional library, called through koffi.
 */
import { HeedError, messageOf } from '../../error.ts';
import { env, existsSync, join, readFileSync } from '../../node.ts';
import { keepLoaded, koffi } from '../library.ts';
import { createOperations, type Operations, type Within } from './operations.ts';

/** The command that installs oneDNN where it is a package of the system. */
export const INSTALL = 'apt-get install libdnnl-dev';
const ELSEWHERE = `run "${INSTALL}" (Fedora: "dnf install onednn"; anywhere on Linux x64: "pip install onednn-cpu-gomp")`;
const NAMES = ['libdnnl.so.3', 'libdnnl.so.2', 'libdnnl.so', 'dnnl.dll'];

/** The library as loaded. */
export interface OneDnn extends Operations {
  /** The file or name it was loaded from. */
  path: string;
  /** Its version, such as "3.2.1". */
  version: string;
  /** Whether it has products of bfloat16 for this CPU: AVX-512 BF16, or AMX. */
  bf16: boolean;
  /** Operations in so many threads, by default in as many as the library was loaded for, and what may call them. */
  inThreads(threads?: number): { operations: Operations; within: Within };
}

const AVX512_BF16 = 0xe7; // dnnl_cpu_isa_avx512_core_bf16; those with AMX have all its bits

/** Where the library is looked for, in order: what HEED_ONEDNN names alone, else the loader's places and Python's. */
export function libraryCandidates(): string[] {
  if (env.HEED_ONEDNN) return [env.HEED_ONEDNN];
  const folders = [env.VIRTUAL_ENV, env.CONDA_PREFIX].filter((folder) => folder !== undefined);
  const inPython = folders.flatMap((folder) => NAMES.map((name) => join(folder, 'lib', name))).filter(existsSync);
  return [...inPython, ...NAMES];
}

let tried: { found: OneDnn | undefined } | undefined;

/**
 * oneDNN, loaded once; undefined where it is not installed.
 *
 * @throws HeedError if HEED_ONEDNN names a file that is missing, cannot be loaded or is another library.
 */
export function oneDnn(threads: number): OneDnn | undefined {
  tried ??= { found: find(threads) };
  return tried.found;
}

function find(threads: number): OneDnn | undefined {
  const named = env.HEED_ONEDNN;
  if (named) {
    if (existsSync(named)) return loadOneDnn(named, threads);
    throw new HeedError(`HEED_ONEDNN names "${named}", which does not exist`, {
      hint: `set it to the path of oneDNN's library (libdnnl), or unset it and ${ELSEWHERE}`,
    });
  }
  for (const path of libraryCandidates()) {
    try {
      return loadOneDnn(path, threads);
    } catch {
      // not there, or one that lacks what it needs itself
    }
  }
  return undefined;
}

/** What there is for products of bfloat16. */
export interface Bf16Support {
  /** The library's name, version and path; undefined where it is not installed. */
  library?: string;
  /** Whether the CPU has instructions for them; undefined where that is not known without the library. */
  cpu?: boolean;
  /** Whether the library has them for this CPU. */
  works: boolean;
  /** What is missing, and what brings it; undefined where nothing is. */
  missing?: string;
}

const NO_CPU = 'this CPU has neither AVX-512 BF16 nor AMX';

/** What this machine has for products of bfloat16. @throws HeedError as `oneDnn` does. */
export function bf16Support(threads: number): Bf16Support {
  const found = oneDnn(threads);
  if (!found) {
    const cpu = cpuHasBf16();
    return { works: false, cpu, missing: cpu === false ? NO_CPU : `oneDNN is not installed; ${ELSEWHERE}` };
  }
  const library = `oneDNN ${found.version}, ${found.path}`;
  return { library, cpu: found.bf16, works: found.bf16, missing: found.bf16 ? undefined : NO_CPU };
}

/** Whether the CPU has instructions for bfloat16; undefined where the system does not say. */
function cpuHasBf16(): boolean | undefined {
  if (process.arch !== 'x64') return false;
  try {
    return /\b(avx512_bf16|amx_bf16)\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return undefined; // only Linux has the file
  }
}

/** Loads oneDNN. @throws HeedError if the file cannot be loaded, or is not oneDNN 2.6 or later. */
export function loadOneDnn(path: string, threads: number): OneDnn {
  let library: ReturnType<ReturnType<typeof koffi>['load']>;
  try {
    library = withSleepingThreads(() => koffi().load(path));
    keepLoaded(path);
  } catch (cause) {
    throw new HeedError(`cannot load "${path}": ${messageOf(cause)}`, { hint: ELSEWHERE, cause });
  }
  const declare = (type: string) => library.func(type) as unknown as (...args: unknown[]) => unknown;
  const attempt = (type: string) => {
    try {
      return declare(type);
    } catch {
      return undefined;
    }
  };
  const describeVersion = attempt('void *dnnl_version()');
  if (!describeVersion) {
    throw new HeedError(`"${path}" is not oneDNN: it has no dnnl_version`, { hint: ELSEWHERE });
  }
  const [major, minor, patch] = koffi().decode(describeVersion(), 'int', 3) as number[];
  const version = `${major}.${minor}.${patch}`;
  if (major < 2 || (major === 2 && minor < 6)) {
    throw new HeedError(`oneDNN in "${path}" is ${version}: 2.6 or later is needed`, { hint: ELSEWHERE });
  }
  const setThreads = attempt('void omp_set_num_threads(int threads)');
  setThreads?.(threads);
  const isa = declare('int dnnl_get_effective_cpu_isa()')() as number;
  /** Makes a function run with so many threads. */
  const within =
    (count: number): Within =>
    (work) =>
    (...args) => {
      setThreads?.(count);
      try {
        return work(...args);
      } finally {
        setThreads?.(threads);
      }
    };
  // what is made for some threads must be run with as many
  const all = new Map<number, Operations>();
  const made = (count = threads) => {
    const found = all.get(count) ?? createOperations(declare, major === 2 ? 2 : 3, within(1));
    all.set(count, found);
    return found;
  };
  return {
    path,
    version,
    inThreads: (count = threads) => ({
      operations: made(count),
      within: count === threads ? (work) => work : within(count),
    }),
    bf16: (isa & AVX512_BF16) === AVX512_BF16,
    product: (shape) => made().product(shape),
    toBf16: (count) => made().toBf16(count),
    multiply: (count) => made().multiply(count),
    activation: (kind, count) => made().activation(kind, count),
    activationGradient: (kind, count) => made().activationGradient(kind, count),
    packing: (out, inner) => made().packing(out, inner),
    packedProduct: (shape) => made().packedProduct(shape),
    get passing() {
      return made().passing;
    },
    softmax: (rows, columns) => made().softmax(rows, columns),
  };
}

/** What OpenMP reads when it is loaded. Its threads wait a few microseconds for the next product, and then sleep. */
const WAITING = { OMP_WAIT_POLICY: 'passive', GOMP_SPINCOUNT: '1000' };

/**
 * Loads a library whose OpenMP threads sleep between two products: spinning, they would take the cores of ONNX Runtime's.
 * The variables are set in the C library, since `process.env` of a worker thread is a copy, and unset again, so that child
 * processes do not get them.
 */
function withSleepingThreads<T>(load: () => T): T {
  if (env.OMP_WAIT_POLICY || process.platform === 'win32') return load();
  const libc = koffi().load(null);
  const [set, unset] = [
    libc.func('int setenv(const char *name, const char *value, int overwrite)'),
    libc.func('int unsetenv(const char *name)'),
  ];
  const names = Object.keys(WAITING).filter((name) => env[name] === undefined);
  for (const name of names) set(name, WAITING[name as keyof typeof WAITING], 1);
  try {
    return load();
  } finally {
    for (const name of names) unset(name);
  }
}
