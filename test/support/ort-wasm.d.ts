declare module 'onnxruntime-web/ort-wasm-simd-threaded.mjs' {
  const factory: import('../../src/engine/runtime/wasm.ts').OrtFactory;
  export default factory;
}
