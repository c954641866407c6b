/** Puts ONNX Runtime's WebAssembly, which heed/browser loads, beside the compiled TypeScript. */
import { cpSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const from = dirname(fileURLToPath(import.meta.resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm')));
const dist = process.argv[2] ?? fileURLToPath(new URL('../dist', import.meta.url));
const to = join(dist, 'browser', 'ort');
mkdirSync(to, { recursive: true });
for (const file of ['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'])
  cpSync(join(from, file), join(to, file));
cpSync(fileURLToPath(new URL('onnxruntime', import.meta.url)), to, { recursive: true }); // its license and notices
