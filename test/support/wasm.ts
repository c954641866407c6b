/** Makes the tests of a file run on the engine's WebAssembly, as a page does. */
import factory from 'onnxruntime-web/ort-wasm-simd-threaded.mjs';
import { useRuntime } from '../../src/engine/runtime/current.ts';
import { startWasm } from '../../src/engine/runtime/wasm.ts';

useRuntime(await startWasm({ factory }));
