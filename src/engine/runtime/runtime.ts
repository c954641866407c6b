/** What the engine needs of a runtime: memory, values, sessions and their runs. */

import type { Bf16Support, OneDnn } from '../onednn/library.ts';

/** What a runtime keeps behind a value, a session or a binding. */
export type Handle = unknown;

/** A device that is not the CPU. */
export type Accelerator = 'webgpu' | 'cuda';

/** How a runtime compiles a model: `CompileOptions`, with the fixed inputs' values. */
export interface RuntimeSessionOptions {
  /** Sizes of symbolic dimensions that never change. */
  dims?: Readonly<Record<string, number>>;
  /** Whether it runs in the calling thread alone. */
  singleThread?: boolean;
  /** Whether intermediate results come from one pool that all such sessions share. */
  sharedMemory?: boolean;
  /** Whether the model has heed's own operators, of the domain "heed". */
  ownOperators?: boolean;
  /** Where it runs, if not on the CPU. */
  device?: Accelerator;
  /** What the paths of the profile's files start with. */
  profile?: string;
  /** Values of fixed inputs by name, for a runtime that takes them so. They must live as long as the session. */
  fixed: readonly (readonly [name: string, value: Handle])[];
  /** Number of its inputs. */
  inputs: number;
  /** Number of its outputs. */
  outputs: number;
}

/** Values bound to a session. */
export interface RuntimeBinding {
  /** Runs the session: reads the bound inputs and overwrites the bound outputs. */
  run(): void;
  /** The same in another thread, where the runtime has one for it. */
  runAsync(): Promise<void>;
  /** Frees it. */
  release(): void;
}

/** Values by the name of an input or output. */
export type Bound = readonly (readonly [name: string, value: Handle])[];

/** What compiles and runs models: ONNX Runtime's shared library in Node, its WebAssembly in a page. */
export interface Runtime {
  /** Where it was loaded from. */
  path: string;
  /** ONNX Runtime's version, such as "1.30.0". */
  version: string;
  /** Threads of the one pool that all programs share. */
  threads: number;
  /** Its execution providers, such as "CPUExecutionProvider". */
  providers(): string[];
  /** A typed array of zeros in memory that never moves and that the runtime can use in place. */
  allocate<T extends ArrayBufferView>(make: TypedArrayConstructor<T>, length: number): T;
  /** A tensor over memory that `allocate` gave. `type` is the element type's number in ONNX. */
  createValue(type: number, shape: readonly number[], data: ArrayBufferView): Handle;
  /** Frees a tensor, not its memory. */
  releaseValue(value: Handle): void;
  /** Whether sessions take fixed values by name; else they must be in the model. */
  fixedByName: boolean;
  /** Opens a device, where the runtime can have one. @throws HeedError with what it says against it. */
  checkDevice?(device: Accelerator): void;
  /** The optional library for products of bfloat16; undefined where the runtime can have none. */
  bf16?(): Bf16Support;
  /** The operations of that library, for nodes that JavaScript computes. @throws HeedError where it is missing. */
  bf16Operations?(): OneDnn;
  /** Compiles a model. @throws HeedError with what ONNX Runtime says against it. */
  createSession(model: Uint8Array, options: RuntimeSessionOptions): Handle;
  /** The same in another thread, where the runtime has one for it. Keep the model and the fixed values until it ends. */
  createSessionAsync(model: Uint8Array, options: RuntimeSessionOptions): Promise<Handle>;
  /** Frees a session. */
  releaseSession(session: Handle): void;
  /**
   * Binds tensors to a session's inputs and outputs, in the model's order. `appended` names the outputs that their
   * operators make by writing into an input.
   */
  createBinding(session: Handle, inputs: Bound, outputs: Bound, appended?: ReadonlySet<string>): RuntimeBinding;
}

/** What makes typed arrays of one type. */
export interface TypedArrayConstructor<T> {
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): T;
  readonly BYTES_PER_ELEMENT: number;
}
