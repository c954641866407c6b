/** Starts the engine in a page, or in a worker of it. */
import { useRuntime } from '../engine/runtime/current.ts';
import type { Runtime } from '../engine/runtime/runtime.ts';
import { startWasm, VERSION } from '../engine/runtime/wasm.ts';
import { HeedError } from '../error.ts';
import { provideModules } from './files.ts';

/** Options of `startEngine`. */
export interface StartOptions {
  /**
   * Threads of the engine. Default 1. More need a page that is cross-origin isolated (`crossOriginIsolated` is true), and
   * an engine that starts in a worker.
   */
  threads?: number;
  /** URL of ort-wasm-simd-threaded.wasm (default: beside onnxruntime-web's own files, where bundlers put it). */
  url?: string;
}

let started: Promise<Runtime> | undefined;

/**
 * Starts the engine on ONNX Runtime's WebAssembly; in a page, all training and generating needs it first. Call it in a worker, so
 * that the page stays responsive while a model trains. A second call returns the same engine.
 *
 *     await startEngine();
 *     const { policy } = await rl({ env: 'CartPole-v1' });
 *
 * @throws HeedError where the browser lacks WebAssembly SIMD, or the page may not have threads.
 */
export function startEngine({ threads = 1, url }: StartOptions = {}): Promise<Runtime> {
  started ??= start(threads, url).catch((error) => {
    started = undefined; // another try may have other options
    throw error;
  });
  return started;
}

async function start(threads: number, url: string | undefined): Promise<Runtime> {
  if (threads > 1 && (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === false) {
    throw new HeedError(`the page may not have ${threads} threads: it is not cross-origin isolated`, {
      hint: 'serve it with COOP same-origin and COEP require-corp, or leave out threads',
    });
  }
  provideModules();
  const { default: factory } = await import('onnxruntime-web/ort-wasm-simd-threaded.mjs').catch((cause) => {
    throw new HeedError("ONNX Runtime's WebAssembly cannot be loaded", {
      hint: `is the page online? A project that bundles heed needs it: npm install onnxruntime-web@${VERSION}`,
      cause,
    });
  });
  const runtime = await startWasm({ factory, threads, url });
  useRuntime(runtime);
  return runtime;
}
