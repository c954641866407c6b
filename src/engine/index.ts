export { HeedError } from '../error.ts';
export type { Dim, Shape } from './dims.ts';
export { checkpoint, gradients } from './gradient.ts';
export { constant, createGraph, describe, type Graph, input, type Tensor, withGradient } from './graph.ts';
export type { DType } from './onnx.ts';
export * from './ops/index.ts';
export { type Binding, type CompileOptions, compile, encodeWithWeights, type Program, trace } from './program.ts';
export { allocate, executionProviders, runtime, Value } from './runtime.ts';
export type { Spec } from './spec.ts';
