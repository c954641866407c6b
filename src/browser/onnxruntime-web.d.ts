/** The module below onnxruntime-web's own interface, which has no types. */
declare module 'onnxruntime-web/ort-wasm-simd-threaded.mjs' {
  const factory: import('../engine/runtime/wasm.ts').OrtFactory;
  export default factory;
}
