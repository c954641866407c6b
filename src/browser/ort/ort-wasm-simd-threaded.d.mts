/** ONNX Runtime's WebAssembly module, which scripts/copy-wasm.js puts here from onnxruntime-web. */
declare const factory: import('../../engine/runtime/wasm.ts').OrtFactory;
export default factory;
